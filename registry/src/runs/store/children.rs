//! What was logged to runs, read for a whole page of them at once.

use crate::{
    db::{Conn, DbError, sql::Sql},
    runs::types::{Dataset, DatasetInput, KeyValue, Metric, ModelOutput, Run, RunDetails},
};
use std::collections::HashMap;

/// Which table a row of the page's statement comes from.
const METRIC: i64 = 0;
const PARAM: i64 = 1;
const TAG: i64 = 2;
const MODEL_INPUT: i64 = 3;
const MODEL_OUTPUT: i64 = 4;
/// Says that the run has datasets, which have a statement of their own.
const HAS_DATASETS: i64 = 5;

/// Runs up to which one statement reads all tables: each costs 50 µs and more. Past that the columns
/// that only metrics have, or only texts, cost more.
const TOGETHER_RUNS_MAX: usize = 100;

#[derive(sqlx::FromRow)]
struct Row {
    rid: i64,
    kind: i64,
    key: String,
    text: String,
    step: i64,
    /// None for NaN.
    value: Option<f64>,
    timestamp_ms: i64,
}

/// `runs` with all that was logged to them, in the same order.
pub async fn details(conn: &mut Conn, runs: Vec<Run>) -> Result<Vec<RunDetails>, DbError> {
    let positions: HashMap<i64, usize> = runs.iter().enumerate().map(|(i, run)| (run.rid, i)).collect();
    let mut all: Vec<RunDetails> = runs.into_iter().map(empty).collect();
    let mut with_datasets = Vec::new();
    let rids: Vec<i64> = all.iter().map(|details| details.run.rid).collect();
    for row in rows(conn, &rids).await? {
        let Some(details) = positions.get(&row.rid).and_then(|i| all.get_mut(*i)) else {
            continue;
        };
        if row.kind == HAS_DATASETS {
            with_datasets.push(row.rid);
        } else {
            details.take(row)?;
        }
    }
    if !with_datasets.is_empty() {
        for (rid, input) in datasets(conn, &with_datasets).await? {
            if let Some(details) = positions.get(&rid).and_then(|i| all.get_mut(*i)) {
                details.datasets.push(input);
            }
        }
    }
    all.iter_mut().for_each(RunDetails::sort);
    Ok(all)
}

fn empty(run: Run) -> RunDetails {
    RunDetails {
        run,
        metrics: Vec::new(),
        params: Vec::new(),
        tags: Vec::new(),
        datasets: Vec::new(),
        model_inputs: Vec::new(),
        model_outputs: Vec::new(),
    }
}

impl RunDetails {
    fn take(&mut self, row: Row) -> Result<(), DbError> {
        match row.kind {
            METRIC => self.metrics.push(Metric {
                key: row.key,
                value: row.value.unwrap_or(f64::NAN),
                timestamp_ms: row.timestamp_ms,
                step: row.step,
            }),
            PARAM => self.params.push(KeyValue { key: row.key, value: row.text }),
            TAG => self.tags.push(KeyValue { key: row.key, value: row.text }),
            MODEL_INPUT => self.model_inputs.push(row.key),
            MODEL_OUTPUT => self.model_outputs.push(ModelOutput { model_id: row.key, step: row.step }),
            other => {
                return Err(DbError::Corrupt { what: "kind of logged value", detail: other.to_string() });
            }
        }
        Ok(())
    }

    /// SQLite reads the tables in key order, PostgreSQL in any.
    fn sort(&mut self) {
        self.metrics.sort_by(|a, b| a.key.cmp(&b.key));
        self.params.sort_by(|a, b| a.key.cmp(&b.key));
        self.tags.sort_by(|a, b| a.key.cmp(&b.key));
        self.model_inputs.sort();
        self.model_outputs.sort_by(|a, b| (a.step, &a.model_id).cmp(&(b.step, &b.model_id)));
    }
}

async fn rows(conn: &mut Conn, rids: &[i64]) -> Result<Vec<Row>, DbError> {
    let mut sql = page_of(conn, rids);
    if rids.len() <= TOGETHER_RUNS_MAX {
        sql.push("SELECT m.rid, CAST(0 AS BIGINT) AS kind, m.key, '' AS text, m.step, ");
        sql.push(METRIC_COLUMNS).push(METRICS);
        for (columns, rows) in TEXTS {
            sql.push(" UNION ALL SELECT ").push(columns).push(", NULL, 0").push(rows);
        }
        return conn.generated(sql).all().await;
    }
    sql.push("SELECT m.rid, m.key, m.step, ").push(METRIC_COLUMNS).push(METRICS);
    let metrics: Vec<(i64, String, i64, Option<f64>, i64)> = conn.generated(sql).all().await?;
    let mut sql = page_of(conn, rids);
    for (number, (columns, rows)) in TEXTS.into_iter().enumerate() {
        sql.push(if number == 0 { "SELECT " } else { " UNION ALL SELECT " }).push(columns).push(rows);
    }
    let texts: Vec<(i64, i64, String, String, i64)> = conn.generated(sql).all().await?;
    let metric = |(rid, key, step, value, timestamp_ms)| {
        let text = String::new();
        Row { rid, kind: METRIC, key, text, step, value, timestamp_ms }
    };
    let text =
        |(rid, kind, key, text, step)| Row { rid, kind, key, text, step, value: None, timestamp_ms: 0 };
    Ok(metrics.into_iter().map(metric).chain(texts.into_iter().map(text)).collect())
}

const METRIC_COLUMNS: &str = "CASE WHEN m.is_nan THEN NULL ELSE m.value END AS value, m.timestamp_ms";
const METRICS: &str = " FROM page CROSS JOIN latest_metrics m WHERE m.rid = page.rid";
/// What has no number: columns and rows of each kind.
const TEXTS: [(&str, &str); 4] = [
    (
        "p.rid, CAST(1 AS BIGINT) AS kind, p.key, p.value AS text, CAST(0 AS BIGINT) AS step",
        " FROM page CROSS JOIN params p WHERE p.rid = page.rid",
    ),
    ("t.rid, 2, t.key, t.value, 0", " FROM page CROSS JOIN tags t WHERE t.rid = page.rid"),
    (
        "i.rid, CASE i.role WHEN 'input' THEN 3 ELSE 4 END, i.model_id, '', i.step",
        " FROM page CROSS JOIN run_models i WHERE i.rid = page.rid",
    ),
    (
        "page.rid, 5, '', '', 0",
        " FROM page WHERE EXISTS (SELECT 1 FROM run_datasets d WHERE d.rid = page.rid)",
    ),
];

/// `WITH page (rid) AS (…)`: the runs of a page, bound once for all tables.
fn page_of(conn: &Conn, rids: &[i64]) -> Sql {
    let mut sql = Sql::new(conn.engine(), "WITH page (rid) AS MATERIALIZED (");
    sql.bind_keys(rids).push(") ");
    sql
}

#[derive(sqlx::FromRow)]
struct DatasetRow {
    rid: i64,
    dataset_rid: i64,
    name: String,
    digest: String,
    source_type: String,
    source: String,
    schema_json: Option<String>,
    profile_json: Option<String>,
    tag_key: Option<String>,
    tag_value: Option<String>,
}

/// The datasets of the given runs, in the order in which they were first logged.
async fn datasets(conn: &mut Conn, rids: &[i64]) -> Result<Vec<(i64, DatasetInput)>, DbError> {
    let mut sql = page_of(conn, rids);
    sql.push(
        "SELECT i.rid, d.dataset_rid, d.name, d.digest, d.source_type, d.source, d.schema_json, d.profile_json,
             t.key AS tag_key, t.value AS tag_value
         FROM page CROSS JOIN run_datasets i CROSS JOIN datasets d
             LEFT JOIN run_dataset_tags t ON t.rid = i.rid AND t.dataset_rid = i.dataset_rid
         WHERE i.rid = page.rid AND d.dataset_rid = i.dataset_rid
         ORDER BY i.rid, d.dataset_rid, t.key",
    );
    let mut inputs: Vec<(i64, DatasetInput)> = Vec::new();
    let mut previous = None;
    for row in conn.generated(sql).all::<DatasetRow>().await? {
        let this = (row.rid, row.dataset_rid);
        if previous != Some(this) {
            previous = Some(this);
            let dataset = Dataset {
                name: row.name,
                digest: row.digest,
                source_type: row.source_type,
                source: row.source,
                schema: row.schema_json,
                profile: row.profile_json,
            };
            inputs.push((row.rid, DatasetInput { dataset, tags: Vec::new() }));
        }
        if let (Some(key), Some(value), Some((_, input))) = (row.tag_key, row.tag_value, inputs.last_mut()) {
            input.tags.push(KeyValue { key, value });
        }
    }
    Ok(inputs)
}

/// All parameters of a run, sorted by key.
pub async fn params(conn: &mut Conn, run_id: &str) -> Result<Vec<KeyValue>, DbError> {
    let rows: Vec<(String, String)> = conn
        .query(
            "SELECT p.key, p.value FROM runs r JOIN params p ON p.rid = r.rid WHERE r.run_id = $1 ORDER BY p.key",
        )
        .bind(run_id.to_owned())
        .all()
        .await?;
    Ok(rows.into_iter().map(|(key, value)| KeyValue { key, value }).collect())
}

/// All tags of a run, sorted by key.
pub async fn tags(conn: &mut Conn, run_id: &str) -> Result<Vec<KeyValue>, DbError> {
    let rows: Vec<(String, String)> = conn
        .query("SELECT t.key, t.value FROM runs r JOIN tags t ON t.rid = r.rid WHERE r.run_id = $1 ORDER BY t.key")
        .bind(run_id.to_owned())
        .all()
        .await?;
    Ok(rows.into_iter().map(|(key, value)| KeyValue { key, value }).collect())
}

/// The latest value of each metric of a run, sorted by key.
pub async fn latest_metrics(conn: &mut Conn, run_id: &str) -> Result<Vec<Metric>, DbError> {
    let rows: Vec<(String, f64, bool, i64, i64)> = conn
        .query(
            "SELECT m.key, m.value, m.is_nan, m.timestamp_ms, m.step
             FROM runs r JOIN latest_metrics m ON m.rid = r.rid WHERE r.run_id = $1 ORDER BY m.key",
        )
        .bind(run_id.to_owned())
        .all()
        .await?;
    let metric = |(key, value, is_nan, timestamp_ms, step)| Metric {
        key,
        value: if is_nan { f64::NAN } else { value },
        timestamp_ms,
        step,
    };
    Ok(rows.into_iter().map(metric).collect())
}

/// The datasets that a run read.
pub async fn inputs(conn: &mut Conn, run_id: &str) -> Result<Vec<DatasetInput>, DbError> {
    let Some(run) = super::get(conn, run_id).await? else {
        return Ok(Vec::new());
    };
    Ok(datasets(conn, &[run.rid]).await?.into_iter().map(|(_, input)| input).collect())
}
