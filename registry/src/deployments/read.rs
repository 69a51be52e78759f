//! Deployments as callers see them, and the wait for a change.

use super::{
    DeploymentsError, check_environment,
    signals::Woken,
    store::{
        deployments::{self, DeploymentRow},
        rollouts::{self, read_revision},
    },
};
use crate::{app::App, db::DbError, models::stage};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::time::Duration;
use tokio::time::Instant;
use waybill_client::api::{
    Deployment, DesiredRevision, DesiredState, Outage, Rollout, ServingRevision, Stage,
};

/// RFC 3986 unreserved characters stay.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Longest wait of one request, under the idle timeout of usual proxies.
const WAIT_MAX_MS: u64 = 55_000;

fn assemble(row: DeploymentRow, rollout: Option<Rollout>) -> Result<Deployment, DbError> {
    let corrupt = |detail: &str| DbError::Corrupt { what: "deployment", detail: detail.to_owned() };
    let served_as = read_revision(row.served_as)?;
    let revision = read_revision(row.serving_revision)?;
    let outage = row.outage_from_ms.map(|from_ms| Outage { from_ms, to_ms: None, reason: row.outage_reason });
    let follows: Stage = stage::parse(&row.environment).ok_or_else(|| corrupt(&row.environment))?;
    let desired = match (row.desired_uid, row.desired_version, row.desired_manifest, row.desired_rollout_id) {
        (Some(version_uid), Some(version), Some(manifest), Some(rollout_id)) => Some(DesiredRevision {
            version,
            version_uid,
            manifest_digest: manifest.parse().map_err(|_| corrupt(&manifest))?,
            rollout_id,
            served_as,
        }),
        (None, ..) => None,
        _ => return Err(corrupt("desires a version that is not frozen")),
    };
    let serving = match (row.serving_revision_id, row.serving_version, row.serving_uid, row.serving_since_ms)
    {
        (Some(revision_id), Some(version), Some(version_uid), Some(since_ms)) => {
            Some(ServingRevision { revision_id, version, version_uid, since_ms, revision, outage })
        }
        _ => None,
    };
    let segment = utf8_percent_encode(&row.model, SEGMENT);
    Ok(Deployment {
        gateway_path: format!("/{}/{segment}", row.environment),
        deployment_id: row.deployment_id,
        environment: row.environment,
        model: row.model,
        follows,
        desired,
        serving,
        rollout,
        generation: row.generation,
        observed_generation: row.observed_generation,
    })
}

/// The deployment of `model` in `environment`.
pub async fn deployment(app: &App, environment: &str, model: &str) -> Result<Deployment, DeploymentsError> {
    check_environment(environment)?;
    let mut conn = app.db.snapshot().await?;
    let row = deployments::find(&mut conn, environment, model).await?.ok_or_else(|| {
        DeploymentsError::DeploymentNotFound { environment: environment.to_owned(), model: model.to_owned() }
    })?;
    let rollout = rollouts::newest_of(&mut conn, row.id).await?;
    Ok(assemble(row, rollout)?)
}

/// Deployments of one environment or of all.
pub async fn deployments(app: &App, environment: Option<&str>) -> Result<Vec<Deployment>, DeploymentsError> {
    environment.map_or(Ok(()), check_environment)?;
    let mut conn = app.db.snapshot().await?;
    let mut newest = rollouts::newest(&mut conn, environment).await?;
    let rows = deployments::all(&mut conn, environment).await?;
    rows.into_iter()
        .map(|row| {
            let rollout = newest.remove(&row.id);
            Ok(assemble(row, rollout)?)
        })
        .collect()
}

pub async fn rollout(app: &App, rollout_id: &str) -> Result<Rollout, DeploymentsError> {
    let mut conn = app.db.read().await?;
    rollouts::find(&mut conn, rollout_id).await?.map(|found| found.rollout).ok_or_else(|| {
        DeploymentsError::RolloutNotFound { rollout_id: rollout_id.chars().take(100).collect() }
    })
}

/// What `environment` desires, once its revision has passed `after_revision` or `wait_ms` are over.
pub async fn desired_state(
    app: &App,
    environment: &str,
    after_revision: Option<i64>,
    wait_ms: u64,
) -> Result<DesiredState, DeploymentsError> {
    check_environment(environment)?;
    let deadline = Instant::now() + Duration::from_millis(wait_ms.min(WAIT_MAX_MS));
    loop {
        let mut changed = std::pin::pin!(app.signals.on_desired());
        changed.as_mut().enable();
        let mut conn = app.db.snapshot().await?;
        let revision = deployments::revision(&mut conn, environment).await?.unwrap_or_default();
        let left = deadline.saturating_duration_since(Instant::now());
        if after_revision.is_none_or(|after| revision > after) || left.is_zero() {
            let mut newest = rollouts::newest(&mut conn, Some(environment)).await?;
            let rows = deployments::all(&mut conn, Some(environment)).await?;
            let deployments = rows
                .into_iter()
                .map(|row| {
                    let rollout = newest.remove(&row.id);
                    assemble(row, rollout)
                })
                .collect::<Result<_, _>>()?;
            return Ok(DesiredState { environment: environment.to_owned(), revision, deployments });
        }
        drop(conn);
        if app.signals.wait(changed, left).await == Woken::Closing {
            return Err(DbError::Closing.into());
        }
    }
}
