//! Registered models, prompts and their versions, as MLflow's tables hold them.

use super::{
    ROWS, Sql,
    tracking::{pairs, placeholders},
};
use crate::commands::import::{
    error::SourceError,
    model::{Page, SourceModel, SourceVersion},
};
use std::collections::{BTreeMap, HashMap};
use waybill_client::api::{ImportRegisteredModel, ImportVersion, Stage};

impl Sql {
    /// Registered models and prompts after the one of name `after`.
    pub async fn registered_models(&self, after: Option<&str>) -> Result<Page<SourceModel>, SourceError> {
        let table = "registered_models";
        if !self.schema.has_table(table) {
            return Ok(Page { rows: Vec::new(), next: None });
        }
        let sql = format!(
            "SELECT CAST(name AS TEXT) AS name, {}, {}, {}
             FROM registered_models WHERE {} AND name > $1 ORDER BY name LIMIT {ROWS}",
            self.schema.text(table, "description"),
            self.schema.int(table, "creation_time"),
            self.schema.int(table, "last_updated_time"),
            self.schema.default_workspace(table),
        );
        let rows = self.db.rows(sql, &[after.unwrap_or_default()]).await?;
        let names: Vec<String> = rows.iter().map(|row| row.word("name")).collect::<Result<_, _>>()?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut tags = self.model_tags(&names).await?;
        let mut aliases = self.aliases(&names).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let name = row.word("name")?;
            let created_at_ms = row.number("creation_time")?;
            found.push(SourceModel {
                aliases: aliases.remove(&name).unwrap_or_default(),
                model: ImportRegisteredModel {
                    description: row.text("description")?,
                    created_at_ms,
                    updated_at_ms: row.int("last_updated_time")?.unwrap_or(created_at_ms),
                    tags: tags.remove(&name).unwrap_or_default(),
                    name,
                },
            });
        }
        let next = found.last().map(|last| last.model.name.clone()).filter(|_| found.len() == ROWS);
        Ok(Page { rows: found, next })
    }

    async fn model_tags(
        &self,
        names: &[&str],
    ) -> Result<HashMap<String, BTreeMap<String, String>>, SourceError> {
        if !self.schema.has_table("registered_model_tags") {
            return Ok(HashMap::new());
        }
        let table = format!(
            "(SELECT * FROM registered_model_tags WHERE {}) t",
            self.schema.default_workspace("registered_model_tags")
        );
        pairs(&self.db, &table, ["name", "key", "value"], names).await
    }

    async fn aliases(&self, names: &[&str]) -> Result<HashMap<String, BTreeMap<String, i64>>, SourceError> {
        let mut found: HashMap<String, BTreeMap<String, i64>> = HashMap::new();
        let table = "registered_model_aliases";
        if names.is_empty() || !self.schema.has_table(table) {
            return Ok(found);
        }
        let sql = format!(
            "SELECT CAST(name AS TEXT) AS name, CAST(alias AS TEXT) AS alias, CAST(version AS BIGINT) AS version
             FROM {table} WHERE {} AND name IN ({})",
            self.schema.default_workspace(table),
            placeholders(0, names.len())
        );
        for row in self.db.rows(sql, names).await? {
            found.entry(row.word("name")?).or_default().insert(row.word("alias")?, row.number("version")?);
        }
        Ok(found)
    }

    /// Versions of a model after the one of number `after`. Deleted ones are rows, too.
    pub async fn versions(
        &self,
        name: &str,
        after: Option<&str>,
    ) -> Result<Page<SourceVersion>, SourceError> {
        let (schema, table) = (&self.schema, "model_versions");
        let sql = format!(
            "SELECT CAST(version AS BIGINT) AS version, CAST(source AS TEXT) AS source,
                 CAST(current_stage AS TEXT) AS stage, CAST(user_id AS TEXT) AS user_id,
                 CAST(run_id AS TEXT) AS run_id, {}, {}, {}, {}
             FROM {table} WHERE {} AND name = $1 AND version > CAST($2 AS BIGINT)
                 AND COALESCE(current_stage, 'None') <> 'Deleted_Internal'
             ORDER BY version LIMIT {ROWS}",
            schema.text(table, "description"),
            schema.text(table, "run_link"),
            schema.int(table, "creation_time"),
            schema.int(table, "last_updated_time"),
            schema.default_workspace(table),
        );
        let rows = self.db.rows(sql, &[name, after.unwrap_or("0")]).await?;
        let mut tags = self.version_tags(name).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let version = row.number("version")?;
            let created_at_ms = row.number("creation_time")?;
            let some = |text: Option<String>| text.filter(|text| !text.is_empty());
            found.push(SourceVersion {
                version: ImportVersion {
                    name: name.to_owned(),
                    version,
                    source: row.word("source")?,
                    description: row.text("description")?,
                    created_by: some(row.text("user_id")?),
                    created_at_ms,
                    updated_at_ms: row.int("last_updated_time")?.unwrap_or(created_at_ms),
                    stage: row.word("stage")?.parse().unwrap_or(Stage::None),
                    run_id: some(row.text("run_id")?),
                    run_link: some(row.text("run_link")?),
                    tags: tags.remove(&version).unwrap_or_default(),
                    fingerprint: String::new(),
                },
            });
        }
        let next = found.last().map(|last| last.version.version.to_string()).filter(|_| found.len() == ROWS);
        Ok(Page { rows: found, next })
    }

    async fn version_tags(&self, name: &str) -> Result<HashMap<i64, BTreeMap<String, String>>, SourceError> {
        let mut found: HashMap<i64, BTreeMap<String, String>> = HashMap::new();
        let table = "model_version_tags";
        if !self.schema.has_table(table) {
            return Ok(found);
        }
        let sql = format!(
            "SELECT CAST(version AS BIGINT) AS version, CAST(key AS TEXT) AS k, CAST(value AS TEXT) AS v
             FROM {table} WHERE {} AND name = $1",
            self.schema.default_workspace(table)
        );
        for row in self.db.rows(sql, &[name]).await? {
            found.entry(row.number("version")?).or_default().insert(row.word("k")?, row.word("v")?);
        }
        Ok(found)
    }

    /// Where the server itself finds a version's files.
    pub async fn download_uri(&self, name: &str, version: i64) -> Result<Option<String>, SourceError> {
        let table = "model_versions";
        if !self.schema.has(table, "storage_location") {
            return Ok(None);
        }
        let sql = format!(
            "SELECT CAST(storage_location AS TEXT) AS uri FROM {table}
             WHERE {} AND name = $1 AND version = CAST($2 AS BIGINT)",
            self.schema.default_workspace(table)
        );
        match self.db.rows(sql, &[name, &version.to_string()]).await?.first() {
            Some(row) => Ok(row.text("uri")?.filter(|uri| !uri.is_empty())),
            None => Ok(None),
        }
    }
}
