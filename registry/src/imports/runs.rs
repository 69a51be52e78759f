//! Runs under their own ids, and the histories of their metrics.

use super::{
    ImportsError,
    batch::{Bringing, outcome},
    check, experiments,
};
use crate::{
    db::Conn,
    runs::{
        self, Dataset, DatasetInput, LoggedMetric, Metric, Run, RunStatus, location,
        store::{ImportedRun, ModelRole},
        validate,
    },
};
use waybill_client::api::{ImportMetrics, ImportOutcome, ImportPoint, ImportResult, ImportRun, ImportedKind};

/// Writes a run with all but its metrics.
pub async fn write(
    tx: &mut Conn,
    bringing: &Bringing,
    brought: &ImportRun,
) -> Result<ImportOutcome, ImportsError> {
    let status = check(brought)?;
    let datasets = datasets(brought)?;
    let place = brought.artifact_uri.as_deref().filter(|text| !text.is_empty());
    let place = place.map(location::check_kept).transpose()?;
    let mark = bringing.mark_of(tx, ImportedKind::Run, &brought.id).await?;
    let found = runs::store::get(tx, &brought.id).await?;
    let (run, result) = match (mark, found) {
        (Some(_), Some(run)) => {
            refuse_changed_params(tx, &run, brought).await?;
            runs::store::update(tx, run.rid, Some(status), brought.end_time_ms).await?;
            runs::store::rename(tx, run.rid, &brought.name).await?;
            (run, ImportResult::Updated)
        }
        (None, Some(_)) => return Err(ImportsError::Taken { what: "run", id: brought.id.clone() }),
        (_, None) => {
            let experiment = experiments::of(tx, bringing, &brought.experiment_id).await?;
            let new = ImportedRun {
                run_id: brought.id.clone(),
                experiment_id: experiment.experiment_id,
                name: brought.name.clone(),
                user_id: brought.user_id.clone(),
                status,
                start_time_ms: brought.start_time_ms,
                end_time_ms: brought.end_time_ms,
                artifact_uri: place
                    .unwrap_or_else(|| location::of_run(&experiment.artifact_location, &brought.id)),
            };
            (runs::store::insert_imported(tx, &new).await?, ImportResult::Created)
        }
    };
    runs::store::log_params(tx, &run, &check::key_values(&brought.params)).await?;
    runs::store::set_tags(tx, &run, &check::key_values(&brought.tags)).await?;
    runs::store::log_datasets(tx, &run, &datasets).await?;
    let inputs: Vec<(String, i64)> = brought.model_inputs.iter().map(|id| (id.clone(), 0)).collect();
    runs::store::log_models(tx, &run, ModelRole::Input, &inputs).await?;
    let outputs: Vec<(String, i64)> =
        brought.model_outputs.iter().map(|output| (output.model_id.clone(), output.step)).collect();
    runs::store::log_models(tx, &run, ModelRole::Output, &outputs).await?;
    bringing.begin(tx, ImportedKind::Run, &brought.id, &brought.id).await?;
    Ok(outcome(result, &brought.id))
}

fn check(brought: &ImportRun) -> Result<RunStatus, ImportsError> {
    validate::run_id(&brought.id)?;
    check::short("name", &brought.name, validate::TAG_VALUE_MAX)?;
    check::short("user_id", &brought.user_id, 500)?;
    check::time("start_time_ms", brought.start_time_ms)?;
    check::time("end_time_ms", brought.end_time_ms.unwrap_or_default())?;
    check::named_pairs("params", &brought.params)?;
    check::pairs("tags", &brought.tags)?;
    let outputs = brought.model_outputs.iter().map(|output| &output.model_id);
    for model_id in brought.model_inputs.iter().chain(outputs) {
        check::id("model_id", model_id)?;
    }
    RunStatus::parse(&brought.status).ok_or_else(|| {
        let shown: String = brought.status.chars().take(50).collect();
        let expected = RunStatus::ALL.map(RunStatus::as_str).join(", ");
        ImportsError::invalid("status", format!("it is {shown:?}; expected one of {expected}"))
    })
}

fn datasets(brought: &ImportRun) -> Result<Vec<DatasetInput>, ImportsError> {
    let mut inputs = Vec::with_capacity(brought.datasets.len());
    for dataset in &brought.datasets {
        for (field, text) in [
            ("datasets.name", Some(&dataset.name)),
            ("datasets.digest", Some(&dataset.digest)),
            ("datasets.source_type", Some(&dataset.source_type)),
            ("datasets.source", Some(&dataset.source)),
            ("datasets.schema", dataset.schema.as_ref()),
            ("datasets.profile", dataset.profile.as_ref()),
        ] {
            check::text(field, text.map_or("", String::as_str))?;
        }
        for (key, value) in &dataset.tags {
            check::text("datasets.tags", key)?;
            check::text("datasets.tags", value)?;
        }
        inputs.push(DatasetInput {
            dataset: Dataset {
                name: dataset.name.clone(),
                digest: dataset.digest.clone(),
                source_type: dataset.source_type.clone(),
                source: dataset.source.clone(),
                schema: dataset.schema.clone(),
                profile: dataset.profile.clone(),
            },
            tags: check::key_values(&dataset.tags),
        });
    }
    validate::dataset_inputs(&inputs)?;
    Ok(inputs)
}

/// Before anything is written: a parameter has one value for ever.
async fn refuse_changed_params(tx: &mut Conn, run: &Run, brought: &ImportRun) -> Result<(), ImportsError> {
    let stored = runs::store::params(tx, &run.run_id).await?;
    for param in stored {
        if let Some(new) = brought.params.get(&param.key).filter(|new| **new != param.value) {
            return Err(runs::RunsError::ParamChanged {
                key: param.key,
                old: param.value,
                new: new.clone(),
                run_id: run.run_id.clone(),
            }
            .into());
        }
    }
    Ok(())
}

/// Writes values of a run's metrics; those that are here already are left alone.
pub async fn metrics(
    tx: &mut Conn,
    bringing: &Bringing,
    brought: &ImportMetrics,
) -> Result<ImportOutcome, ImportsError> {
    let points = brought.points.iter().map(point).collect::<Result<Vec<Metric>, _>>()?;
    let missing = || ImportsError::NotImported { what: "run", id: brought.run_id.clone() };
    check::id("run_id", &brought.run_id)?;
    bringing.mark_of(tx, ImportedKind::Run, &brought.run_id).await?.ok_or_else(missing)?;
    let run = runs::store::get(tx, &brought.run_id).await?.ok_or_else(missing)?;
    runs::store::log_metrics(tx, &run, points.iter()).await?;
    Ok(outcome(ImportResult::Updated, &brought.run_id))
}

/// A value of a metric, by MLflow's rules.
pub fn point(brought: &ImportPoint) -> Result<Metric, ImportsError> {
    let metric = Metric {
        key: brought.key.clone(),
        value: brought.value.0,
        timestamp_ms: brought.timestamp_ms,
        step: brought.step,
    };
    let logged = LoggedMetric { metric, model_id: None, dataset_name: None, dataset_digest: None };
    validate::metric(&logged, "metrics")?;
    Ok(logged.metric)
}
