use super::{children, runs::Row};
use crate::{
    db::{Conn, DbError, sql::Sql},
    runs::types::{Run, RunDetails, ViewType},
    search::{self, Attribute, Child, Entity, Field, Key, Order, Page, Position, Query, Sorted},
};

/// What can be searched of runs.
pub static RUNS: Entity = Entity {
    name: "runs",
    columns: super::runs::COLUMNS,
    table: "runs r",
    key: "r.rid",
    attributes: &[
        Attribute::text("run_id", "r.run_id").with_lists(),
        Attribute::text("run_name", "r.name").aliased(&["run name", "Run name", "Run Name"]),
        Attribute::text("user_id", "r.user_id"),
        Attribute::text("status", "r.status"),
        Attribute::text("artifact_uri", "r.artifact_uri"),
        Attribute::int("start_time", "r.start_time_ms").aliased(&["created", "Created"]),
        Attribute::int("end_time", "r.end_time_ms").nullable(),
    ],
    metrics: Some(Child { table: "latest_metrics", owner: "rid", latest: None, indexed: true }),
    params: Some(Child { table: "params", owner: "rid", latest: None, indexed: true }),
    tags: Some(Child { table: "tags", owner: "rid", latest: None, indexed: true }),
    datasets: true,
    traces: false,
    scope: Some("r.experiment_id"),
    natural: &[("start_time", false), ("run_id", true)],
};

/// One page of runs, with all that was logged to them.
pub async fn search(
    conn: &mut Conn,
    query: &Query,
    view: ViewType,
    position: Option<&Position>,
    limit: usize,
) -> Result<Page<RunDetails>, DbError> {
    let stages = |sql: &mut Sql| stages(sql, "r.lifecycle_stage", view);
    search::page(conn, &RUNS, query, &stages, position, limit, |conn, sql| {
        Box::pin(async move {
            let rows: Vec<Row> = conn.generated(sql).all().await?;
            let runs = rows.into_iter().map(Run::try_from).collect::<Result<_, _>>()?;
            children::details(conn, runs).await
        })
    })
    .await
}

/// Appends which lifecycle stages are seen. One stage is an equality, which the index needs.
pub(super) fn stages(sql: &mut Sql, column: &'static str, view: ViewType) {
    if let [stage] = view.stages() {
        sql.push(" AND ").push(column).push(" = ").bind(stage.as_str());
    }
}

impl Sorted for RunDetails {
    fn key(&self, order: &Order) -> Key {
        let run = &self.run;
        let text = |found: Option<&crate::runs::KeyValue>| {
            found.map_or(Key::Missing, |p| Key::Text(p.value.clone()))
        };
        match &order.field {
            Field::Metric(key) => {
                self.metrics.iter().find(|m| m.key == *key).map_or(Key::Missing, |m| Key::float(m.value))
            }
            Field::Param(key) => text(self.params.iter().find(|p| p.key == *key)),
            Field::Tag(key) => text(self.tags.iter().find(|t| t.key == *key)),
            Field::Dataset(_) | Field::Trace(_) => Key::Missing,
            Field::Attribute(attribute) => match attribute.name {
                "run_id" => Key::Text(run.run_id.clone()),
                "run_name" => Key::Text(run.name.clone()),
                "user_id" => Key::Text(run.user_id.clone()),
                "status" => Key::Text(run.status.as_str().to_owned()),
                "artifact_uri" => Key::Text(run.artifact_uri.clone()),
                "start_time" => Key::Int(run.start_time_ms),
                "end_time" => run.end_time_ms.map_or(Key::Missing, Key::Int),
                _ => Key::Missing,
            },
        }
    }
}
