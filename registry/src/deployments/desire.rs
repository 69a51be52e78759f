//! Makes what an environment desires follow its stage.

use super::{
    DeploymentsError,
    store::{deployments, rollouts},
};
use crate::{
    audit::{self, Cause},
    db::Conn,
    ids::Ids,
    models::{Version, stage, store::versions},
};
use waybill_client::api::{Custody, RolloutPhase, Stage};

/// What following a stage came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Desire {
    /// The rollout that leads to what is desired now.
    pub rollout_id: Option<String>,
    /// The version that is desired now.
    pub version_uid: Option<String>,
}

/// Brings the environment that follows `to_follow` in line with the stage's labels; does nothing
/// for `none` and `archived`. `retry` names the version to bring up again when its rollout failed, or
/// succeeded and it serves no more.
/// Call it in the transaction that changed the labels, and [`super::Signals`] after its commit.
pub async fn converge(
    tx: &mut Conn,
    ids: &dyn Ids,
    cause: &Cause,
    model_id: i64,
    to_follow: Stage,
    retry: Option<&str>,
) -> Result<Desire, DeploymentsError> {
    let Some(environment) = stage::environment(to_follow) else {
        return Ok(Desire::default());
    };
    let in_stage = versions::in_stage(tx, model_id, to_follow).await?;
    let wanted = in_stage.into_iter().find(|version| version.custody == Custody::Frozen);
    let found = deployments::find_of_model(tx, environment, model_id).await?;
    let (row_id, before) = match (&found, &wanted) {
        (None, None) => return Ok(Desire::default()),
        (None, Some(_)) => {
            let deployment_id = ids.prefixed("dep");
            (deployments::insert(tx, &deployment_id, model_id, environment, cause.at_ms).await?, None)
        }
        (Some(found), _) => (found.id, found.desired_version),
    };
    if let Some(found) = &found
        && found.desired_uid == wanted.as_ref().map(|w| w.uid.clone())
        && !must_retry(tx, found, retry).await?
    {
        return Ok(Desire {
            rollout_id: found.desired_rollout_id.clone(),
            version_uid: found.desired_uid.clone(),
        });
    }
    desire(tx, ids, cause, environment, row_id, wanted.as_ref(), before).await
}

/// Whether the desired version was asked for again after its rollout failed, or after it stopped.
async fn must_retry(
    tx: &mut Conn,
    found: &deployments::DeploymentRow,
    retry: Option<&str>,
) -> Result<bool, DeploymentsError> {
    if retry.is_none() || found.desired_uid.as_deref() != retry {
        return Ok(false);
    }
    Ok(desired_phase(tx, found).await? == Some(RolloutPhase::Failed) || has_stopped(tx, found).await?)
}

/// Whether what is desired was brought up, and serves no more.
pub async fn has_stopped(
    tx: &mut Conn,
    found: &deployments::DeploymentRow,
) -> Result<bool, DeploymentsError> {
    Ok(found.desired_uid.is_some()
        && found.serving_uid != found.desired_uid
        && desired_phase(tx, found).await? == Some(RolloutPhase::Succeeded))
}

async fn desired_phase(
    tx: &mut Conn,
    found: &deployments::DeploymentRow,
) -> Result<Option<RolloutPhase>, DeploymentsError> {
    let Some(rollout_id) = &found.desired_rollout_id else {
        return Ok(None);
    };
    Ok(rollouts::find(tx, rollout_id).await?.map(|found| found.rollout.phase))
}

async fn desire(
    tx: &mut Conn,
    ids: &dyn Ids,
    cause: &Cause,
    environment: &str,
    deployment: i64,
    wanted: Option<&Version>,
    before: Option<i64>,
) -> Result<Desire, DeploymentsError> {
    let rollout_id = wanted.map(|_| ids.prefixed("rol"));
    let uid = wanted.map(|version| version.uid.as_str());
    rollouts::supersede(tx, deployment, cause.at_ms).await?;
    let generation = deployments::set_desired(tx, deployment, uid, rollout_id.as_deref()).await?;
    if let (Some(rollout_id), Some(version)) = (&rollout_id, wanted) {
        let new = rollouts::NewRollout {
            rollout_id,
            deployment,
            generation,
            version_uid: &version.uid,
            actor: &cause.actor,
            reason: cause.reason.as_deref(),
            started_at_ms: cause.at_ms,
        };
        rollouts::insert(tx, &new).await?;
    }
    deployments::bump_revision(tx, environment).await?;
    let found = deployments::by_id(tx, deployment).await?;
    let model = found.map(|found| found.model).unwrap_or_default();
    let name = |version: i64| format!("{model}@{version}");
    let event = cause
        .event("deployment.desired_changed", format!("{environment}/{model}"))
        .change(before.map(name).as_deref(), wanted.map(|version| name(version.version)).as_deref());
    audit::record(tx, &event).await?;
    Ok(Desire { rollout_id, version_uid: uid.map(str::to_owned) })
}
