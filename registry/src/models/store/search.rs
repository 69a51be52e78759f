//! What can be searched of models and versions, and in which tables it lies.

use super::versions::{self, Row};
use crate::{
    db::{Conn, DbError, sql::Sql},
    models::{Model, Version},
    search::{
        self, Attribute, Base, Child, Condition, Entity, Field, Indexed, Key, Kind, Op, Operand, Order, Page,
        Position, Query, Sorted,
    },
};

pub static MODELS: Entity = Entity {
    name: "registered_models",
    columns: "m.model_id, m.name, m.description, m.last_version, m.created_at_ms, m.updated_at_ms",
    table: "registered_models m",
    key: "m.model_id",
    attributes: &[
        Attribute::text("name", "m.name").with_lists().indexed(Indexed::Unique),
        Attribute::int("last_updated_timestamp", "m.updated_at_ms").aliased(&["timestamp"]).order_only(),
    ],
    metrics: None,
    params: None,
    tags: Some(Child { table: "registered_model_tags", owner: "model_id", latest: None, indexed: true }),
    datasets: false,
    traces: false,
    scope: None,
    natural: &[("name", true)],
    walks: &[
        ("name", "registered_models m INDEXED BY registered_models_listed"),
        ("last_updated_timestamp", "registered_models m INDEXED BY registered_models_updated"),
    ],
};

/// Versions in the order of an index, each with its model.
macro_rules! walk {
    ($index:literal) => {
        concat!(
            "model_versions v INDEXED BY ",
            $index,
            " CROSS JOIN registered_models m ON m.model_id = v.model_id"
        )
    };
}

const ALL_VERSIONS: Entity = Entity {
    name: "model_versions",
    columns: versions::COLUMNS,
    table: "model_versions v JOIN registered_models m ON m.model_id = v.model_id",
    key: "v.version_id",
    attributes: &[
        Attribute::text("name", "m.name").with_lists().indexed(Indexed::Whole),
        Attribute { kind: Kind::AnyInt, ..Attribute::int("version_number", "v.version") }
            .indexed(Indexed::Whole),
        // A version without a run has the empty one.
        Attribute::text("run_id", "COALESCE(v.run_id, '')")
            .with_lists()
            .filter_only()
            .indexed(Indexed::Whole),
        Attribute::text("source_path", "v.source").filter_only(),
        Attribute::int("creation_timestamp", "v.created_at_ms").order_only(),
        Attribute::int("last_updated_timestamp", "v.updated_at_ms").order_only(),
    ],
    metrics: None,
    params: None,
    tags: Some(Child { table: "model_version_tags", owner: "version_id", latest: None, indexed: true }),
    datasets: false,
    traces: false,
    scope: None,
    natural: &[("name", true), ("version_number", false)],
    walks: &[
        ("last_updated_timestamp", walk!("model_versions_updated")),
        ("creation_timestamp", walk!("model_versions_created")),
        ("version_number", walk!("model_versions_numbered")),
        (
            "name",
            "registered_models m INDEXED BY registered_models_name \
             CROSS JOIN model_versions v INDEXED BY sqlite_autoindex_model_versions_2 ON v.model_id = m.model_id",
        ),
    ],
};
pub static VERSIONS: Entity = ALL_VERSIONS;
/// Of one model: the name orders nothing, and indexes begin with the model.
static VERSIONS_OF_MODEL: Entity = Entity {
    natural: &[("version_number", false)],
    walks: &[
        ("last_updated_timestamp", walk!("model_versions_own_updated")),
        ("creation_timestamp", walk!("model_versions_own_created")),
        ("version_number", walk!("sqlite_autoindex_model_versions_2")),
    ],
    ..ALL_VERSIONS
};

/// Whether prompts are among the rows, or only what is not a prompt. Prompts and others are read by
/// the same index, one after the other.
fn kinds(prompts: bool) -> &'static [&'static str] {
    if prompts { &["TRUE", "FALSE"] } else { &["FALSE"] }
}

/// A page of live models; of prompts only where they are asked for.
pub async fn models(
    conn: &mut Conn,
    query: &Query,
    prompts: bool,
    position: Option<&Position>,
    limit: usize,
) -> Result<Page<Model>, DbError> {
    let of = |kind: &'static str| {
        move |sql: &mut Sql| {
            sql.push(" AND m.deleted_at_ms IS NULL AND m.is_prompt = ").push(kind);
        }
    };
    let bases: Vec<_> = kinds(prompts).iter().map(|kind| of(kind)).collect();
    let bases: Vec<Base<'_>> = bases.iter().map(|base| base as Base<'_>).collect();
    search::page_of_any(conn, &MODELS, query, &bases, position, limit, |conn, sql| {
        Box::pin(async move {
            let rows: Vec<super::models::Row> = conn.generated(sql).all().await?;
            Ok(rows.into_iter().map(Model::from).collect())
        })
    })
    .await
}

/// A page of live versions; of prompts only where they are asked for.
pub async fn versions(
    conn: &mut Conn,
    query: &Query,
    prompts: bool,
    position: Option<&Position>,
    limit: usize,
) -> Result<Page<Version>, DbError> {
    let Some((number, name)) = named(query) else {
        return page_of_versions(conn, &VERSIONS, query, None, prompts, position, limit).await;
    };
    let Some(model) = super::models::find(conn, name).await? else {
        return Ok(Page { rows: Vec::new(), next: None });
    };
    let mut own = query.clone();
    own.conditions.remove(number);
    own.orders.retain(|order| !matches!(order.field, Field::Attribute(a) if a.name == "name"));
    let id = Some(model.model_id);
    page_of_versions(conn, &VERSIONS_OF_MODEL, &own, id, prompts, position, limit).await
}

/// The model whose versions the query asks for, and in which condition.
fn named(query: &Query) -> Option<(usize, &str)> {
    query.conditions.iter().enumerate().find_map(|(number, condition)| match condition {
        Condition { field: Field::Attribute(a), op: Op::Eq, operand: Operand::Text(name), .. }
            if a.name == "name" =>
        {
            Some((number, name.as_str()))
        }
        _ => None,
    })
}

async fn page_of_versions(
    conn: &mut Conn,
    entity: &'static Entity,
    query: &Query,
    model_id: Option<i64>,
    prompts: bool,
    position: Option<&Position>,
    limit: usize,
) -> Result<Page<Version>, DbError> {
    let of = |kind: &'static str| {
        move |sql: &mut Sql| {
            sql.push(" AND v.deleted_at_ms IS NULL AND m.deleted_at_ms IS NULL AND v.is_prompt = ")
                .push(kind);
            if let Some(model_id) = model_id {
                sql.push(" AND v.model_id = ").bind(model_id);
            }
        }
    };
    let bases: Vec<_> = kinds(prompts).iter().map(|kind| of(kind)).collect();
    let bases: Vec<Base<'_>> = bases.iter().map(|base| base as Base<'_>).collect();
    search::page_of_any(conn, entity, query, &bases, position, limit, |conn, sql| {
        Box::pin(async move {
            let rows: Vec<Row> = conn.generated(sql).all().await?;
            versions::read_all(rows)
        })
    })
    .await
}

impl Sorted for Model {
    fn key(&self, order: &Order) -> Key {
        match &order.field {
            Field::Attribute(attribute) if attribute.name == "name" => Key::Text(self.name.clone()),
            Field::Attribute(attribute) if attribute.name == "last_updated_timestamp" => {
                Key::Int(self.updated_at_ms)
            }
            _ => Key::Missing,
        }
    }
}

impl Sorted for Version {
    fn key(&self, order: &Order) -> Key {
        let Field::Attribute(attribute) = &order.field else {
            return Key::Missing;
        };
        match attribute.name {
            "name" => Key::Text(self.name.clone()),
            "version_number" => Key::Int(self.version),
            "creation_timestamp" => Key::Int(self.created_at_ms),
            "last_updated_timestamp" => Key::Int(self.updated_at_ms),
            _ => Key::Missing,
        }
    }
}
