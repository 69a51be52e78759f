//! A version moves to a stage, and the deployments that follow the stages move with it.

use super::{PromotionError, store};
use crate::{
    app::App,
    audit::{self, Cause},
    db::{Conn, DbError},
    deployments::converge,
    idempotency::{Claim, Once, claim},
    ids::Ids,
    models::{
        ModelsError, Version, stage,
        store::{models, versions},
    },
};
use std::{collections::BTreeSet, sync::Arc};
use waybill_client::api::{Custody, Promotion, PromotionKind, Stage};

/// What to do with the versions that are in the stage already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// Native: higher ones leave, back to where they came from, so that the stage means this one.
    Yield,
    /// MLflow: they stay.
    Stay,
    /// MLflow's `archive_existing_versions`.
    Archive,
}

/// A transition asked for.
#[derive(Debug, Clone)]
pub struct Transition {
    pub name: String,
    pub version: i64,
    pub to: Stage,
    pub others: Others,
    pub once: Option<Once>,
}

struct Input {
    transition: Transition,
    cause: Cause,
    ids: Arc<dyn Ids>,
    promotion_id: String,
}

/// Records the transition and what the environments desire from now on. Returns once committed;
/// the rollout goes on by itself.
pub async fn promote(app: &App, cause: Cause, transition: Transition) -> Result<Promotion, PromotionError> {
    let input = Input { transition, cause, ids: Arc::clone(&app.ids), promotion_id: app.ids.prefixed("pro") };
    let promotion = app.db.write(input, |tx, input| Box::pin(apply(tx, input))).await?;
    app.signals.desired_changed();
    Ok(promotion)
}

async fn apply(tx: &mut Conn, input: &Input) -> Result<Promotion, PromotionError> {
    let Input { transition, cause, ids, promotion_id } = input;
    if let Claim::Done(earlier) = claim(tx, transition.once.as_ref(), promotion_id, cause.at_ms).await? {
        return found(store::find(tx, &earlier).await?);
    }
    let (name, to) = (&transition.name, transition.to);
    let version = lock(tx, name, transition.version, cause.at_ms).await?;
    let from = version.stage;
    versions::set_stage(tx, version.version_id, to, cause.at_ms).await?;
    let mut touched = BTreeSet::from([from]);
    for other in versions::in_stage(tx, version.model_id, to).await? {
        match transition.others {
            Others::Yield if other.version > version.version && stage::environment(to).is_some() => {
                touched.insert(leave(tx, cause, &other).await?);
            }
            Others::Archive if other.version != version.version => {
                relabel(tx, cause, &other, Stage::Archived).await?;
            }
            _ => {}
        }
    }
    for stage in touched.into_iter().filter(|stage| *stage != to) {
        converge(tx, ids.as_ref(), cause, version.model_id, stage, None).await?;
    }
    let desire = converge(tx, ids.as_ref(), cause, version.model_id, to, Some(&version.uid)).await?;
    let promotion = Promotion {
        promotion_id: promotion_id.clone(),
        kind: PromotionKind::Promotion,
        name: name.clone(),
        version: version.version,
        from,
        to,
        actor: cause.actor.clone(),
        reason: cause.reason.clone(),
        applied_at_ms: cause.at_ms,
        note: note(&version, to, desire.version_uid.as_deref()),
        rollout_id: desire.rollout_id.filter(|_| version.custody == Custody::Frozen),
        version_uid: version.uid.clone(),
    };
    store::insert(tx, version.model_id, &promotion).await?;
    let event = cause
        .event("model_version.promoted", version.subject())
        .change(Some(from.as_str()), Some(to.as_str()));
    audit::record(tx, &event).await?;
    Ok(promotion)
}

pub(super) fn found(promotion: Option<Promotion>) -> Result<Promotion, PromotionError> {
    let missing = || DbError::Corrupt { what: "idempotency key", detail: "its promotion is gone".into() };
    Ok(promotion.ok_or_else(missing)?)
}

/// The version, with its model held until the transaction ends, so that transitions of one model
/// happen one after the other.
pub(super) async fn lock(
    tx: &mut Conn,
    name: &str,
    version: i64,
    now_ms: i64,
) -> Result<Version, PromotionError> {
    let model = models::find(tx, name).await?.ok_or_else(|| ModelsError::model_not_found(name))?;
    models::touch(tx, model.model_id, now_ms).await?;
    let found = versions::find(tx, name, version).await?;
    Ok(found.ok_or_else(|| ModelsError::version_not_found(name, version))?)
}

/// Takes a version out of its stage, back to the stage that it came from, which is told.
pub(super) async fn leave(tx: &mut Conn, cause: &Cause, version: &Version) -> Result<Stage, PromotionError> {
    let before = store::stage_before(tx, &version.uid, version.stage).await?.unwrap_or(Stage::None);
    relabel(tx, cause, version, before).await?;
    Ok(before)
}

async fn relabel(tx: &mut Conn, cause: &Cause, version: &Version, to: Stage) -> Result<(), PromotionError> {
    versions::set_stage(tx, version.version_id, to, cause.at_ms).await?;
    let event = cause
        .event("model_version.stage_changed", version.subject())
        .change(Some(version.stage.as_str()), Some(to.as_str()));
    audit::record(tx, &event).await?;
    Ok(())
}

fn note(version: &Version, to: Stage, desired_uid: Option<&str>) -> Option<String> {
    let environment = stage::environment(to)?;
    if version.custody != Custody::Frozen {
        return Some(format!(
            "{} has the stage {environment}, but Waybill holds no files of it (custody {}, source {}): \
             it cannot be verified, so it is not deployed",
            version.subject(),
            stage::custody_text(version.custody),
            version.source,
        ));
    }
    (desired_uid != Some(version.uid.as_str())).then(|| {
        format!("a higher version of {} keeps the stage {environment} and stays deployed", version.name)
    })
}
