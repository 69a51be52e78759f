//! Tells webhooks of changes, in the transaction that makes them. Prompts are registered models with
//! a tag, and have events of their own.

use super::{
    IS_PROMPT_TAG, Model, ModelsError, Tagged, Tags, Version,
    manage::find_model,
    marks_prompt,
    store::tags::{self, Owner},
};
use crate::{
    db::{Conn, DbError},
    ids::Ids,
    webhooks::{Event, Kept, announce, anyone_listens},
};

/// Tags by which MLflow keeps what a prompt is; they are no news.
const PROMPT_TYPE_TAG: &str = "_mlflow_prompt_type";
const PROMPT_TEXT_TAG: &str = "mlflow.prompt.text";

fn kept(tags: &Tags) -> Kept {
    if marks_prompt(tags) { Kept::Prompt } else { Kept::Model }
}

/// As the model's own tags say now.
async fn kept_as(tx: &mut Conn, model_id: i64) -> Result<Kept, DbError> {
    let found = tags::of(tx, Owner::Model, &[model_id]).await?.remove(&model_id);
    Ok(kept(&found.unwrap_or_default()))
}

fn of_a_prompt(tags: &Tags) -> Tags {
    let mut tags = tags.clone();
    tags.retain(|key, _| key != IS_PROMPT_TAG && key != PROMPT_TYPE_TAG);
    tags
}

pub async fn model_created(
    tx: &mut Conn,
    ids: &dyn Ids,
    at_ms: i64,
    model: &Model,
    tags: &Tags,
) -> Result<(), ModelsError> {
    let kept = kept(tags);
    let told = if kept == Kept::Prompt { of_a_prompt(tags) } else { tags.clone() };
    let event = Event::model_created(kept, &model.name, told, model.description.as_deref());
    Ok(announce(tx, ids, at_ms, &event).await?)
}

pub async fn version_created(
    tx: &mut Conn,
    ids: &dyn Ids,
    at_ms: i64,
    version: &Version,
    tags: &Tags,
) -> Result<(), ModelsError> {
    let named = (version.name.as_str(), version.version);
    let description = version.description.as_deref().filter(|text| !text.is_empty());
    let event = if kept(tags) == Kept::Prompt {
        let mut told = of_a_prompt(tags);
        let template = told.remove(PROMPT_TEXT_TAG);
        Event::prompt_version_created(named, template, told, description)
    } else {
        let run_id = version.run_id.as_deref();
        Event::version_created(named, &version.source, run_id, tags.clone(), description)
    };
    Ok(announce(tx, ids, at_ms, &event).await?)
}

/// A tag was set, or deleted where there is no value.
pub async fn tag(
    tx: &mut Conn,
    ids: &dyn Ids,
    at_ms: i64,
    on: &Tagged,
    key: &str,
    value: Option<&str>,
) -> Result<(), ModelsError> {
    if !anyone_listens(tx).await? {
        return Ok(());
    }
    let (Tagged::Model(name) | Tagged::Version(name, _)) = on;
    let model = find_model(tx, name).await?;
    let kept = kept_as(tx, model.model_id).await?;
    let event = match (on, kept) {
        (Tagged::Model(name), Kept::Prompt) => Event::prompt_tag(name, key, value),
        // MLflow has no such event.
        (Tagged::Model(_), Kept::Model) => return Ok(()),
        (Tagged::Version(name, version), kept) => Event::version_tag(kept, (name, *version), key, value),
    };
    Ok(announce(tx, ids, at_ms, &event).await?)
}

/// An alias was pointed to a version, or deleted where there is none.
pub async fn alias(
    tx: &mut Conn,
    ids: &dyn Ids,
    at_ms: i64,
    model: &Model,
    alias: &str,
    version: Option<i64>,
) -> Result<(), ModelsError> {
    if !anyone_listens(tx).await? {
        return Ok(());
    }
    let kept = kept_as(tx, model.model_id).await?;
    Ok(announce(tx, ids, at_ms, &Event::alias(kept, &model.name, alias, version)).await?)
}
