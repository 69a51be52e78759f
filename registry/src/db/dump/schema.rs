//! Tables and columns, read from the engine's catalogue.

use crate::db::{Conn, DbError, Engine};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a column holds, the same word for both engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    Integer,
    Float,
    Boolean,
    Text,
    Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    pub kind: ColumnKind,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    pub name: String,
    pub columns: Vec<Column>,
}

/// Tables that the migrator keeps for itself.
const MIGRATIONS: &str = "_sqlx_migrations";

/// Every table, each after those that its foreign keys name.
pub async fn tables(conn: &mut Conn) -> Result<Vec<Table>, DbError> {
    // The engines keep their catalogues in different places.
    let (columns, references): (&str, &str) = match conn.engine() {
        Engine::Sqlite => (
            "SELECT t.name, c.name, upper(c.type) FROM sqlite_schema t, pragma_table_info(t.name) c
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY t.name, c.cid",
            "SELECT t.name, f.\"table\" FROM sqlite_schema t, pragma_foreign_key_list(t.name) f
             WHERE t.type = 'table'",
        ),
        Engine::Postgres => (
            "SELECT table_name::text, column_name::text, upper(data_type)::text FROM information_schema.columns
             WHERE table_schema = current_schema() ORDER BY table_name, ordinal_position",
            "SELECT c.conrelid::regclass::text, c.confrelid::regclass::text FROM pg_constraint c
             WHERE c.contype = 'f' AND c.connamespace = current_schema()::regnamespace",
        ),
    };
    let rows: Vec<(String, String, String)> = conn.query(columns).all().await?;
    let mut tables: BTreeMap<String, Table> = BTreeMap::new();
    for (table, name, declared) in rows {
        if table == MIGRATIONS {
            continue;
        }
        let column = Column { kind: kind(&table, &name, &declared)?, name };
        let entry = tables.entry(table.clone()).or_insert_with(|| Table { name: table, columns: vec![] });
        entry.columns.push(column);
    }
    let references: Vec<(String, String)> = conn.query(references).all().await?;
    order(tables, &references)
}

fn kind(table: &str, column: &str, declared: &str) -> Result<ColumnKind, DbError> {
    Ok(match declared {
        "INTEGER" | "BIGINT" => ColumnKind::Integer,
        "DOUBLE PRECISION" => ColumnKind::Float,
        "BOOLEAN" => ColumnKind::Boolean,
        "TEXT" => ColumnKind::Text,
        "BLOB" | "BYTEA" => ColumnKind::Bytes,
        _ => {
            let detail = format!("column {table}.{column} has the type {declared:?}");
            return Err(DbError::Corrupt { what: "schema", detail });
        }
    })
}

fn order(
    mut tables: BTreeMap<String, Table>,
    references: &[(String, String)],
) -> Result<Vec<Table>, DbError> {
    let mut ordered = Vec::with_capacity(tables.len());
    let mut done = BTreeSet::new();
    while !tables.is_empty() {
        let free: Vec<String> = tables
            .keys()
            .filter(|name| {
                references.iter().all(|(from, to)| from != *name || to == *name || done.contains(to))
            })
            .cloned()
            .collect();
        if free.is_empty() {
            let names = tables.keys().cloned().collect::<Vec<_>>().join(", ");
            return Err(DbError::Corrupt {
                what: "schema",
                detail: format!("foreign keys form a circle: {names}"),
            });
        }
        for name in free {
            ordered.extend(tables.remove(&name));
            done.insert(name);
        }
    }
    Ok(ordered)
}
