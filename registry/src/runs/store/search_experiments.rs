use super::experiments::Row;
use crate::{
    db::{Conn, DbError, sql::Sql},
    runs::types::{Experiment, KeyValue, ViewType},
    search::{
        self, Attribute, Base, Child, Entity, Field, Indexed, Key, Kind, Order, Page, Position, Query, Sorted,
    },
};
use std::collections::HashMap;

/// What can be searched of experiments.
pub static EXPERIMENTS: Entity = Entity {
    name: "experiments",
    columns: "e.experiment_id, e.name, e.artifact_location, e.lifecycle_stage, e.creation_time_ms, \
              e.last_update_time_ms",
    table: "experiments e",
    key: "e.experiment_id",
    attributes: &[
        Attribute::text("name", "e.name").indexed(Indexed::Unique),
        Attribute { kind: Kind::Id, ..Attribute::text("experiment_id", "e.experiment_id") }
            .with_lists()
            .indexed(Indexed::Unique),
        Attribute::int("creation_time", "e.creation_time_ms").indexed(Indexed::Whole),
        Attribute::int("last_update_time", "e.last_update_time_ms").indexed(Indexed::Whole),
    ],
    metrics: None,
    params: None,
    tags: Some(Child { table: "experiment_tags", owner: "experiment_id", latest: None, indexed: true }),
    datasets: false,
    traces: false,
    scope: None,
    natural: &[("creation_time", false), ("experiment_id", true)],
    walks: &[
        ("creation_time", "experiments e INDEXED BY experiments_listed"),
        ("last_update_time", "experiments e INDEXED BY experiments_updated"),
        ("name", "experiments e INDEXED BY sqlite_autoindex_experiments_1"),
        ("experiment_id", "experiments e NOT INDEXED"),
    ],
};

/// One page of experiments, with their tags.
pub async fn search_experiments(
    conn: &mut Conn,
    query: &Query,
    view: ViewType,
    position: Option<&Position>,
    limit: usize,
) -> Result<Page<Experiment>, DbError> {
    let stages = super::search::stages("e.lifecycle_stage", view);
    let bases: Vec<Base<'_>> = stages.iter().map(|stage| stage as Base<'_>).collect();
    search::page_of_any(conn, &EXPERIMENTS, query, &bases, position, limit, |conn, sql| {
        Box::pin(async move {
            let rows: Vec<Row> = conn.generated(sql).all().await?;
            let experiments = rows.into_iter().map(Experiment::try_from).collect::<Result<_, _>>()?;
            with_tags(conn, experiments).await
        })
    })
    .await
}

async fn with_tags(conn: &mut Conn, mut experiments: Vec<Experiment>) -> Result<Vec<Experiment>, DbError> {
    let positions: HashMap<i64, usize> =
        experiments.iter().enumerate().map(|(i, experiment)| (experiment.experiment_id, i)).collect();
    let ids: Vec<i64> = experiments.iter().map(|experiment| experiment.experiment_id).collect();
    let mut sql = Sql::new(conn.engine(), "WITH page (experiment_id) AS MATERIALIZED (");
    sql.bind_keys(&ids).push(
        ") SELECT t.experiment_id, t.key, t.value FROM page CROSS JOIN experiment_tags t
         WHERE t.experiment_id = page.experiment_id ORDER BY t.key",
    );
    for (experiment_id, key, value) in conn.generated(sql).all::<(i64, String, String)>().await? {
        if let Some(experiment) = positions.get(&experiment_id).and_then(|i| experiments.get_mut(*i)) {
            experiment.tags.push(KeyValue { key, value });
        }
    }
    Ok(experiments)
}

impl Sorted for Experiment {
    fn key(&self, order: &Order) -> Key {
        let Field::Attribute(attribute) = order.field else {
            return Key::Missing;
        };
        match attribute.name {
            "name" => Key::Text(self.name.clone()),
            "experiment_id" => Key::Int(self.experiment_id),
            "creation_time" => Key::Int(self.creation_time_ms),
            "last_update_time" => Key::Int(self.last_update_time_ms),
            _ => Key::Missing,
        }
    }
}
