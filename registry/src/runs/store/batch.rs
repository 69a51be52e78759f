//! Metrics, tags and params of one run in one statement: the write that clients make most.

use super::logged::{KEEP_LATEST, comparable, latest_of, sorted};
use crate::{
    db::{
        Engine,
        rows::{Together, rows_together},
        sql::Sql,
    },
    runs::types::{KeyValue, Metric},
};
use std::collections::BTreeMap;

/// Appends one of the statement's writes.
type Write<'w> = Box<dyn Fn(&mut Sql) + 'w>;

/// What is logged to one run.
#[derive(Debug)]
pub struct Logged<'l> {
    pub run_id: &'l str,
    pub metrics: Vec<&'l Metric>,
    pub tags: &'l [KeyValue],
    pub params: &'l [KeyValue],
}

/// Whether so much fits one statement.
pub fn fits(engine: Engine, metrics: usize, tags: usize, params: usize) -> bool {
    metrics.max(tags).max(params) <= rows_together(engine)
}

/// As [`super::log_metrics`], [`super::set_tags`] and [`super::log_params`] in one statement, which answers
/// with the run's `rid`, or with nothing where the run is not there or not active. It fails with
/// [`crate::db::DbError::is_missing_value`] where a param has another value already.
pub fn statement(engine: Engine, logged: &Logged<'_>) -> Sql {
    let find = |sql: &mut Sql| {
        sql.push(" FROM runs r WHERE r.lifecycle_stage = 'active' AND r.run_id = ").bind(logged.run_id);
    };
    let all = &logged.metrics;
    let latest: Vec<&Metric> = latest_of(all).into_values().collect();
    let params = sorted(logged.params);
    let mut writes: Vec<Write<'_>> = Vec::new();
    if !all.is_empty() {
        writes.push(Box::new(|sql| append(sql, all)));
        writes.push(Box::new(|sql| move_on(sql, &latest)));
    }
    if !logged.tags.is_empty() {
        writes.push(Box::new(|sql| set_tags(sql, logged.tags)));
    }
    if !params.is_empty() {
        writes.push(Box::new(|sql| keep_params(sql, &params)));
    }
    let writes: Vec<&dyn Fn(&mut Sql)> = writes.iter().map(|write| &**write as &dyn Fn(&mut Sql)).collect();
    Together { make: None, columns: "r.rid, r.experiment_id", find: &find, writes: &writes }.sql(engine)
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

/// The same value again is left alone. Another one is set to NULL, which the table refuses: then nothing of the
/// statement stays. PostgreSQL logs that as an error of ours; the client is told that it may not change the param.
fn keep_params(sql: &mut Sql, params: &[&KeyValue]) {
    sql.push("INSERT INTO params (rid, experiment_id, key, value)");
    sql.push(" SELECT f.rid, f.experiment_id, b.* FROM found f CROSS JOIN ");
    sql.bind_source(params.iter().map(|param| [param.key.as_str().into(), param.value.as_str().into()]));
    sql.push(" b WHERE TRUE ON CONFLICT (rid, key) DO UPDATE SET value = NULL");
    sql.push(" WHERE params.value <> excluded.value");
}
