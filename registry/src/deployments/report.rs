//! What deployers report: the steps of a rollout, and that serving stopped.

use super::{
    DeploymentsError, check_environment,
    leases::check_fence,
    phase::{self, Step},
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
const MESSAGE_MAX_CHARS: usize = 32_000;

/// Records a step of a rollout. Success closes the serving interval of the version before and
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
    let subject = format!("{}/{}", deployment.environment, deployment.model);
    let name = |version: i64| format!("{}@{version}", deployment.model);
    let event = if let (RolloutPhase::Succeeded, Some(revision)) = (report.phase, &report.revision) {
        serving::close(tx, deployment.id, cause.at_ms).await?;
        let interval = serving::NewInterval {
            deployment: deployment.id,
            version_uid: &rollout.version_uid,
            revision_id: &revision.revision_id,
            rollout_id: &rollout.rollout_id,
            actor: &rollout.actor,
            reason: rollout.reason.as_deref(),
            from_ms: cause.at_ms,
        };
        serving::open(tx, &interval).await?;
        cause
            .event("rollout.succeeded", subject)
            .change(deployment.serving_version.map(name).as_deref(), Some(&name(rollout.version)))
    } else {
        let mut event = cause
            .event("rollout.failed", subject)
            .change(Some(rollout.phase.as_str()), Some(&name(rollout.version)));
        event.reason.clone_from(&report.reason_code);
        event
    };
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
    let closed = serving::close_up_to(tx, row.id, report.generation, cause.at_ms).await?;
    deployments::observe(tx, row.id, report.generation).await?;
    if closed == 0 {
        return Ok(());
    }
    deployments::bump_revision(tx, environment).await?;
    let served = row.serving_version.map(|version| format!("{model}@{version}"));
    let mut event =
        cause.event("deployment.stopped", format!("{environment}/{model}")).change(served.as_deref(), None);
    event.reason = Some(report.message.chars().filter(|c| *c != '\0').take(1000).collect());
    audit::record(tx, &event).await?;
    Ok(())
}
