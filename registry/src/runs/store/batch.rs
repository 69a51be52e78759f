//! Metrics, tags and params of one run in one statement: the write that clients make most.

use super::{
    logged::{Changed, KEEP_LATEST, changed_params, comparable, latest_of, log_params, sorted},
    runs::{COLUMNS, Row},
};
use crate::{
    db::{
        Conn, DbError, Engine,
        rows::{Together, rows_together},
        sql::Sql,
    },
    runs::types::{KeyValue, Metric, Run},
};
use std::collections::BTreeMap;

/// Appends one of the statement's writes.
type Write<'w> = Box<dyn Fn(&mut Sql) + 'w>;

/// What is logged to one run; at most [`crate::db::rows::rows_together`] metrics and tags.
#[derive(Debug)]
pub struct Logged {
    pub run_id: String,
    pub metrics: Vec<Metric>,
    pub tags: Vec<KeyValue>,
    pub params: Vec<KeyValue>,
}

impl Logged {
    fn has_params_at_once(&self, engine: Engine) -> bool {
        (1..=rows_together(engine)).contains(&self.params.len())
    }
}

#[derive(sqlx::FromRow)]
struct Found {
    #[sqlx(flatten)]
    run: Row,
    /// Of params that are logged at once: how many were not there before.
    #[sqlx(default)]
    written: i64,
}

/// As [`super::log_metrics`], [`super::set_tags`] and [`super::log_params`]; or nothing, where the run is
/// not there or not active. Where params have another value already the caller must roll back.
pub async fn log(tx: &mut Conn, logged: &Logged) -> Result<Option<Vec<Changed>>, DbError> {
    let (engine, params) = (tx.engine(), &logged.params);
    let Some(found) = tx.generated(statement(engine, logged)).optional::<Found>().await? else {
        return Ok(None);
    };
    let run = Run::try_from(found.run)?;
    if !logged.has_params_at_once(engine) {
        return log_params(tx, &run, params).await.map(Some);
    }
    if found.written == params.len() as i64 {
        return Ok(Some(Vec::new()));
    }
    changed_params(tx, &run, params).await.map(Some)
}

/// [`log`] as a statement, which answers with the run's `rid` first.
pub fn statement(engine: Engine, logged: &Logged) -> Sql {
    let find = |sql: &mut Sql| {
        sql.push(" FROM runs r WHERE r.lifecycle_stage = 'active' AND r.run_id = ")
            .bind(logged.run_id.as_str());
    };
    let all: Vec<&Metric> = logged.metrics.iter().collect();
    let latest: Vec<&Metric> = latest_of(&all).into_values().collect();
    let params = sorted(&logged.params);
    let mut writes: Vec<Write<'_>> = Vec::new();
    if !all.is_empty() {
        writes.push(Box::new(|sql| append(sql, &all)));
        writes.push(Box::new(|sql| move_on(sql, &latest)));
    }
    if !logged.tags.is_empty() {
        writes.push(Box::new(|sql| set_tags(sql, &logged.tags)));
    }
    // The last, because it is counted.
    let counted = logged.has_params_at_once(engine);
    if counted {
        writes.push(Box::new(|sql| keep_params(sql, &params)));
    }
    let writes: Vec<&dyn Fn(&mut Sql)> = writes.iter().map(|write| &**write as &dyn Fn(&mut Sql)).collect();
    Together { make: None, columns: COLUMNS, find: &find, writes: &writes, counted }.sql(engine)
}

fn append(sql: &mut Sql, metrics: &[&Metric]) {
    sql.push("INSERT INTO metrics (rid, key, timestamp_ms, step, value, is_nan)");
    sql.push(" SELECT f.rid, b.* FROM found f CROSS JOIN ");
    sql.bind_source(metrics.iter().map(|m| {
        let (value, is_nan) = comparable(m.value);
        [m.key.as_str().into(), m.timestamp_ms.into(), m.step.into(), value, is_nan]
    }));
    sql.push(" b WHERE TRUE ON CONFLICT DO NOTHING");
}

fn move_on(sql: &mut Sql, latest: &[&Metric]) {
    sql.push("INSERT INTO latest_metrics (rid, experiment_id, key, value, is_nan, timestamp_ms, step)");
    sql.push(" SELECT f.rid, f.experiment_id, b.* FROM found f CROSS JOIN ");
    sql.bind_source(latest.iter().map(|m| {
        let (value, is_nan) = comparable(m.value);
        [m.key.as_str().into(), value, is_nan, m.timestamp_ms.into(), m.step.into()]
    }));
    sql.push(" b WHERE TRUE").push(KEEP_LATEST);
}

pub(super) fn set_tags(sql: &mut Sql, tags: &[KeyValue]) {
    // Of a key that comes twice the last value stays.
    let tags: BTreeMap<&str, &str> = tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str())).collect();
    sql.push("INSERT INTO tags (rid, experiment_id, key, value)");
    sql.push(" SELECT f.rid, f.experiment_id, b.* FROM found f CROSS JOIN ");
    sql.bind_source(tags.into_iter().map(|(key, value)| [key.into(), value.into()]));
    sql.push(" b WHERE TRUE ON CONFLICT (rid, key) DO UPDATE SET value = excluded.value");
}

fn keep_params(sql: &mut Sql, params: &[&KeyValue]) {
    sql.push("INSERT INTO params (rid, experiment_id, key, value)");
    sql.push(" SELECT f.rid, f.experiment_id, b.* FROM found f CROSS JOIN ");
    sql.bind_source(params.iter().map(|param| [param.key.as_str().into(), param.value.as_str().into()]));
    sql.push(" b WHERE TRUE ON CONFLICT DO NOTHING");
}
