use super::children;
use crate::{
    db::{
        Conn, DbError,
        sql::{KEYS_PER_STATEMENT, Sql, Value},
    },
    traces::{TraceInfo, TraceState, usage::Tokens},
};

/// The columns of a trace, in the order of [`Row`].
pub(super) const COLUMNS: &str = "t.tid, t.trace_id, t.experiment_id, t.timestamp_ms, t.execution_time_ms, \
     t.state, t.client_request_id, t.request_preview, t.response_preview";

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    tid: i64,
    trace_id: String,
    experiment_id: i64,
    timestamp_ms: i64,
    execution_time_ms: Option<i64>,
    state: String,
    client_request_id: Option<String>,
    request_preview: Option<String>,
    response_preview: Option<String>,
}

impl TryFrom<Row> for TraceInfo {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self, DbError> {
        Ok(Self {
            tid: row.tid,
            trace_id: row.trace_id,
            experiment_id: row.experiment_id,
            timestamp_ms: row.timestamp_ms,
            execution_time_ms: row.execution_time_ms,
            state: state(&row.state)?,
            client_request_id: row.client_request_id,
            request_preview: row.request_preview,
            response_preview: row.response_preview,
            metadata: super::super::Pairs::new(),
            tags: super::super::Pairs::new(),
            assessments: Vec::new(),
        })
    }
}

fn state(text: &str) -> Result<TraceState, DbError> {
    TraceState::parse(text).ok_or_else(|| DbError::Corrupt { what: "trace state", detail: text.to_owned() })
}

/// A trace's own row.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTrace {
    pub trace_id: String,
    pub experiment_id: i64,
    pub timestamp_ms: i64,
    pub execution_time_ms: Option<i64>,
    pub state: TraceState,
    pub client_request_id: Option<String>,
    pub request_preview: Option<String>,
    pub response_preview: Option<String>,
}

impl NewTrace {
    fn end_time_ms(&self) -> i64 {
        self.timestamp_ms.saturating_add(self.execution_time_ms.unwrap_or_default())
    }
}

/// What a change of a trace looks at.
#[derive(Debug, Clone)]
pub struct TraceRow {
    pub tid: i64,
    pub experiment_id: i64,
    pub timestamp_ms: i64,
    pub execution_time_ms: Option<i64>,
    pub state: TraceState,
    pub client_request_id: Option<String>,
    pub request_preview: Option<String>,
    pub response_preview: Option<String>,
}

/// The new trace's key; `None` where its id is taken.
pub async fn insert(tx: &mut Conn, new: &NewTrace) -> Result<Option<i64>, DbError> {
    tx.query(
        "INSERT INTO traces (trace_id, experiment_id, timestamp_ms, execution_time_ms, end_time_ms, state,
             client_request_id, request_preview, response_preview)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING RETURNING tid",
    )
    .bind(new.trace_id.clone())
    .bind(new.experiment_id)
    .bind(new.timestamp_ms)
    .bind(new.execution_time_ms)
    .bind(new.end_time_ms())
    .bind(new.state.as_str())
    .bind(new.client_request_id.clone())
    .bind(new.request_preview.clone())
    .bind(new.response_preview.clone())
    .scalar()
    .await
}

/// The trace, held until the transaction ends.
pub async fn lock(tx: &mut Conn, trace_id: &str) -> Result<Option<TraceRow>, DbError> {
    let row: Option<Row> = tx
        .query(
            "UPDATE traces AS t SET state = t.state WHERE t.trace_id = $1
             RETURNING tid, trace_id, experiment_id, timestamp_ms, execution_time_ms, state, client_request_id,
                 request_preview, response_preview",
        )
        .bind(trace_id.to_owned())
        .optional()
        .await?;
    row.map(|row| {
        Ok(TraceRow {
            tid: row.tid,
            experiment_id: row.experiment_id,
            timestamp_ms: row.timestamp_ms,
            execution_time_ms: row.execution_time_ms,
            state: state(&row.state)?,
            client_request_id: row.client_request_id,
            request_preview: row.request_preview,
            response_preview: row.response_preview,
        })
    })
    .transpose()
}

/// Writes the row's own values and what its metadata says as numbers.
pub async fn update(tx: &mut Conn, tid: i64, trace: &NewTrace, tokens: Tokens) -> Result<(), DbError> {
    tx.query(
        "UPDATE traces SET timestamp_ms = $1, execution_time_ms = $2, end_time_ms = $3, state = $4,
             client_request_id = $5, request_preview = $6, response_preview = $7, input_tokens = $8,
             output_tokens = $9, total_tokens = $10, cache_read_input_tokens = $11,
             cache_creation_input_tokens = $12
         WHERE tid = $13",
    )
    .bind(trace.timestamp_ms)
    .bind(trace.execution_time_ms)
    .bind(trace.end_time_ms())
    .bind(trace.state.as_str())
    .bind(trace.client_request_id.clone())
    .bind(trace.request_preview.clone())
    .bind(trace.response_preview.clone())
    .bind(tokens.input)
    .bind(tokens.output)
    .bind(tokens.total)
    .bind(tokens.cache_read)
    .bind(tokens.cache_creation)
    .bind(tid)
    .execute()
    .await?;
    Ok(())
}

/// Moves a trace and all that belongs to it to another experiment.
pub async fn move_to(tx: &mut Conn, tid: i64, experiment_id: i64) -> Result<(), DbError> {
    for statement in [
        "UPDATE traces SET experiment_id = $1 WHERE tid = $2",
        "UPDATE trace_tags SET experiment_id = $1 WHERE tid = $2",
        "UPDATE trace_metadata SET experiment_id = $1 WHERE tid = $2",
        "UPDATE spans SET experiment_id = $1 WHERE tid = $2",
        "UPDATE trace_assessments SET experiment_id = $1 WHERE tid = $2",
    ] {
        tx.query(statement).bind(experiment_id).bind(tid).execute().await?;
    }
    Ok(())
}

/// A trace with its tags, metadata and assessments.
pub async fn get(conn: &mut Conn, trace_id: &str) -> Result<Option<TraceInfo>, DbError> {
    Ok(infos(conn, &[trace_id.to_owned()], None).await?.pop())
}

/// Those of these traces that are there, in the order asked for; of some experiments, where named.
pub async fn infos(
    conn: &mut Conn,
    trace_ids: &[String],
    experiment_ids: Option<&[i64]>,
) -> Result<Vec<TraceInfo>, DbError> {
    let mut found = Vec::new();
    for some in trace_ids.chunks(KEYS_PER_STATEMENT) {
        let mut sql = Sql::new(conn.engine(), "SELECT ");
        sql.push(COLUMNS).push(" FROM traces t WHERE t.trace_id IN (");
        sql.bind_list(some.iter().map(|id| Value::from(id.as_str()))).push(")");
        if let Some(experiments) = experiment_ids {
            sql.push(" AND t.experiment_id IN (");
            sql.bind_list(experiments.iter().map(|id| Value::from(*id))).push(")");
        }
        let rows: Vec<Row> = conn.generated(sql).all().await?;
        for row in rows {
            found.push(TraceInfo::try_from(row)?);
        }
    }
    let order: std::collections::HashMap<&str, usize> =
        trace_ids.iter().enumerate().map(|(i, id)| (id.as_str(), i)).collect();
    found.sort_by_key(|trace| order.get(trace.trace_id.as_str()).copied());
    found.dedup_by(|a, b| a.tid == b.tid);
    children::fill(conn, found).await
}

/// Which traces of an experiment are deleted.
#[derive(Debug, Clone)]
pub enum Selection {
    /// Those that began then or before, the oldest first, so many at most.
    Until {
        timestamp_ms: i64,
        limit: Option<i64>,
    },
    Ids(Vec<String>),
}

/// Deletes traces with all that belongs to them; how many.
pub async fn delete(tx: &mut Conn, experiment_id: i64, selection: &Selection) -> Result<u64, DbError> {
    match selection {
        Selection::Until { timestamp_ms, limit } => {
            let mut sql = chosen(tx, experiment_id);
            sql.push(" AND t.timestamp_ms <= ").bind(*timestamp_ms);
            if let Some(limit) = limit {
                sql.push(" ORDER BY t.timestamp_ms, t.trace_id LIMIT ").bind(*limit);
            }
            delete_chosen(tx, sql).await
        }
        Selection::Ids(ids) => {
            let mut deleted = 0;
            for some in ids.chunks(KEYS_PER_STATEMENT) {
                let mut sql = chosen(tx, experiment_id);
                sql.push(" AND t.trace_id IN (");
                sql.bind_list(some.iter().map(|id| Value::from(id.as_str()))).push(")");
                deleted += delete_chosen(tx, sql).await?;
            }
            Ok(deleted)
        }
    }
}

fn chosen(tx: &Conn, experiment_id: i64) -> Sql {
    let mut sql = Sql::new(tx.engine(), "SELECT t.tid, t.trace_id FROM traces t WHERE t.experiment_id = ");
    sql.bind(experiment_id);
    sql
}

/// Children go with their trace; links to runs, which may be older than it, do not.
async fn delete_chosen(tx: &mut Conn, chosen: Sql) -> Result<u64, DbError> {
    let rows: Vec<(i64, String)> = tx.generated(chosen).all().await?;
    let mut deleted = 0;
    for some in rows.chunks(KEYS_PER_STATEMENT) {
        let mut links = Sql::new(tx.engine(), "DELETE FROM trace_runs WHERE trace_id IN (");
        links.bind_list(some.iter().map(|(_, id)| Value::from(id.as_str()))).push(")");
        tx.generated(links).execute().await?;
        let mut traces = Sql::new(tx.engine(), "DELETE FROM traces WHERE tid IN (");
        traces.bind_list(some.iter().map(|(tid, _)| Value::from(*tid))).push(")");
        deleted += tx.generated(traces).execute().await?;
    }
    Ok(deleted)
}
