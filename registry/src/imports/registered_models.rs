//! Registered models and prompts, and the aliases of their versions.

use super::{
    ImportsError,
    batch::{Bringing, outcome},
    check,
};
use crate::{
    audit,
    db::Conn,
    models::{
        self, Model,
        store::{
            aliases, models as store,
            tags::{self, Owner},
            versions,
        },
    },
};
use waybill_client::api::{ImportAliases, ImportOutcome, ImportRegisteredModel, ImportResult, ImportedKind};

/// Writes a registered model without its versions.
pub async fn write(
    tx: &mut Conn,
    bringing: &Bringing,
    brought: &ImportRegisteredModel,
) -> Result<ImportOutcome, ImportsError> {
    models::check_model_name(&brought.name)?;
    models::check_description(brought.description.as_deref())?;
    for (key, value) in &brought.tags {
        models::check_tag(key, value)?;
    }
    check::time("created_at_ms", brought.created_at_ms)?;
    check::time("updated_at_ms", brought.updated_at_ms)?;
    if bringing.mark_of(tx, ImportedKind::RegisteredModel, &brought.name).await?.is_some() {
        let model = of(tx, bringing, &brought.name).await?;
        let (description, at_ms) = (brought.description.clone(), brought.updated_at_ms);
        store::set_description(tx, model.model_id, description, at_ms).await?;
        tags::set(tx, Owner::Model, model.model_id, &brought.tags).await?;
        record(tx, bringing, "registered_model.updated", &brought.name).await?;
        return Ok(outcome(ImportResult::Updated, &model.model_id.to_string()));
    }
    let made = store::insert(tx, &brought.name, brought.description.clone(), brought.created_at_ms).await?;
    let taken = || ImportsError::Taken { what: "registered model", id: brought.name.clone() };
    let model_id = made.ok_or_else(taken)?;
    store::touch(tx, model_id, brought.updated_at_ms).await?;
    tags::set(tx, Owner::Model, model_id, &brought.tags).await?;
    record(tx, bringing, "registered_model.imported", &brought.name).await?;
    let local_id = model_id.to_string();
    bringing.begin(tx, ImportedKind::RegisteredModel, &brought.name, &local_id).await?;
    Ok(outcome(ImportResult::Created, &local_id))
}

async fn record(
    tx: &mut Conn,
    bringing: &Bringing,
    action: &'static str,
    name: &str,
) -> Result<(), ImportsError> {
    Ok(audit::record(tx, &bringing.cause.event(action, name)).await?)
}

/// The model that came by this import under that name, as long as it is that.
pub async fn of(tx: &mut Conn, bringing: &Bringing, name: &str) -> Result<Model, ImportsError> {
    let mark = bringing.mark_of(tx, ImportedKind::RegisteredModel, name).await?;
    let found = store::find(tx, name).await?;
    let found = found.filter(|model| mark.is_some_and(|mark| mark.local_id == model.model_id.to_string()));
    found.ok_or_else(|| ImportsError::NotImported { what: "registered model", id: name.to_owned() })
}

/// Points a model's aliases to the versions that they had, and gives it back its time.
pub async fn aliases(
    tx: &mut Conn,
    bringing: &Bringing,
    brought: &ImportAliases,
) -> Result<ImportOutcome, ImportsError> {
    models::check_model_name(&brought.name)?;
    check::time("updated_at_ms", brought.updated_at_ms)?;
    for alias in brought.aliases.keys() {
        models::check_new_alias(alias)?;
    }
    let model = of(tx, bringing, &brought.name).await?;
    for number in brought.aliases.values() {
        if versions::find(tx, &brought.name, *number).await?.is_none() {
            return Err(models::ModelsError::version_not_found(&brought.name, *number).into());
        }
    }
    for (alias, number) in &brought.aliases {
        let before = aliases::find(tx, model.model_id, alias).await?;
        if before == Some(*number) {
            continue;
        }
        aliases::set(tx, model.model_id, alias, *number).await?;
        let name = &brought.name;
        let before = before.map(|number| format!("{name}@{number}"));
        let event = bringing.cause.event("alias.set", format!("{name}@alias:{alias}"));
        let event = event.change(before.as_deref(), Some(&format!("{name}@{number}")));
        audit::record(tx, &event).await?;
    }
    store::touch(tx, model.model_id, brought.updated_at_ms).await?;
    Ok(outcome(ImportResult::Updated, &model.model_id.to_string()))
}
