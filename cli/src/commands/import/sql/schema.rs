//! Which tables and columns a database has. MLflow's schema grew over its versions: what a database
//! lacks is read as absent, what every version since 2.0 has must be there.

use super::db::Db;
use crate::commands::import::error::SourceError;
use std::collections::{BTreeMap, BTreeSet};

/// Tables and columns without which there is nothing to import.
const REQUIRED: [(&str, &[&str]); 5] = [
    ("experiments", &["experiment_id", "name", "artifact_location", "lifecycle_stage"]),
    ("runs", &["run_uuid", "name", "user_id", "status", "start_time", "end_time", "lifecycle_stage"]),
    ("metrics", &["run_uuid", "key", "value", "timestamp", "step", "is_nan"]),
    ("params", &["run_uuid", "key", "value"]),
    ("tags", &["run_uuid", "key", "value"]),
];
/// Where MLflow's own migrations ended in versions that were looked at.
const REVISIONS: [(&str, &str); 3] =
    [("dc11669786a5", "3.17"), ("7d34483879f0", "3.12"), ("0584bdc529eb", "2.22")];

pub struct Schema {
    tables: BTreeMap<String, BTreeSet<String>>,
    pub revision: String,
}

impl Schema {
    pub async fn read(db: &Db) -> Result<Self, SourceError> {
        let sql = if db.is_sqlite() {
            "SELECT CAST(m.name AS TEXT) AS t, CAST(c.name AS TEXT) AS c
             FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'"
        } else {
            "SELECT CAST(table_name AS TEXT) AS t, CAST(column_name AS TEXT) AS c
             FROM information_schema.columns WHERE table_schema = ANY (current_schemas(false))"
        };
        let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for row in db.rows(sql.to_owned(), &[]).await? {
            tables.entry(row.word("t")?).or_default().insert(row.word("c")?);
        }
        let mut schema = Self { tables, revision: String::new() };
        schema.check()?;
        let sql = "SELECT CAST(version_num AS TEXT) AS v FROM alembic_version".to_owned();
        schema.revision = match db.rows(sql, &[]).await?.first() {
            Some(row) => row.word("v")?,
            None => String::new(),
        };
        Ok(schema)
    }

    fn check(&self) -> Result<(), SourceError> {
        if !self.has_table("alembic_version") {
            let found: Vec<&str> = self.tables.keys().map(String::as_str).take(10).collect();
            return Err(SourceError::NotMlflow(format!(
                "the database is not MLflow's: it has no table alembic_version, only [{}]",
                found.join(", ")
            )));
        }
        for (table, columns) in REQUIRED {
            if !self.has_table(table) {
                return Err(SourceError::NotMlflow(format!(
                    "the database has no table {table}; MLflow's since 2.0 have it. `mlflow db upgrade` brings \
                     older ones up to date"
                )));
            }
            if let Some(column) = columns.iter().find(|column| !self.has(table, column)) {
                return Err(SourceError::NotMlflow(format!(
                    "the database's table {table} has no column {column}; MLflow's since 2.0 have it. \
                     `mlflow db upgrade` brings older ones up to date"
                )));
            }
        }
        Ok(())
    }

    pub fn has_table(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    pub fn has(&self, table: &str, column: &str) -> bool {
        self.tables.get(table).is_some_and(|columns| columns.contains(column))
    }

    /// `CAST(t.column AS TEXT) AS column`, or NULL where the database has no such column.
    pub fn text(&self, table: &str, column: &str) -> String {
        self.cast(table, column, "TEXT")
    }

    /// As [`Schema::text`], a 64-bit integer.
    pub fn int(&self, table: &str, column: &str) -> String {
        self.cast(table, column, "BIGINT")
    }

    /// As [`Schema::text`], a double.
    pub fn float(&self, table: &str, column: &str) -> String {
        self.cast(table, column, "DOUBLE PRECISION")
    }

    fn cast(&self, table: &str, column: &str, sql_type: &str) -> String {
        let value = if self.has(table, column) { format!("{table}.{column}") } else { "NULL".to_owned() };
        format!("CAST({value} AS {sql_type}) AS {column}")
    }

    /// `WHERE` clause that leaves out other workspaces than the one that everybody has.
    pub fn default_workspace(&self, table: &str) -> String {
        if self.has(table, "workspace") {
            format!("COALESCE({table}.workspace, 'default') = 'default'")
        } else {
            "1 = 1".to_owned()
        }
    }

    /// The MLflow version whose schema it is, as far as that is known.
    pub fn version(&self) -> String {
        let known = REVISIONS.iter().find(|(revision, _)| *revision == self.revision);
        match known {
            Some((_, version)) => format!("of version {version}"),
            None if self.has_table("logged_models") => "of version 3".to_owned(),
            None => "of version 2".to_owned(),
        }
    }
}
