//! Metrics, parameters and tags: one by one, or a batch at once. A batch is all or nothing.

use super::{
    KeyValue, LoggedMetric, Metric, Run, RunsError, active_run,
    lifecycle::{self, RUN_NAME_TAG},
    refusal, store, validate,
};
use crate::{
    app::App,
    db::{Conn, Engine},
    logged_models,
    runs::store::{HistoryPosition, batch::Logged},
};

/// What one request logs to one run.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    pub run_id: String,
    pub metrics: Vec<LoggedMetric>,
    pub params: Vec<KeyValue>,
    pub tags: Vec<KeyValue>,
}

/// Logs a batch. The same batch again changes nothing.
pub async fn batch(app: &App, mut batch: Batch) -> Result<(), RunsError> {
    validate::run_id(&batch.run_id)?;
    for (i, metric) in batch.metrics.iter().enumerate() {
        validate::metric(metric, &format!("metrics[{i}]"))?;
    }
    for (i, param) in batch.params.iter_mut().enumerate() {
        validate::param(param, &format!("params[{i}]"))?;
    }
    for (i, tag) in batch.tags.iter_mut().enumerate() {
        validate::tag(tag, &format!("tags[{i}]"))?;
    }
    validate::batch(batch.metrics.len(), batch.params.len(), batch.tags.len())?;
    validate::unique_params(&batch.params)?;
    write(app, batch).await
}

pub async fn metric(app: &App, run_id: String, metric: LoggedMetric) -> Result<(), RunsError> {
    validate::metric(&metric, "")?;
    write(app, Batch { run_id, metrics: vec![metric], ..Batch::default() }).await
}

pub async fn param(app: &App, run_id: String, mut param: KeyValue) -> Result<(), RunsError> {
    validate::param(&mut param, "")?;
    let batch = Batch { run_id, params: vec![param], ..Batch::default() };
    write(app, batch).await.map_err(RunsError::of_one_param)
}

pub async fn tag(app: &App, run_id: String, mut tag: KeyValue) -> Result<(), RunsError> {
    validate::tag(&mut tag, "")?;
    write(app, Batch { run_id, tags: vec![tag], ..Batch::default() }).await
}

/// Writes a valid batch. What most batches hold goes in one statement; what depends on what is there
/// already needs a transaction.
async fn write(app: &App, batch: Batch) -> Result<(), RunsError> {
    let engine = app.db.engine();
    if !goes_at_once(engine, &batch) {
        return write_apart(app, batch).await;
    }
    let Batch { run_id, metrics, params, tags } = &batch;
    let metrics = metrics.iter().map(|logged| &logged.metric).collect();
    let sql = store::batch::statement(engine, &Logged { run_id, metrics, tags, params });
    match app.db.write_at_once(sql).await {
        Ok(found) if found.is_empty() => Err(refusal(&mut app.db.read().await?, run_id).await),
        Ok(_) => Ok(()),
        Err(error) if error.is_missing_value() => {
            refuse_changed(app, &batch).await?;
            write_apart(app, batch).await
        }
        Err(error) => Err(error.into()),
    }
}

fn goes_at_once(engine: Engine, batch: &Batch) -> bool {
    let of_model = batch.metrics.iter().any(|logged| logged.model_id.is_some());
    let renames = batch.tags.iter().any(|tag| tag.key == RUN_NAME_TAG);
    let fits = store::batch::fits(engine, batch.metrics.len(), batch.tags.len(), batch.params.len());
    fits && !of_model && !renames
}

/// What a run has with another value stays so: the writer need not be asked again.
async fn refuse_changed(app: &App, batch: &Batch) -> Result<(), RunsError> {
    let mut conn = app.db.read().await?;
    let run = active_run(&mut conn, &batch.run_id).await?;
    let changed = store::changed_params(&mut conn, &run, &batch.params).await?;
    unchanged(&run.run_id, changed)
}

async fn write_apart(app: &App, batch: Batch) -> Result<(), RunsError> {
    app.db
        .write(batch, |tx, batch| {
            Box::pin(async move {
                let run = active_run(tx, &batch.run_id).await?;
                // In the order in which PostgreSQL makes the writes of `store::batch`, the last first: two
                // requests that lock the same rows in other orders would wait for each other.
                log_params(tx, &run, &batch.params).await?;
                set_tags(tx, &run, &batch.tags).await?;
                store::log_metrics(tx, &run, batch.metrics.iter().map(|logged| &logged.metric)).await?;
                logged_models::log_metrics(tx, &run, &batch.metrics).await
            })
        })
        .await
}

async fn log_params(tx: &mut Conn, run: &Run, params: &[KeyValue]) -> Result<(), RunsError> {
    if params.is_empty() {
        return Ok(());
    }
    let changed = store::log_params(tx, run, params).await?;
    unchanged(&run.run_id, changed)
}

fn unchanged(run_id: &str, changes: Vec<store::Changed>) -> Result<(), RunsError> {
    if changes.is_empty() {
        return Ok(());
    }
    Err(RunsError::ParamsChanged { changes, run_id: run_id.to_owned() })
}

async fn set_tags(tx: &mut Conn, run: &Run, tags: &[KeyValue]) -> Result<(), RunsError> {
    // A run keeps its name rather than have none.
    let nameless = |tag: &KeyValue| tag.key == RUN_NAME_TAG && tag.value.is_empty();
    let tags: Vec<KeyValue> = tags.iter().filter(|tag| !nameless(tag)).cloned().collect();
    store::set_tags(tx, run, &tags).await?;
    match tags.iter().rfind(|tag| tag.key == RUN_NAME_TAG) {
        Some(name) => lifecycle::rename(tx, run, &name.value).await,
        None => Ok(()),
    }
}

pub async fn delete_tag(app: &App, run_id: String, key: String) -> Result<(), RunsError> {
    app.db
        .write((run_id, key), |tx, (run_id, key)| {
            Box::pin(async move {
                let run = active_run(tx, run_id).await?;
                if store::delete_tag(tx, run.rid, key).await? {
                    Ok(())
                } else {
                    Err(RunsError::NoTag { key: key.clone(), run_id: run_id.clone() })
                }
            })
        })
        .await
}

/// A page of a metric's history.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryPage {
    pub metrics: Vec<Metric>,
    pub next: Option<HistoryPosition>,
}

/// `limit` values of a metric by timestamp, step and value. Of a run that is not there the history is
/// empty, as in MLflow.
pub async fn history(
    app: &App,
    run_id: &str,
    key: &str,
    position: HistoryPosition,
    limit: i64,
) -> Result<HistoryPage, RunsError> {
    let mut conn = app.db.read().await?;
    let Some(run) = store::get(&mut conn, run_id).await? else {
        return Ok(HistoryPage { metrics: Vec::new(), next: None });
    };
    let mut metrics = store::history(&mut conn, run.rid, key, position, limit.saturating_add(1)).await?;
    let page = usize::try_from(limit).unwrap_or(0);
    let more = metrics.len() > page;
    metrics.truncate(page);
    let next = metrics.last().filter(|_| more).map(HistoryPosition::after);
    Ok(HistoryPage { metrics, next })
}
