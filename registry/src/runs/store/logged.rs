//! What clients log to a run. A batch is a handful of multi-row statements.

use crate::{
    db::{
        Conn, DbError,
        rows::rows_per_insert,
        sql::{Sql, Value},
    },
    runs::types::{KeyValue, Metric, Run},
};
use std::collections::BTreeMap;

/// Appends values to metrics' histories and moves the latest values on. A value that is there
/// already is left alone.
pub async fn log_metrics<'m>(
    tx: &mut Conn,
    run: &Run,
    metrics: impl Iterator<Item = &'m Metric> + Clone,
) -> Result<(), DbError> {
    let rows = rows_per_insert(tx.engine());
    let all: Vec<&Metric> = metrics.collect();
    // First, as PostgreSQL has it in `super::batch`: else two requests would wait for each other.
    let latest: Vec<&Metric> = latest_of(&all).into_values().collect();
    for chunk in latest.chunks(rows) {
        let mut sql = Sql::new(
            tx.engine(),
            "INSERT INTO latest_metrics (rid, key, experiment_id, value, is_nan, timestamp_ms, step) ",
        );
        sql.bind_table(chunk.iter().map(|m| {
            let (value, is_nan) = comparable(m.value);
            let (key, experiment_id) = (m.key.as_str().into(), run.experiment_id.into());
            [run.rid.into(), key, experiment_id, value, is_nan, m.timestamp_ms.into(), m.step.into()]
        }));
        sql.push(KEEP_LATEST);
        tx.generated(sql).execute().await?;
    }
    for chunk in all.chunks(rows) {
        let mut sql =
            Sql::new(tx.engine(), "INSERT INTO metrics (rid, key, timestamp_ms, step, value, is_nan) ");
        sql.bind_table(chunk.iter().map(|m| {
            let (value, is_nan) = comparable(m.value);
            [run.rid.into(), m.key.as_str().into(), m.timestamp_ms.into(), m.step.into(), value, is_nan]
        }));
        sql.push(" ON CONFLICT DO NOTHING");
        tx.generated(sql).execute().await?;
    }
    Ok(())
}

/// The value of the highest (step, timestamp, value) stays.
pub(super) const KEEP_LATEST: &str = " ON CONFLICT (rid, key) DO UPDATE SET value = excluded.value,
         is_nan = excluded.is_nan, timestamp_ms = excluded.timestamp_ms, step = excluded.step
     WHERE (excluded.step, excluded.timestamp_ms, excluded.value)
         > (latest_metrics.step, latest_metrics.timestamp_ms, latest_metrics.value)";

/// A value as it is stored: NaN is `(0, true)`, since SQLite would bind it as NULL.
pub(super) fn comparable(value: f64) -> (Value, Value) {
    if value.is_nan() { (0.0.into(), true.into()) } else { (value.into(), false.into()) }
}

/// Of each key the value of the highest (step, timestamp, value); in key order, so that two
/// transactions lock the same rows in the same order.
pub(super) fn latest_of<'m>(metrics: &[&'m Metric]) -> BTreeMap<&'m str, &'m Metric> {
    let mut latest: BTreeMap<&str, &Metric> = BTreeMap::new();
    let rank = |m: &Metric| (m.step, m.timestamp_ms, if m.value.is_nan() { 0.0 } else { m.value });
    for metric in metrics {
        latest
            .entry(&metric.key)
            .and_modify(|kept| {
                if rank(metric) > rank(kept) {
                    *kept = metric;
                }
            })
            .or_insert(metric);
    }
    latest
}

/// A parameter that has another value already.
#[derive(Debug)]
pub struct Changed {
    pub key: String,
    pub old: String,
    pub new: String,
}

/// Logs parameters, once each. The same value again is fine; those that have another one come
/// back, and the caller must roll back.
pub async fn log_params(tx: &mut Conn, run: &Run, params: &[KeyValue]) -> Result<Vec<Changed>, DbError> {
    let mut inserted = 0;
    for chunk in sorted(params).chunks(rows_per_insert(tx.engine())) {
        let mut sql = Sql::new(tx.engine(), "INSERT INTO params (rid, key, experiment_id, value) ");
        bind_pairs(&mut sql, run, chunk);
        sql.push(" ON CONFLICT DO NOTHING");
        inserted += tx.generated(sql).execute().await?;
    }
    if inserted == params.len() as u64 {
        return Ok(Vec::new());
    }
    changed_params(tx, run, params).await
}

/// Those of `params` that the run has with another value.
pub async fn changed_params(
    conn: &mut Conn,
    run: &Run,
    params: &[KeyValue],
) -> Result<Vec<Changed>, DbError> {
    let stored: BTreeMap<String, String> = conn
        .query("SELECT key, value FROM params WHERE rid = $1")
        .bind(run.rid)
        .all::<(String, String)>()
        .await?
        .into_iter()
        .collect();
    let changed = params.iter().filter_map(|param| {
        let old = stored.get(&param.key).filter(|old| **old != param.value)?;
        Some(Changed { key: param.key.clone(), old: old.clone(), new: param.value.clone() })
    });
    Ok(changed.collect())
}

/// Sets tags; of a key that comes twice the last value stays.
pub async fn set_tags(tx: &mut Conn, run: &Run, tags: &[KeyValue]) -> Result<(), DbError> {
    let unique: BTreeMap<&str, &KeyValue> = tags.iter().map(|tag| (tag.key.as_str(), tag)).collect();
    let unique: Vec<&KeyValue> = unique.into_values().collect();
    for chunk in unique.chunks(rows_per_insert(tx.engine())) {
        let mut sql = Sql::new(tx.engine(), "INSERT INTO tags (rid, key, experiment_id, value) ");
        bind_pairs(&mut sql, run, chunk);
        sql.push(" ON CONFLICT (rid, key) DO UPDATE SET value = excluded.value");
        tx.generated(sql).execute().await?;
    }
    Ok(())
}

/// In key order, so that two transactions lock the same rows in the same order.
pub(super) fn sorted(pairs: &[KeyValue]) -> Vec<&KeyValue> {
    let mut sorted: Vec<&KeyValue> = pairs.iter().collect();
    sorted.sort_by(|a, b| a.key.cmp(&b.key));
    sorted
}

fn bind_pairs(sql: &mut Sql, run: &Run, pairs: &[&KeyValue]) {
    sql.bind_table(pairs.iter().map(|pair| -> [Value; 4] {
        [run.rid.into(), pair.key.as_str().into(), run.experiment_id.into(), pair.value.as_str().into()]
    }));
}

/// What a logged model is to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelRole {
    Input,
    Output,
}

impl ModelRole {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
        }
    }
}

/// Notes logged models as the run's inputs or outputs; one that is noted already is left alone.
pub async fn log_models(
    tx: &mut Conn,
    run: &Run,
    role: ModelRole,
    models: &[(String, i64)],
) -> Result<(), DbError> {
    for chunk in models.chunks(rows_per_insert(tx.engine())) {
        let mut sql = Sql::new(tx.engine(), "INSERT INTO run_models (rid, role, model_id, step) ");
        sql.bind_table(chunk.iter().map(|(model_id, step)| -> [Value; 4] {
            [run.rid.into(), role.as_str().into(), model_id.as_str().into(), (*step).into()]
        }));
        sql.push(" ON CONFLICT DO NOTHING");
        tx.generated(sql).execute().await?;
    }
    Ok(())
}
