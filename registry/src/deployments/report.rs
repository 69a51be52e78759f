//! What deployers report: the steps of a rollout, and that serving stopped.

use super::{
    DeploymentsError, check_environment,
    leases::check_fence,
    phase::{self, Step},
    serving::{begin, subject, within},
    store::{
        deployments,
        rollouts::{self, Advance, Found},
        serving,
    },
};
use crate::{
    app::App,
    audit::{self, Cause},
    db::Conn,
};
use waybill_client::api::{ReportRollout, ReportStopped, Rollout, RolloutPhase};

/// Longest message kept: some log lines and the probe's answers.
pub const MESSAGE_MAX_CHARS: usize = 32_000;

/// Records a step of a rollout. The switch closes the serving interval of the version before and
/// opens one for this, in the same transaction; failure leaves what serves untouched.
pub async fn report_rollout(
    app: &App,
    cause: Cause,
    rollout_id: &str,
    report: ReportRollout,
) -> Result<Rollout, DeploymentsError> {
    if phase::needs_revision(report.phase) && report.revision.is_none() {
        return Err(DeploymentsError::RevisionMissing { phase: report.phase.as_str() });
    }
    let input = (rollout_id.to_owned(), cut(report), cause);
    let rollout = app
        .db
        .write(input, |tx, (rollout_id, report, cause)| Box::pin(apply(tx, rollout_id, report, cause)))
        .await?;
    if rollout.phase.is_terminal() {
        app.signals.desired_changed();
    }
    Ok(rollout)
}

fn cut(mut report: ReportRollout) -> ReportRollout {
    if let Some(message) = &mut report.message {
        // The end tells most: last log lines come last.
        let over = message.chars().count().saturating_sub(MESSAGE_MAX_CHARS);
        *message = message.chars().skip(over).filter(|c| *c != '\0').collect();
    }
    report
}

async fn apply(
    tx: &mut Conn,
    rollout_id: &str,
    report: &ReportRollout,
    cause: &Cause,
) -> Result<Rollout, DeploymentsError> {
    let not_found =
        || DeploymentsError::RolloutNotFound { rollout_id: rollout_id.chars().take(100).collect() };
    let deployment = rollouts::find(tx, rollout_id).await?.ok_or_else(not_found)?.deployment;
    let row = deployments::by_id(tx, deployment).await?.ok_or_else(not_found)?;
    check_fence(tx, &row.environment, report.fence).await?;
    // A promotion may supersede the rollout while it is judged; then it is judged again.
    loop {
        let found = rollouts::find(tx, rollout_id).await?.ok_or_else(not_found)?;
        let (now, to) = (found.rollout.phase, report.phase);
        match phase::step(now, to) {
            Step::Repeat => return Ok(found.rollout),
            Step::OutOfOrder => {
                return Err(DeploymentsError::PhaseOrder {
                    rollout_id: rollout_id.to_owned(),
                    phase: now.as_str(),
                    to: to.as_str(),
                });
            }
            Step::Ended => {
                return Err(DeploymentsError::RolloutEnded {
                    rollout_id: rollout_id.to_owned(),
                    phase: now.as_str(),
                    to: to.as_str(),
                });
            }
            Step::Apply if advance(tx, &found, report, cause.at_ms).await? => {
                if let (RolloutPhase::Draining | RolloutPhase::Succeeded, Some(revision)) =
                    (to, &report.revision)
                {
                    let at_ms = report.switched_at_ms.unwrap_or(cause.at_ms);
                    begin(tx, cause, &row, &found.rollout, revision, at_ms).await?;
                }
                if to.is_terminal() {
                    end(tx, &found, &row, report, cause).await?;
                }
                return Ok(rollouts::find(tx, rollout_id).await?.ok_or_else(not_found)?.rollout);
            }
            Step::Apply => {}
        }
    }
}

async fn advance(
    tx: &mut Conn,
    found: &Found,
    report: &ReportRollout,
    now_ms: i64,
) -> Result<bool, DeploymentsError> {
    let revision = report.revision.as_ref().map(serde_json::to_string).transpose();
    let revision = revision.map_err(|e| DeploymentsError::Invalid {
        field: "revision",
        value: e.to_string(),
        expected: "a revision",
    })?;
    let step = Advance {
        rollout_id: &found.rollout.rollout_id,
        from: found.rollout.phase,
        to: report.phase,
        reason_code: report.reason_code.as_deref(),
        message: report.message.as_deref(),
        revision,
        ended_at_ms: report.phase.is_terminal().then_some(now_ms),
    };
    Ok(rollouts::advance(tx, &step).await?)
}

async fn end(
    tx: &mut Conn,
    found: &Found,
    deployment: &deployments::DeploymentRow,
    report: &ReportRollout,
    cause: &Cause,
) -> Result<(), DeploymentsError> {
    let rollout = &found.rollout;
    let succeeded = report.phase == RolloutPhase::Succeeded;
    let action = if succeeded { "rollout.succeeded" } else { "rollout.failed" };
    let name = format!("{}@{}", deployment.model, rollout.version);
    let mut event =
        cause.event(action, subject(deployment)).change(Some(rollout.phase.as_str()), Some(&name));
    if !succeeded {
        event.reason.clone_from(&report.reason_code);
    }
    audit::record(tx, &event).await?;
    deployments::observe(tx, deployment.id, rollout.generation).await?;
    deployments::bump_revision(tx, &deployment.environment).await?;
    Ok(())
}

/// Records that nothing serves any more: the stage was emptied, or the container is gone for good.
pub async fn report_stopped(
    app: &App,
    cause: Cause,
    environment: &str,
    model: &str,
    report: ReportStopped,
) -> Result<(), DeploymentsError> {
    check_environment(environment)?;
    let input = (environment.to_owned(), model.to_owned(), report, cause);
    app.db
        .write(input, |tx, (environment, model, report, cause)| {
            Box::pin(stop(tx, environment, model, report, cause))
        })
        .await?;
    app.signals.desired_changed();
    Ok(())
}

async fn stop(
    tx: &mut Conn,
    environment: &str,
    model: &str,
    report: &ReportStopped,
    cause: &Cause,
) -> Result<(), DeploymentsError> {
    check_fence(tx, environment, report.fence).await?;
    let row = deployments::find(tx, environment, model).await?.ok_or_else(|| {
        DeploymentsError::DeploymentNotFound { environment: environment.to_owned(), model: model.to_owned() }
    })?;
    if report.generation > row.generation {
        return Err(DeploymentsError::Invalid {
            field: "generation",
            value: report.generation.to_string(),
            expected: "a generation that was desired",
        });
    }
    // A stop that reports late says nothing about what a newer rollout has brought up since.
    let open = serving::open_of(tx, row.id).await?.filter(|open| open.generation <= report.generation);
    deployments::observe(tx, row.id, report.generation).await?;
    let Some(open) = open else {
        return Ok(());
    };
    let at_ms = within(report.at_ms.unwrap_or(cause.at_ms), open.from_ms, cause.at_ms);
    serving::close(tx, open.id, at_ms).await?;
    deployments::bump_revision(tx, environment).await?;
    let served = row.serving_version.map(|version| format!("{model}@{version}"));
    let mut event = cause.event("deployment.stopped", subject(&row)).change(served.as_deref(), None);
    event.reason = Some(report.message.chars().filter(|c| *c != '\0').take(1000).collect());
    audit::record(tx, &event).await?;
    Ok(())
}
