//! What really serves: intervals, and the outages within them.

use super::{
    DeploymentsError, check_environment,
    leases::check_fence,
    report::MESSAGE_MAX_CHARS,
    store::{
        deployments::{self, DeploymentRow},
        outages, rollouts,
        serving::{self, Open},
    },
};
use crate::{
    app::App,
    audit::{self, Cause},
    db::Conn,
};
use waybill_client::api::{ReportServing, Revision, Rollout};

/// Records that requests go to `revision` since `at_ms`, on account of `rollout`: ends the interval
/// before and opens one. Says false where the record says so already, or something newer serves.
pub async fn begin(
    tx: &mut Conn,
    cause: &Cause,
    deployment: &DeploymentRow,
    rollout: &Rollout,
    revision: &Revision,
    at_ms: i64,
) -> Result<bool, DeploymentsError> {
    let open = serving::open_of(tx, deployment.id).await?;
    let not_before_ms = match &open {
        Some(open) if is(open, &rollout.version_uid, &revision.revision_id) && by(open, rollout) => {
            return Ok(false);
        }
        Some(open) if open.generation > rollout.generation => return Ok(false),
        Some(open) => open.from_ms.max(if by(open, rollout) { 0 } else { rollout.started_at_ms }),
        None => rollout.started_at_ms,
    };
    let from_ms = within(at_ms, not_before_ms, cause.at_ms);
    if let Some(open) = &open {
        serving::close(tx, open.id, from_ms).await?;
    }
    let text = serde_json::to_string(revision).map_err(|e| DeploymentsError::Invalid {
        field: "revision",
        value: e.to_string(),
        expected: "a revision",
    })?;
    let interval = serving::NewInterval {
        deployment: deployment.id,
        version_uid: &rollout.version_uid,
        revision_id: &revision.revision_id,
        rollout_id: &rollout.rollout_id,
        actor: &rollout.actor,
        reason: rollout.reason.as_deref(),
        from_ms,
        revision: text,
    };
    serving::open(tx, &interval).await?;
    let name = |version: i64| format!("{}@{version}", deployment.model);
    let event = cause
        .event("deployment.switched", subject(deployment))
        .change(deployment.serving_version.map(name).as_deref(), Some(&name(rollout.version)));
    audit::record(tx, &event).await?;
    Ok(true)
}

fn is(open: &Open, version_uid: &str, revision_id: &str) -> bool {
    open.version_uid == version_uid && open.revision_id == revision_id
}

fn by(open: &Open, rollout: &Rollout) -> bool {
    open.rollout_id == rollout.rollout_id
}

pub fn subject(deployment: &DeploymentRow) -> String {
    format!("{}/{}", deployment.environment, deployment.model)
}

/// A deployer's time on the registry's record: not before what it follows, not in the future.
pub fn within(at_ms: i64, not_before_ms: i64, now_ms: i64) -> i64 {
    at_ms.max(not_before_ms).min(now_ms.max(not_before_ms))
}

/// Records that what serves stopped answering or answers again, or that another revision of its
/// version took its place. A report about what does not serve any more changes nothing.
pub async fn report_serving(
    app: &App,
    cause: Cause,
    environment: &str,
    model: &str,
    report: ReportServing,
) -> Result<(), DeploymentsError> {
    check_environment(environment)?;
    let input = (environment.to_owned(), model.to_owned(), report, cause);
    let changed = app
        .db
        .write(input, |tx, (environment, model, report, cause)| {
            Box::pin(apply(tx, environment, model, report, cause))
        })
        .await?;
    if changed {
        app.signals.desired_changed();
    }
    Ok(())
}

async fn apply(
    tx: &mut Conn,
    environment: &str,
    model: &str,
    report: &ReportServing,
    cause: &Cause,
) -> Result<bool, DeploymentsError> {
    check_fence(tx, environment, report.fence).await?;
    let row = deployments::find(tx, environment, model).await?.ok_or_else(|| {
        DeploymentsError::DeploymentNotFound { environment: environment.to_owned(), model: model.to_owned() }
    })?;
    let changed = match serving::open_of(tx, row.id).await? {
        Some(open) if is(&open, &report.version_uid, &report.revision_id) => {
            readiness(tx, &row, &open, report, cause).await?
        }
        _ if report.ready => replaced(tx, &row, report, cause).await?,
        _ => false,
    };
    if changed {
        deployments::bump_revision(tx, environment).await?;
    }
    Ok(changed)
}

async fn readiness(
    tx: &mut Conn,
    row: &DeploymentRow,
    open: &Open,
    report: &ReportServing,
    cause: &Cause,
) -> Result<bool, DeploymentsError> {
    let at_ms = within(report.at_ms, open.from_ms, cause.at_ms);
    let message = report.message.as_ref().map(|text| {
        let kept = text.chars().filter(|c| *c != '\0');
        kept.take(MESSAGE_MAX_CHARS).collect::<String>()
    });
    let (changed, action) = if report.ready {
        (outages::close(tx, open.id, at_ms).await?, "deployment.resumed")
    } else {
        (outages::note(tx, open.id, at_ms, message.as_deref()).await?, "deployment.held")
    };
    if changed {
        let mut event = cause.event(action, subject(row));
        event.reason = message.map(|text| text.chars().take(1000).collect());
        audit::record(tx, &event).await?;
    }
    Ok(changed)
}

/// A container that was made again may run another revision, or nothing was on record.
async fn replaced(
    tx: &mut Conn,
    row: &DeploymentRow,
    report: &ReportServing,
    cause: &Cause,
) -> Result<bool, DeploymentsError> {
    let missing = DeploymentsError::RevisionMissing { phase: "serving" };
    let revision = report.revision.as_ref().ok_or(missing)?;
    if revision.revision_id != report.revision_id {
        return Err(DeploymentsError::Invalid {
            field: "revision_id",
            value: report.revision_id.chars().take(100).collect(),
            expected: "the id of the revision beside it",
        });
    }
    match rollouts::newest_success(tx, row.id, &report.version_uid).await? {
        Some(rollout) => begin(tx, cause, row, &rollout, revision, report.at_ms).await,
        None => Err(DeploymentsError::Invalid {
            field: "version_uid",
            value: report.version_uid.chars().take(100).collect(),
            expected: "a version that a rollout brought up here",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn times_stay_between_what_was_and_now() {
        assert_eq!(within(50, 10, 100), 50);
        assert_eq!(within(5, 10, 100), 10);
        assert_eq!(within(500, 10, 100), 100);
        assert_eq!(within(50, 200, 100), 200, "a clock that went back");
    }
}
