//! Logged models under their own ids.

use super::{
    ImportsError,
    batch::{Bringing, outcome},
    check, experiments,
    runs::point,
};
use crate::{
    db::Conn,
    logged_models::{LoggedModel, ModelMetric, Status, store},
    runs::{Lifecycle, location, validate},
};
use waybill_client::api::{ImportLoggedModel, ImportOutcome, ImportResult, ImportedKind};

/// Writes a logged model with its params, tags and metrics.
pub async fn write(
    tx: &mut Conn,
    bringing: &Bringing,
    brought: &ImportLoggedModel,
) -> Result<ImportOutcome, ImportsError> {
    let status = check(brought)?;
    let metrics = metrics(brought)?;
    let place = brought.artifact_location.as_deref().filter(|text| !text.is_empty());
    let place = place.map(location::check_kept).transpose()?;
    let mark = bringing.mark_of(tx, ImportedKind::LoggedModel, &brought.id).await?;
    let (mid, experiment_id, result) = match (mark, store::get(tx, &brought.id).await?) {
        (Some(_), Some(found)) => {
            store::set_status(tx, found.mid, status, brought.updated_at_ms).await?;
            (found.mid, found.experiment_id, ImportResult::Updated)
        }
        (None, Some(_)) => return Err(ImportsError::Taken { what: "logged model", id: brought.id.clone() }),
        (_, None) => {
            let experiment = experiments::of(tx, bringing, &brought.experiment_id).await?;
            let place = place
                .unwrap_or_else(|| location::of_logged_model(&experiment.artifact_location, &brought.id));
            let mid = store::insert(tx, &model(brought, experiment.experiment_id, place, status)).await?;
            (mid, experiment.experiment_id, ImportResult::Created)
        }
    };
    store::add_params(tx, mid, experiment_id, &check::key_values(&brought.params)).await?;
    store::set_tags(tx, mid, experiment_id, &check::key_values(&brought.tags)).await?;
    store::add_metrics(tx, mid, experiment_id, &metrics).await?;
    bringing.begin(tx, ImportedKind::LoggedModel, &brought.id, &brought.id).await?;
    Ok(outcome(result, &brought.id))
}

fn check(brought: &ImportLoggedModel) -> Result<Status, ImportsError> {
    // Stands in paths and in `models:/` references.
    validate::run_id(&brought.id)?;
    check::short("name", &brought.name, 500)?;
    check::short("model_type", &brought.model_type, 500)?;
    check::short("source_run_id", &brought.source_run_id, 256)?;
    check::short("status_message", brought.status_message.as_deref().unwrap_or_default(), 1000)?;
    check::time("created_at_ms", brought.created_at_ms)?;
    check::time("updated_at_ms", brought.updated_at_ms)?;
    check::pairs("params", &brought.params)?;
    check::pairs("tags", &brought.tags)?;
    Status::parse(&brought.status).ok_or_else(|| {
        let shown: String = brought.status.chars().take(50).collect();
        let expected = Status::ALL.map(Status::as_str).join(", ");
        ImportsError::invalid("status", format!("it is {shown:?}; expected one of {expected}"))
    })
}

fn metrics(brought: &ImportLoggedModel) -> Result<Vec<ModelMetric>, ImportsError> {
    let read = |metric: &waybill_client::api::ImportModelMetric| {
        check::id("metrics.run_id", &metric.run_id)?;
        for text in [&metric.dataset_name, &metric.dataset_digest].into_iter().flatten() {
            check::text("metrics.dataset", text)?;
        }
        Ok(ModelMetric {
            metric: point(&metric.point)?,
            run_id: metric.run_id.clone(),
            dataset_name: metric.dataset_name.clone(),
            dataset_digest: metric.dataset_digest.clone(),
        })
    };
    brought.metrics.iter().map(read).collect()
}

fn model(brought: &ImportLoggedModel, experiment_id: i64, place: String, status: Status) -> LoggedModel {
    LoggedModel {
        mid: 0,
        model_id: brought.id.clone(),
        experiment_id,
        name: brought.name.clone(),
        artifact_location: place,
        creation_time_ms: brought.created_at_ms,
        last_update_time_ms: brought.updated_at_ms,
        status,
        status_message: brought.status_message.clone(),
        model_type: brought.model_type.clone(),
        source_run_id: brought.source_run_id.clone(),
        lifecycle: Lifecycle::Active,
        tags: Vec::new(),
        params: Vec::new(),
        metrics: Vec::new(),
    }
}
