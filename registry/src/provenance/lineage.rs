//! Runs and logged models as documents record them.

use crate::{
    db::{Conn, DbError},
    logged_models::{self, LoggedModel},
    runs::{self, DatasetInput, KeyValue, Metric},
};
use std::collections::BTreeMap;
use waybill_proof::documents::{Dataset, LoggedModelSnapshot, MetricNumber, MetricValue, RunSnapshot};

/// Tag of a dataset's use: `training`, `eval`, ….
const CONTEXT_TAG: &str = "mlflow.data.context";

/// The run as it is now; `None` when there is no such run.
pub async fn run_snapshot(conn: &mut Conn, run_id: &str) -> Result<Option<RunSnapshot>, DbError> {
    let Some(run) = runs::store::get(conn, run_id).await? else {
        return Ok(None);
    };
    let experiment = runs::store::experiment(conn, run.experiment_id).await?;
    let Some(details) = runs::store::details(conn, vec![run]).await?.pop() else {
        return Ok(None);
    };
    let run = details.run;
    Ok(Some(RunSnapshot {
        run_id: run.run_id,
        experiment_id: run.experiment_id.to_string(),
        experiment_name: experiment.map(|experiment| experiment.name),
        run_name: Some(run.name).filter(|name| !name.is_empty()),
        user: Some(run.user_id).filter(|user| !user.is_empty()),
        status: run.status.as_str().to_owned(),
        start_time_ms: run.start_time_ms,
        end_time_ms: run.end_time_ms,
        params: map(details.params),
        metrics: metrics(details.metrics),
        tags: map(details.tags),
        datasets: details.datasets.into_iter().map(dataset).collect(),
    }))
}

/// The logged model as it is now; `None` when there is no such model.
pub async fn logged_model_snapshot(
    conn: &mut Conn,
    model_id: &str,
) -> Result<Option<LoggedModelSnapshot>, DbError> {
    Ok(logged_models::store::get(conn, model_id).await?.map(snapshot))
}

fn snapshot(model: LoggedModel) -> LoggedModelSnapshot {
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    LoggedModelSnapshot {
        model_id: model.model_id,
        experiment_id: model.experiment_id.to_string(),
        name: model.name,
        status: model.status.as_str().to_owned(),
        model_type: some(model.model_type),
        source_run_id: some(model.source_run_id),
        created_at_ms: model.creation_time_ms,
        params: map(model.params),
        tags: map(model.tags),
        metrics: metrics(model.metrics.into_iter().map(|of_model| of_model.metric).collect()),
    }
}

fn map(pairs: Vec<KeyValue>) -> BTreeMap<String, String> {
    pairs.into_iter().map(|pair| (pair.key, pair.value)).collect()
}

/// Of each metric the value of the highest step, the newest there.
fn metrics(mut values: Vec<Metric>) -> BTreeMap<String, MetricValue> {
    values.sort_by_key(|metric| (metric.step, metric.timestamp_ms));
    values
        .into_iter()
        .map(|metric| {
            let value = MetricValue {
                value: MetricNumber(metric.value),
                step: metric.step,
                timestamp_ms: metric.timestamp_ms,
            };
            (metric.key, value)
        })
        .collect()
}

fn dataset(input: DatasetInput) -> Dataset {
    let context = input.tags.into_iter().find(|tag| tag.key == CONTEXT_TAG).map(|tag| tag.value);
    let dataset = input.dataset;
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    Dataset {
        name: dataset.name,
        mlflow_digest: some(dataset.digest),
        source_type: some(dataset.source_type),
        source: some(dataset.source),
        context,
        schema: dataset.schema,
        profile: dataset.profile,
    }
}
