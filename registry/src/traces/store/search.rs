use super::{
    children,
    traces::{COLUMNS, Row},
};
use crate::{
    db::{Conn, DbError, sql::Sql},
    search::{self, Attribute, Child, Entity, Field, Indexed, Key, Order, Page, Position, Query, Sorted},
    traces::TraceInfo,
};

/// What can be searched of traces. Their metadata are the params of other objects.
pub static TRACES: Entity = Entity {
    name: "traces",
    columns: COLUMNS,
    table: "traces t",
    key: "t.tid",
    attributes: &[
        Attribute::text("request_id", "t.trace_id")
            .aliased(&["trace_id"])
            .with_lists()
            .indexed(Indexed::Unique),
        Attribute::text("client_request_id", "t.client_request_id")
            .nullable()
            .with_lists()
            .indexed(Indexed::Whole)
            .filter_only(),
        Attribute::text("status", "t.state").aliased(&["state"]).with_lists().indexed(Indexed::Whole),
        Attribute::int("timestamp_ms", "t.timestamp_ms").aliased(&["timestamp"]).indexed(Indexed::Whole),
        Attribute::int("execution_time_ms", "t.execution_time_ms")
            .aliased(&["execution_time"])
            .nullable()
            .indexed(Indexed::Whole),
        Attribute::int("end_time_ms", "t.end_time_ms")
            .aliased(&["end_time"])
            .nullable()
            .indexed(Indexed::Whole),
        Attribute::int("experiment_id", "t.experiment_id").order_only(),
    ],
    metrics: None,
    params: Some(Child { table: "trace_metadata", owner: "tid", latest: None, indexed: true }),
    tags: Some(Child { table: "trace_tags", owner: "tid", latest: None, indexed: true }),
    datasets: false,
    traces: true,
    scope: Some("t.experiment_id"),
    natural: &[("timestamp_ms", false), ("request_id", true)],
    walks: &[
        ("timestamp_ms", "traces t INDEXED BY traces_started"),
        ("execution_time_ms", "traces t INDEXED BY traces_duration"),
        ("end_time_ms", "traces t INDEXED BY traces_ended"),
        ("request_id", "traces t INDEXED BY traces_identified"),
        ("status DESC", "traces t INDEXED BY traces_state_down"),
        ("status", "traces t INDEXED BY traces_state"),
    ],
};

/// One page of traces.
pub async fn search(
    conn: &mut Conn,
    query: &Query,
    position: Option<&Position>,
    limit: usize,
) -> Result<Page<TraceInfo>, DbError> {
    search::page(conn, &TRACES, query, &|_| {}, position, limit, |conn, sql| {
        Box::pin(async move {
            let rows: Vec<Row> = conn.generated(sql).all().await?;
            let traces = rows.into_iter().map(TraceInfo::try_from).collect::<Result<_, _>>()?;
            children::fill(conn, traces).await
        })
    })
    .await
}

/// How many traces meet all of `queries`, each of which may be met by spans of its own.
pub async fn counts(conn: &mut Conn, queries: &[&Query]) -> Result<i64, DbError> {
    let mut sql = Sql::new(conn.engine(), "SELECT COUNT(*) FROM traces t WHERE TRUE");
    for query in queries {
        sql.push(" AND ");
        search::scope(&mut sql, "t.experiment_id", query);
        search::conditions(&mut sql, &TRACES, query, search::Owner::of(&TRACES), None);
    }
    Ok(conn.generated(sql).scalar().await?.unwrap_or_default())
}

impl Sorted for TraceInfo {
    fn key(&self, order: &Order) -> Key {
        let text = |found: Option<&String>| found.map_or(Key::Missing, |text| Key::Text(text.clone()));
        match &order.field {
            Field::Param(key) => text(self.metadata.get(key)),
            Field::Tag(key) => text(self.tags.get(key)),
            Field::Metric(_) | Field::Dataset(_) | Field::Trace(_) => Key::Missing,
            Field::Attribute(attribute) => match attribute.name {
                "request_id" => Key::Text(self.trace_id.clone()),
                "status" => Key::Text(self.state.as_str().to_owned()),
                "timestamp_ms" => Key::Int(self.timestamp_ms),
                "execution_time_ms" => self.execution_time_ms.map_or(Key::Missing, Key::Int),
                "end_time_ms" => {
                    Key::Int(self.timestamp_ms.saturating_add(self.execution_time_ms.unwrap_or(0)))
                }
                "experiment_id" => Key::Int(self.experiment_id),
                _ => Key::Missing,
            },
        }
    }
}
