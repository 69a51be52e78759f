//! Metrics and tags of one run in one statement: the write that clients make most.

use super::{
    logged::{KEEP_LATEST, comparable, latest_of},
    runs::{COLUMNS, Row},
};
use crate::{
    db::{Conn, DbError, Engine, rows::together, sql::Sql},
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
}

/// As [`super::log_metrics`] and [`super::set_tags`]; the run, which must be active, or nothing.
pub async fn log(tx: &mut Conn, logged: &Logged) -> Result<Option<Run>, DbError> {
    let sql = statement(tx.engine(), logged);
    tx.generated(sql).optional::<Row>().await?.map(Run::try_from).transpose()
}

/// [`log`] as a statement, which answers with the run's `rid` first.
pub fn statement(engine: Engine, logged: &Logged) -> Sql {
    let find = |sql: &mut Sql| {
        sql.push("SELECT ")
            .push(COLUMNS)
            .push(" FROM runs r WHERE r.lifecycle_stage = 'active' AND r.run_id = ");
        sql.bind(logged.run_id.as_str());
    };
    let all: Vec<&Metric> = logged.metrics.iter().collect();
    let latest: Vec<&Metric> = latest_of(&all).into_values().collect();
    // Of a key that comes twice the last value stays.
    let tags: BTreeMap<&str, &str> =
        logged.tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str())).collect();
    let mut writes: Vec<Write<'_>> = Vec::new();
    if !all.is_empty() {
        writes.push(Box::new(|sql| append(sql, &all)));
        writes.push(Box::new(|sql| move_on(sql, &latest)));
    }
    if !tags.is_empty() {
        writes.push(Box::new(|sql| set_tags(sql, &tags)));
    }
    let writes: Vec<&dyn Fn(&mut Sql)> = writes.iter().map(|write| &**write as &dyn Fn(&mut Sql)).collect();
    together(engine, &find, &writes, "*")
}

fn append(sql: &mut Sql, metrics: &[&Metric]) {
    sql.push("INSERT INTO metrics (rid, key, timestamp_ms, step, value, is_nan) SELECT f.rid, b.* FROM found f CROSS JOIN ");
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

fn set_tags(sql: &mut Sql, tags: &BTreeMap<&str, &str>) {
    sql.push("INSERT INTO tags (rid, experiment_id, key, value) SELECT f.rid, f.experiment_id, b.* FROM found f CROSS JOIN ");
    sql.bind_source(tags.iter().map(|(key, value)| [(*key).into(), (*value).into()]));
    sql.push(" b WHERE TRUE ON CONFLICT (rid, key) DO UPDATE SET value = excluded.value");
}
