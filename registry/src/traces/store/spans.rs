use crate::{
    db::{
        Conn, DbError,
        sql::{KEYS_PER_STATEMENT, Sql, Value},
    },
    traces::usage::Node,
};

/// Spans of one statement: their texts are long.
const SPANS_PER_STATEMENT: usize = 50;

/// A span as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanRow {
    pub span_id: String,
    pub parent_span_id: Option<String>,
    pub name: String,
    pub kind: String,
    pub status: &'static str,
    pub start_time_ns: i64,
    pub end_time_ns: i64,
    pub content: String,
    pub usage_json: Option<String>,
    pub cost_json: Option<String>,
    /// Input, output and total.
    pub costs: [Option<f64>; 3],
    pub model_name: Option<String>,
    pub model_provider: Option<String>,
}

/// Writes spans of a trace; one that is there already is replaced. No id may come twice.
pub async fn upsert_spans(
    tx: &mut Conn,
    tid: i64,
    experiment_id: i64,
    spans: &[SpanRow],
) -> Result<(), DbError> {
    for some in spans.chunks(SPANS_PER_STATEMENT) {
        let mut sql = Sql::new(
            tx.engine(),
            "INSERT INTO spans (tid, span_id, experiment_id, parent_span_id, name, type, status, start_time_ns,
                 end_time_ns, content, usage_json, cost_json, input_cost, output_cost, total_cost, model_name,
                 model_provider) VALUES ",
        );
        sql.bind_rows(some.iter().map(|span| row(tid, experiment_id, span)));
        sql.push(
            " ON CONFLICT (tid, span_id) DO UPDATE SET parent_span_id = excluded.parent_span_id,
                 name = excluded.name, type = excluded.type, status = excluded.status,
                 start_time_ns = excluded.start_time_ns, end_time_ns = excluded.end_time_ns,
                 content = excluded.content, usage_json = excluded.usage_json, cost_json = excluded.cost_json,
                 input_cost = excluded.input_cost, output_cost = excluded.output_cost,
                 total_cost = excluded.total_cost, model_name = excluded.model_name,
                 model_provider = excluded.model_provider",
        );
        tx.generated(sql).execute().await?;
    }
    Ok(())
}

fn row(tid: i64, experiment_id: i64, span: &SpanRow) -> [Value; 17] {
    let [input_cost, output_cost, total_cost] = span.costs.map(Value::OptFloat);
    [
        tid.into(),
        span.span_id.as_str().into(),
        experiment_id.into(),
        span.parent_span_id.clone().into(),
        span.name.as_str().into(),
        span.kind.as_str().into(),
        span.status.into(),
        span.start_time_ns.into(),
        span.end_time_ns.into(),
        span.content.as_str().into(),
        span.usage_json.clone().into(),
        span.cost_json.clone().into(),
        input_cost,
        output_cost,
        total_cost,
        span.model_name.clone().into(),
        span.model_provider.clone().into(),
    ]
}

/// What spans of a trace say of their usage and their cost, as two trees.
pub async fn nodes(conn: &mut Conn, tid: i64) -> Result<(Vec<Node>, Vec<Node>), DbError> {
    type Said = (String, Option<String>, Option<String>, Option<String>);
    let rows: Vec<Said> = conn
        .query("SELECT span_id, parent_span_id, usage_json, cost_json FROM spans WHERE tid = $1")
        .bind(tid)
        .all()
        .await?;
    let node =
        |id: &str, parent: &Option<String>, data| Node { id: id.to_owned(), parent: parent.clone(), data };
    Ok(rows
        .into_iter()
        .map(|(id, parent, usage, cost)| (node(&id, &parent, usage), node(&id, &parent, cost)))
        .unzip())
}

/// The texts of all spans of these traces, root first, then by time; with their trace's key.
pub async fn contents(conn: &mut Conn, tids: &[i64]) -> Result<Vec<(i64, String)>, DbError> {
    let mut all = Vec::new();
    for some in tids.chunks(KEYS_PER_STATEMENT) {
        let mut sql = Sql::new(conn.engine(), "SELECT s.tid, s.content FROM spans s WHERE s.tid IN (");
        sql.bind_list(some.iter().map(|tid| Value::from(*tid)));
        sql.push(
            ") ORDER BY s.tid, CASE WHEN s.parent_span_id IS NULL THEN 0 ELSE 1 END, s.start_time_ns, s.sid",
        );
        all.extend(conn.generated(sql).all::<(i64, String)>().await?);
    }
    Ok(all)
}
