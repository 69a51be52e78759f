use super::{children, runs::Row};
use crate::{
    db::{Conn, DbError, sql::Sql},
    runs::types::{Lifecycle, Run, RunDetails, ViewType},
    search::{
        self, Attribute, Base, Child, Entity, Field, Indexed, Key, Order, Page, Position, Query, Sorted,
    },
};

/// What can be searched of runs.
pub static RUNS: Entity = Entity {
    name: "runs",
    columns: super::runs::COLUMNS,
    table: "runs r",
    key: "r.rid",
    attributes: &[
        Attribute::text("run_id", "r.run_id").with_lists().indexed(Indexed::Unique),
        Attribute::text("run_name", "r.name")
            .aliased(&["run name", "Run name", "Run Name"])
            .indexed(Indexed::Prefix),
        Attribute::text("user_id", "r.user_id").indexed(Indexed::Prefix),
        Attribute::text("status", "r.status").indexed(Indexed::Whole),
        Attribute::text("artifact_uri", "r.artifact_uri"),
        Attribute::int("start_time", "r.start_time_ms")
            .aliased(&["created", "Created"])
            .indexed(Indexed::Whole),
        Attribute::int("end_time", "r.end_time_ms").nullable().indexed(Indexed::Whole),
    ],
    metrics: Some(Child { table: "latest_metrics", owner: "rid", latest: None, indexed: true }),
    params: Some(Child { table: "params", owner: "rid", latest: None, indexed: true }),
    tags: Some(Child { table: "tags", owner: "rid", latest: None, indexed: true }),
    datasets: true,
    traces: false,
    scope: Some("r.experiment_id"),
    natural: &[("start_time", false), ("run_id", true)],
    walks: &[
        ("start_time", "runs r INDEXED BY runs_started"),
        ("end_time", "runs r INDEXED BY runs_ended"),
        ("run_name", "runs r INDEXED BY runs_named"),
        ("user_id", "runs r INDEXED BY runs_user"),
        ("status", "runs r INDEXED BY runs_status"),
    ],
};

/// One page of runs, with all that was logged to them.
pub async fn search(
    conn: &mut Conn,
    query: &Query,
    view: ViewType,
    position: Option<&Position>,
    limit: usize,
) -> Result<Page<RunDetails>, DbError> {
    let stages = stages("r.lifecycle_stage", view);
    let bases: Vec<Base<'_>> = stages.iter().map(|stage| stage as Base<'_>).collect();
    search::page_of_any(conn, &RUNS, query, &bases, position, limit, |conn, sql| {
        Box::pin(async move {
            let rows: Vec<Row> = conn.all_of(sql, limit).await?;
            let runs = rows.into_iter().map(Run::try_from).collect::<Result<_, _>>()?;
            children::details(conn, runs).await
        })
    })
    .await
}

/// A predicate for each lifecycle stage that is seen: one at a time, an index gives the order.
pub(super) fn stages(column: &'static str, view: ViewType) -> Vec<impl Fn(&mut Sql) + Sync> {
    let of = |stage: &'static Lifecycle| {
        move |sql: &mut Sql| {
            sql.push(" AND ").push(column).push(" = ").bind(stage.as_str());
        }
    };
    view.stages().iter().map(of).collect()
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
