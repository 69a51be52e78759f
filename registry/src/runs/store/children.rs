//! What was logged to runs, read for a whole page of them at once.

use crate::{
    db::{
        Conn, DbError,
        packed::{self, Packed, Unpacked},
        sql::Sql,
    },
    runs::types::{Dataset, DatasetInput, KeyValue, Metric, ModelOutput, Run, RunDetails},
};
use std::{collections::HashMap, ops::ControlFlow};

/// What precedes each packed row: the table that it comes from.
const PARAM: &str = "p";
const TAG: &str = "t";
const MODEL_INPUT: &str = "i";
const MODEL_OUTPUT: &str = "o";
/// Says that the run has datasets, which have a statement of their own.
const HAS_DATASETS: &str = "d";

/// A metric of a run: its key, step, time and value, which is None for NaN. Or all that has no number: packed.
type Row = (i64, String, Option<i64>, Option<i64>, Option<f64>);

/// `runs` with all that was logged to them, in the same order.
pub async fn details(conn: &mut Conn, runs: Vec<Run>) -> Result<Vec<RunDetails>, DbError> {
    let positions: HashMap<i64, usize> = runs.iter().enumerate().map(|(i, run)| (run.rid, i)).collect();
    let mut all: Vec<RunDetails> = runs.into_iter().map(empty).collect();
    let mut with_datasets = Vec::new();
    let rids: Vec<i64> = all.iter().map(|details| details.run.rid).collect();
    let sql = logged_to(conn, &rids);
    let take = |row: Row| {
        let rid = row.0;
        if let Some(details) = positions.get(&rid).and_then(|i| all.get_mut(*i))
            && details.take(row)?
        {
            with_datasets.push(rid);
        }
        Ok(ControlFlow::Continue(()))
    };
    conn.each_of(sql, rids.len(), take).await?;
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
    /// Whether the run has datasets besides.
    fn take(&mut self, (_, text, step, timestamp_ms, value): Row) -> Result<bool, DbError> {
        if let (Some(step), Some(timestamp_ms)) = (step, timestamp_ms) {
            let value = value.unwrap_or(f64::NAN);
            self.metrics.push(Metric { key: text, value, timestamp_ms, step });
            return Ok(false);
        }
        let mut has_datasets = false;
        let mut rest = Unpacked::new(&text);
        let pair = |rest: &mut Unpacked<'_>| -> Result<KeyValue, DbError> {
            Ok(KeyValue { key: rest.text()?.to_owned(), value: rest.text()?.to_owned() })
        };
        while !rest.is_empty() {
            match rest.word()? {
                PARAM => self.params.push(pair(&mut rest)?),
                TAG => self.tags.push(pair(&mut rest)?),
                MODEL_INPUT => self.model_inputs.push(rest.text()?.to_owned()),
                MODEL_OUTPUT => {
                    let step = rest.int()?;
                    self.model_outputs.push(ModelOutput { model_id: rest.text()?.to_owned(), step });
                }
                HAS_DATASETS => has_datasets = true,
                other => return Err(packed::corrupt(other)),
            }
        }
        Ok(has_datasets)
    }

    /// The engines read the tables in any order.
    fn sort(&mut self) {
        self.metrics.sort_by(|a, b| a.key.cmp(&b.key));
        self.params.sort_by(|a, b| a.key.cmp(&b.key));
        self.tags.sort_by(|a, b| a.key.cmp(&b.key));
        self.model_inputs.sort();
        self.model_outputs.sort_by(|a, b| (a.step, &a.model_id).cmp(&(b.step, &b.model_id)));
    }
}

/// The statement that reads what was logged to each run.
fn logged_to(conn: &Conn, rids: &[i64]) -> Sql {
    use Packed::{Int, Text, Word};
    let pair = |of| [Word(of), Text("c.key"), Text("c.value")];
    let input = [Word(MODEL_INPUT), Text("c.model_id")];
    let output = [Word(MODEL_OUTPUT), Int("c.step"), Text("c.model_id")];
    let mut sql = page_of(conn, rids);
    sql.push(
        "SELECT m.rid, m.key, m.step, m.timestamp_ms, CASE WHEN m.is_nan THEN NULL ELSE m.value END
         FROM page CROSS JOIN latest_metrics m WHERE m.rid = page.rid UNION ALL SELECT page.rid, ",
    );
    sql.pack(&pair(PARAM), " FROM params c WHERE c.rid = page.rid").push(" || ");
    sql.pack(&pair(TAG), " FROM tags c WHERE c.rid = page.rid").push(" || ");
    sql.pack(&input, " FROM run_models c WHERE c.rid = page.rid AND c.role = 'input'").push(" || ");
    sql.pack(&output, " FROM run_models c WHERE c.rid = page.rid AND c.role <> 'input'").push(" || ");
    sql.pack(&[Word(HAS_DATASETS)], " FROM run_datasets c WHERE c.rid = page.rid");
    sql.push(", NULL, NULL, NULL FROM page");
    sql
}

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
