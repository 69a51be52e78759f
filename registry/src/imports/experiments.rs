//! Experiments, under their own ids where those are free.

use super::{
    ImportsError,
    batch::{Bringing, outcome},
    check,
};
use crate::{
    db::Conn,
    runs::{self, Experiment, KeyValue, Lifecycle, location, validate},
};
use std::path::Path;
use waybill_client::api::{ImportExperiment, ImportOutcome, ImportResult, ImportedKind};

/// Ids past this leave no room for those that are given out after them.
const KEPT_ID_MAX: i64 = i64::MAX / 2;

/// Writes an experiment: a new one, one that came before, or the empty one of that name here.
pub async fn write(
    tx: &mut Conn,
    bringing: &Bringing,
    brought: &ImportExperiment,
) -> Result<ImportOutcome, ImportsError> {
    check::id("id", &brought.id)?;
    validate::experiment_name(&brought.name)?;
    check::text("name", &brought.name)?;
    check::pairs("tags", &brought.tags)?;
    check::time("created_at_ms", brought.created_at_ms)?;
    check::time("updated_at_ms", brought.updated_at_ms)?;
    let place = brought.artifact_location.as_deref().filter(|text| !text.is_empty());
    let place = place.map(|text| location::check(text, Path::new("/"))).transpose()?;
    let tags = check::key_values(&brought.tags);

    if let Some(mark) = bringing.mark_of(tx, ImportedKind::Experiment, &brought.id).await? {
        let found = existing(tx, &mark.local_id, &brought.id).await?;
        set_tags(tx, &found, &tags).await?;
        return Ok(outcome(ImportResult::Updated, &mark.local_id));
    }
    let (local_id, result) = match runs::store::experiment_named(tx, &brought.name).await? {
        Some(found) => (adopt(tx, bringing, brought, &found, place).await?, ImportResult::Updated),
        None => (insert(tx, bringing, brought, place).await?, ImportResult::Created),
    };
    for tag in &tags {
        runs::store::set_experiment_tag(tx, local_id, tag).await?;
    }
    let local_id = local_id.to_string();
    bringing.begin(tx, ImportedKind::Experiment, &brought.id, &local_id).await?;
    Ok(outcome(result, &local_id))
}

async fn existing(tx: &mut Conn, local_id: &str, id: &str) -> Result<Experiment, ImportsError> {
    let found = match local_id.parse() {
        Ok(local_id) => runs::store::experiment(tx, local_id).await?,
        Err(_) => None,
    };
    let found = found.filter(|experiment| experiment.lifecycle == Lifecycle::Active);
    found.ok_or_else(|| ImportsError::NotImported { what: "experiment", id: id.to_owned() })
}

async fn set_tags(tx: &mut Conn, experiment: &Experiment, tags: &[KeyValue]) -> Result<(), ImportsError> {
    for tag in tags.iter().filter(|tag| !experiment.tags.contains(tag)) {
        runs::store::set_experiment_tag(tx, experiment.experiment_id, tag).await?;
    }
    Ok(())
}

/// An experiment of that name may be taken over as long as it holds nothing; `Default`, which
/// everybody has, in any case.
async fn adopt(
    tx: &mut Conn,
    bringing: &Bringing,
    brought: &ImportExperiment,
    found: &Experiment,
    place: Option<String>,
) -> Result<i64, ImportsError> {
    let experiment_id = found.experiment_id;
    let empty = runs::store::is_empty_experiment(tx, experiment_id).await?;
    let default = experiment_id == 0 && brought.id == "0";
    if found.lifecycle == Lifecycle::Deleted || !(empty || default) {
        return Err(ImportsError::ExperimentTaken { name: brought.name.clone(), experiment_id });
    }
    if empty {
        let place = place.unwrap_or_else(|| location::of_experiment(bringing.root.as_deref(), experiment_id));
        let times = (brought.created_at_ms, brought.updated_at_ms);
        runs::store::take_over_experiment(tx, experiment_id, &place, times).await?;
    }
    Ok(experiment_id)
}

async fn insert(
    tx: &mut Conn,
    bringing: &Bringing,
    brought: &ImportExperiment,
    place: Option<String>,
) -> Result<i64, ImportsError> {
    let wanted = brought.id.parse().ok().filter(|id| (0..=KEPT_ID_MAX).contains(id));
    let times = (brought.created_at_ms, brought.updated_at_ms);
    let root = bringing.root.as_deref();
    let made =
        runs::store::insert_imported_experiment(tx, wanted, &brought.name, place.as_deref(), root, times)
            .await?;
    made.ok_or_else(|| runs::RunsError::ExperimentExists(brought.name.clone()).into())
}

/// The experiment that an object of the source belongs to.
pub async fn of(tx: &mut Conn, bringing: &Bringing, id: &str) -> Result<Experiment, ImportsError> {
    check::id("experiment_id", id)?;
    let mark = bringing.mark_of(tx, ImportedKind::Experiment, id).await?;
    let mark = mark.ok_or_else(|| ImportsError::NoExperiment(id.to_owned()))?;
    existing(tx, &mark.local_id, id).await
}
