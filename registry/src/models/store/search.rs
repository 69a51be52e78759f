//! What can be searched of models and versions, and in which tables it lies.

use super::versions::{self, Row};
use crate::{
    db::{Conn, DbError, sql::Sql},
    models::{Model, Version},
    search::{self, Attribute, Child, Entity, Field, Key, Order, Page, Position, Query, Sorted},
};

pub static MODELS: Entity = Entity {
    name: "registered_models",
    columns: "m.model_id, m.name, m.description, m.last_version, m.created_at_ms, m.updated_at_ms",
    table: "registered_models m",
    key: "m.model_id",
    attributes: &[
        Attribute::text("name", "m.name").with_lists(),
        Attribute::int("last_updated_timestamp", "m.updated_at_ms").aliased(&["timestamp"]).order_only(),
    ],
    metrics: None,
    params: None,
    tags: Some(Child { table: "registered_model_tags", owner: "model_id", latest: None, indexed: false }),
    datasets: false,
    traces: false,
    scope: None,
    natural: &[("name", true)],
};

pub static VERSIONS: Entity = Entity {
    name: "model_versions",
    columns: versions::COLUMNS,
    table: "model_versions v JOIN registered_models m ON m.model_id = v.model_id",
    key: "v.version_id",
    attributes: &[
        Attribute::text("name", "m.name").with_lists(),
        Attribute::int("version_number", "v.version"),
        Attribute::text("run_id", "v.run_id").with_lists().filter_only().nullable(),
        Attribute::text("source_path", "v.source").filter_only(),
        Attribute::int("creation_timestamp", "v.created_at_ms").order_only(),
        Attribute::int("last_updated_timestamp", "v.updated_at_ms").order_only(),
    ],
    metrics: None,
    params: None,
    tags: Some(Child { table: "model_version_tags", owner: "version_id", latest: None, indexed: false }),
    datasets: false,
    traces: false,
    scope: None,
    natural: &[("name", true), ("version_number", false)],
};

/// A page of live models; of prompts only where they are asked for.
pub async fn models(
    conn: &mut Conn,
    query: &Query,
    prompts: bool,
    position: Option<&Position>,
    limit: usize,
) -> Result<Page<Model>, DbError> {
    let base = move |sql: &mut Sql| {
        sql.push(" AND m.deleted_at_ms IS NULL");
        if !prompts {
            sql.push(
                " AND m.model_id NOT IN (SELECT model_id FROM registered_model_tags
                  WHERE key = 'mlflow.prompt.is_prompt' AND value = 'true')",
            );
        }
    };
    search::page(conn, &MODELS, query, &base, position, limit, |conn, sql| {
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
    let base = move |sql: &mut Sql| {
        sql.push(" AND v.deleted_at_ms IS NULL");
        if !prompts {
            sql.push(
                " AND v.model_id NOT IN (SELECT p.model_id FROM model_version_tags t
                  JOIN model_versions p ON p.version_id = t.version_id
                  WHERE t.key = 'mlflow.prompt.is_prompt' AND t.value = 'true')",
            );
        }
    };
    search::page(conn, &VERSIONS, query, &base, position, limit, |conn, sql| {
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
