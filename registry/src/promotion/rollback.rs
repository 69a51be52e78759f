//! Back to what an environment served before.

use super::{
    PromotionError, store,
    transition::{found, leave, lock},
};
use crate::{
    app::App,
    audit::{self, Cause},
    db::Conn,
    deployments::{
        DeploymentsError, check_environment, converge, has_stopped,
        store::{
            deployments::{self, DeploymentRow},
            serving::{self, Served},
        },
    },
    idempotency::{Claim, Once, claim},
    ids::Ids,
    models::{
        ModelsError, Version, stage,
        store::{models, versions},
    },
};
use std::{collections::BTreeSet, sync::Arc};
use waybill_client::api::{CreateRollback, Custody, Promotion, PromotionKind, Stage};

/// Serving intervals that are searched for an earlier version.
const INTERVALS_MAX: i64 = 1_000;

struct Input {
    name: String,
    stage: Stage,
    request: CreateRollback,
    cause: Cause,
    once: Option<Once>,
    ids: Arc<dyn Ids>,
    promotion_id: String,
}

/// Makes the environment desire an earlier version and takes the replaced ones out of the stage,
/// so that MLflow clients that load by stage get the earlier one too.
pub async fn rollback(
    app: &App,
    cause: Cause,
    name: &str,
    request: CreateRollback,
    once: Option<Once>,
) -> Result<Promotion, PromotionError> {
    check_environment(&request.environment)?;
    let stage = stage::parse(&request.environment)
        .ok_or_else(|| DeploymentsError::EnvironmentUnknown { environment: request.environment.clone() })?;
    let cause = Cause { reason: request.reason.clone(), ..cause };
    let input = Input {
        name: name.to_owned(),
        stage,
        request,
        cause,
        once,
        ids: Arc::clone(&app.ids),
        promotion_id: app.ids.prefixed("pro"),
    };
    let promotion = app.db.write(input, |tx, input| Box::pin(apply(tx, input))).await?;
    app.signals.desired_changed();
    Ok(promotion)
}

async fn apply(tx: &mut Conn, input: &Input) -> Result<Promotion, PromotionError> {
    let Input { name, stage, request, cause, once, ids, promotion_id } = input;
    let (stage, environment) = (*stage, request.environment.as_str());
    if let Claim::Done(earlier) = claim(tx, once.as_ref(), promotion_id, cause.at_ms).await? {
        return found(store::find(tx, &earlier).await?);
    }
    let target = target(tx, input).await?;
    let mut touched = BTreeSet::from([target.stage]);
    let from = target.stage;
    versions::set_stage(tx, target.version_id, stage, cause.at_ms).await?;
    for other in versions::in_stage(tx, target.model_id, stage).await? {
        if other.version > target.version {
            touched.insert(leave(tx, cause, &other).await?);
        }
    }
    for stage_left in touched.into_iter().filter(|left| *left != stage) {
        converge(tx, ids.as_ref(), cause, target.model_id, stage_left, None).await?;
    }
    let desire = converge(tx, ids.as_ref(), cause, target.model_id, stage, Some(&target.uid)).await?;
    let promotion = Promotion {
        promotion_id: promotion_id.clone(),
        kind: PromotionKind::Rollback,
        name: name.clone(),
        version: target.version,
        version_uid: target.uid.clone(),
        from,
        to: stage,
        actor: cause.actor.clone(),
        reason: cause.reason.clone(),
        applied_at_ms: cause.at_ms,
        rollout_id: desire.rollout_id,
        note: None,
    };
    store::insert(tx, target.model_id, &promotion).await?;
    let event = cause
        .event("model_version.rolled_back_to", target.subject())
        .change(Some(from.as_str()), Some(environment));
    audit::record(tx, &event).await?;
    Ok(promotion)
}

/// The version to go back to, its model locked.
async fn target(tx: &mut Conn, input: &Input) -> Result<Version, PromotionError> {
    let Input { name, request, cause, .. } = input;
    let environment = request.environment.as_str();
    let model = models::find(tx, name).await?.ok_or_else(|| ModelsError::model_not_found(name))?;
    models::touch(tx, model.model_id, cause.at_ms).await?;
    let deployment = deployments::find_of_model(tx, environment, model.model_id).await?;
    let version = match request.to_version {
        Some(number) => lock(tx, name, number, cause.at_ms).await?,
        None => {
            let nothing = |why| PromotionError::NothingToRollBackTo {
                name: name.clone(),
                environment: environment.to_owned(),
                why,
            };
            let deployment = deployment.as_ref().ok_or_else(|| nothing("it was never deployed there"))?;
            let uid = served_before(tx, deployment).await?.map_err(nothing)?;
            let found = versions::find_by_uid(tx, &uid).await?;
            found.ok_or_else(|| ModelsError::UidNotFound { uid })?
        }
    };
    if version.custody != Custody::Frozen {
        return Err(ModelsError::NotFrozen {
            subject: version.subject(),
            custody: stage::custody_text(version.custody),
            source_uri: version.source,
        }
        .into());
    }
    if let Some(deployment) = deployment
        && deployment.desired_uid.as_deref() == Some(version.uid.as_str())
        && !has_stopped(tx, &deployment).await?
    {
        let environment = environment.to_owned();
        return Err(PromotionError::AlreadyDesired { subject: version.subject(), environment });
    }
    Ok(version)
}

/// The uid to go back to. While what is desired does not serve (its rollout runs or failed), that
/// is what serves; else what served before it.
async fn served_before(
    tx: &mut Conn,
    deployment: &DeploymentRow,
) -> Result<Result<String, &'static str>, PromotionError> {
    if let Some(serving) = &deployment.serving_uid
        && deployment.desired_uid.as_ref() != Some(serving)
    {
        return Ok(Ok(serving.clone()));
    }
    let mut intervals = serving::newest(tx, deployment.id, INTERVALS_MAX).await?;
    intervals.reverse();
    Ok(previous(&intervals, deployment.serving_uid.as_deref()))
}

/// Undo history over intervals, oldest first: a promotion adds to it, a rollback takes back what
/// came after the version that it went to. So a second rollback goes further back, never forward
/// to the version that was rolled back from.
fn previous(intervals: &[Served], serving: Option<&str>) -> Result<String, &'static str> {
    let mut stack: Vec<&Served> = Vec::new();
    for interval in intervals {
        if interval.rollbacks > 0 {
            match stack.iter().rposition(|s| s.version_uid == interval.version_uid) {
                Some(at) => stack.truncate(at),
                None => stack.clear(),
            }
        }
        stack.push(interval);
    }
    stack
        .into_iter()
        .rev()
        .find(|s| serving != Some(s.version_uid.as_str()) && s.deleted_at_ms.is_none())
        .map(|s| s.version_uid.clone())
        .ok_or(if intervals.is_empty() { "nothing has served there" } else { "nothing served before" })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `b` = promotion, `<b` = rollback, `b!` = deleted since.
    fn intervals(text: &str) -> Vec<Served> {
        text.split_whitespace()
            .map(|word| Served {
                version_uid: word.trim_matches(['<', '!']).to_owned(),
                deleted_at_ms: word.ends_with('!').then_some(1),
                rollbacks: i64::from(word.starts_with('<')),
            })
            .collect()
    }

    #[test]
    fn goes_further_back_each_time() {
        for (history, serving, expected) in [
            ("a b", Some("b"), Ok("a")),
            ("a b c <b", Some("b"), Ok("a")),
            ("a b <a", Some("a"), Err("nothing served before")),
            ("a b a", Some("a"), Ok("b")),
            ("a a b", Some("b"), Ok("a")),
            ("a b! c", Some("c"), Ok("a")),
            ("a", Some("a"), Err("nothing served before")),
            ("a b", None, Ok("b")),
            ("b <a", Some("a"), Err("nothing served before")),
            ("", None, Err("nothing has served there")),
        ] {
            let found = previous(&intervals(history), serving);
            assert_eq!(found, expected.map(str::to_owned), "{history}");
        }
    }
}
