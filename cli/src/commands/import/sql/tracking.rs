//! Experiments, runs and logged models, as MLflow's tables hold them.

use super::{
    ROWS, Sql,
    db::{Db, Row},
};
use crate::commands::import::{
    error::SourceError,
    model::{Page, SourceExperiment, SourceLoggedModel, SourceRun, sort_metrics},
};
use futures::StreamExt;
use std::collections::{BTreeMap, HashMap};
use tokio::sync::mpsc;
use waybill_client::api::{
    ImportDataset, ImportExperiment, ImportLoggedModel, ImportModelMetric, ImportModelOutput, ImportPoint,
    ImportRun,
};
use waybill_proof::documents::MetricNumber;

const HISTORY_ROWS: usize = 5_000;
/// In the order of MLflow's numbers.
const MODEL_STATUSES: [&str; 4] = [
    "LOGGED_MODEL_STATUS_UNSPECIFIED",
    "LOGGED_MODEL_PENDING",
    "LOGGED_MODEL_READY",
    "LOGGED_MODEL_UPLOAD_FAILED",
];

/// `$1, $2, …` for so many bound values, after `before` others.
pub fn placeholders(before: usize, count: usize) -> String {
    (before + 1..=before + count).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
}

/// Key and value pairs of the owners in `ids`.
pub async fn pairs(
    db: &Db,
    table: &str,
    columns: [&str; 3],
    ids: &[&str],
) -> Result<HashMap<String, BTreeMap<String, String>>, SourceError> {
    let [owner, key, value] = columns;
    let mut found: HashMap<String, BTreeMap<String, String>> = HashMap::new();
    if ids.is_empty() {
        return Ok(found);
    }
    let sql = format!(
        "SELECT CAST({owner} AS TEXT) AS o, CAST({key} AS TEXT) AS k, CAST({value} AS TEXT) AS v
         FROM {table} WHERE {owner} IN ({})",
        placeholders(0, ids.len())
    );
    for row in db.rows(sql, ids).await? {
        found.entry(row.word("o")?).or_default().insert(row.word("k")?, row.word("v")?);
    }
    Ok(found)
}

fn is_deleted(row: &Row) -> Result<bool, SourceError> {
    Ok(row.word("lifecycle_stage")?.eq_ignore_ascii_case("deleted"))
}

fn point(row: &Row) -> Result<ImportPoint, SourceError> {
    let value = row.float("value")?.unwrap_or_default();
    Ok(ImportPoint {
        key: row.word("k")?,
        value: MetricNumber(if row.number("is_nan")? == 1 { f64::NAN } else { value }),
        timestamp_ms: row.number("ts")?,
        step: row.number("step")?,
    })
}

const POINT: &str = "CAST(key AS TEXT) AS k, CAST(value AS DOUBLE PRECISION) AS value,
     CAST(timestamp AS BIGINT) AS ts, CAST(step AS BIGINT) AS step,
     CAST(CASE WHEN is_nan THEN 1 ELSE 0 END AS BIGINT) AS is_nan";

impl Sql {
    /// Experiments after the one of id `after`.
    pub async fn experiments(&self, after: Option<&str>) -> Result<Page<SourceExperiment>, SourceError> {
        let (schema, table) = (&self.schema, "experiments");
        let sql = format!(
            "SELECT CAST(experiment_id AS TEXT) AS id, CAST(name AS TEXT) AS name, {}, {}, {}, {}
             FROM experiments WHERE {} AND experiment_id > CAST($1 AS BIGINT) ORDER BY experiment_id LIMIT {ROWS}",
            schema.text(table, "artifact_location"),
            schema.text(table, "lifecycle_stage"),
            schema.int(table, "creation_time"),
            schema.int(table, "last_update_time"),
            schema.default_workspace(table),
        );
        let rows = self.db.rows(sql, &[after.unwrap_or("-1")]).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            found.push(SourceExperiment {
                experiment: ImportExperiment {
                    id: row.word("id")?,
                    name: row.word("name")?,
                    artifact_location: row.text("artifact_location")?,
                    created_at_ms: row.number("creation_time")?,
                    updated_at_ms: row.number("last_update_time")?,
                    tags: BTreeMap::new(),
                },
                deleted: is_deleted(row)?,
            });
        }
        if schema.has_table("experiment_tags") {
            let ids: Vec<&str> = found.iter().map(|found| found.experiment.id.as_str()).collect();
            let mut tags =
                pairs(&self.db, "experiment_tags", ["CAST(experiment_id AS TEXT)", "key", "value"], &ids)
                    .await?;
            for found in &mut found {
                found.experiment.tags = tags.remove(&found.experiment.id).unwrap_or_default();
            }
        }
        let next = found.last().map(|last| last.experiment.id.clone()).filter(|_| found.len() == ROWS);
        Ok(Page { rows: found, next })
    }

    /// Runs of an experiment after the one of id `after`.
    pub async fn runs(
        &self,
        experiment_id: &str,
        after: Option<&str>,
    ) -> Result<Page<SourceRun>, SourceError> {
        let schema = &self.schema;
        let sql = format!(
            "SELECT CAST(run_uuid AS TEXT) AS id, CAST(name AS TEXT) AS name, CAST(user_id AS TEXT) AS user_id,
                 CAST(status AS TEXT) AS status, CAST(start_time AS BIGINT) AS start_time,
                 CAST(end_time AS BIGINT) AS end_time, {}, {}
             FROM runs WHERE experiment_id = CAST($1 AS BIGINT) AND run_uuid > $2
             ORDER BY run_uuid LIMIT {ROWS}",
            schema.text("runs", "artifact_uri"),
            schema.text("runs", "lifecycle_stage"),
        );
        let rows = self.db.rows(sql, &[experiment_id, after.unwrap_or_default()]).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            found.push(SourceRun {
                run: ImportRun {
                    id: row.word("id")?,
                    experiment_id: experiment_id.to_owned(),
                    name: row.word("name")?,
                    user_id: row.word("user_id")?,
                    status: row.word("status")?,
                    start_time_ms: row.number("start_time")?,
                    end_time_ms: row.int("end_time")?,
                    artifact_uri: row.text("artifact_uri")?,
                    params: BTreeMap::new(),
                    tags: BTreeMap::new(),
                    datasets: Vec::new(),
                    model_inputs: Vec::new(),
                    model_outputs: Vec::new(),
                },
                latest: BTreeMap::new(),
                deleted: is_deleted(row)?,
            });
        }
        let next = found.last().map(|last| last.run.id.clone()).filter(|_| found.len() == ROWS);
        self.fill_runs(&mut found).await?;
        Ok(Page { rows: found, next })
    }

    async fn fill_runs(&self, runs: &mut [SourceRun]) -> Result<(), SourceError> {
        let ids: Vec<String> = runs.iter().map(|run| run.run.id.clone()).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let mut params = pairs(&self.db, "params", ["run_uuid", "key", "value"], &ids).await?;
        let mut tags = pairs(&self.db, "tags", ["run_uuid", "key", "value"], &ids).await?;
        let mut latest = self.latest(&ids).await?;
        let mut datasets = self.datasets(&ids).await?;
        let mut models = self.run_models(&ids).await?;
        for run in runs {
            let id = &run.run.id;
            run.run.params = params.remove(id).unwrap_or_default();
            run.run.tags = tags.remove(id).unwrap_or_default();
            if run.run.name.is_empty() {
                run.run.name = run.run.tags.get("mlflow.runName").cloned().unwrap_or_default();
            }
            run.latest = latest.remove(id).unwrap_or_default();
            run.run.datasets = datasets.remove(id).unwrap_or_default();
            let (inputs, outputs) = models.remove(id).unwrap_or_default();
            (run.run.model_inputs, run.run.model_outputs) = (inputs, outputs);
        }
        Ok(())
    }

    async fn latest(
        &self,
        ids: &[&str],
    ) -> Result<HashMap<String, BTreeMap<String, ImportPoint>>, SourceError> {
        let mut found: HashMap<String, BTreeMap<String, ImportPoint>> = HashMap::new();
        if self.schema.has_table("latest_metrics") {
            let sql = format!(
                "SELECT CAST(run_uuid AS TEXT) AS id, {POINT} FROM latest_metrics WHERE run_uuid IN ({})",
                placeholders(0, ids.len())
            );
            for row in self.db.rows(sql, ids).await? {
                let point = point(&row)?;
                found.entry(row.word("id")?).or_default().insert(point.key.clone(), point);
            }
        }
        Ok(found)
    }

    /// Sends every value of the run's metrics, a page at a time.
    pub async fn history(
        &self,
        run_id: &str,
        pages: mpsc::Sender<Result<Vec<ImportPoint>, SourceError>>,
    ) -> Result<(), SourceError> {
        let sql = format!("SELECT {POINT} FROM metrics WHERE run_uuid = $1");
        let mut rows = self.db.stream(sql, vec![run_id.to_owned()]).chunks(HISTORY_ROWS);
        while let Some(rows) = rows.next().await {
            let points: Result<Vec<ImportPoint>, SourceError> =
                rows.into_iter().map(|row| point(&row?)).collect();
            if pages.send(points).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn datasets(&self, ids: &[&str]) -> Result<HashMap<String, Vec<ImportDataset>>, SourceError> {
        let mut found: HashMap<String, Vec<ImportDataset>> = HashMap::new();
        if !self.schema.has_table("inputs") || !self.schema.has_table("datasets") {
            return Ok(found);
        }
        let sql = format!(
            "SELECT CAST(i.input_uuid AS TEXT) AS input, CAST(i.destination_id AS TEXT) AS run,
                 CAST(d.name AS TEXT) AS name, CAST(d.digest AS TEXT) AS digest,
                 CAST(d.dataset_source_type AS TEXT) AS source_type, CAST(d.dataset_source AS TEXT) AS source,
                 CAST(d.dataset_schema AS TEXT) AS schema_text, CAST(d.dataset_profile AS TEXT) AS profile
             FROM inputs i JOIN datasets d ON d.dataset_uuid = i.source_id
             WHERE i.source_type = 'DATASET' AND i.destination_type = 'RUN' AND i.destination_id IN ({})
             ORDER BY d.dataset_uuid",
            placeholders(0, ids.len())
        );
        let rows = self.db.rows(sql, ids).await?;
        let inputs: Vec<String> = rows.iter().map(|row| row.word("input")).collect::<Result<_, _>>()?;
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let mut tags = HashMap::new();
        for some in inputs.chunks(ROWS) {
            tags.extend(pairs(&self.db, "input_tags", ["input_uuid", "name", "value"], some).await?);
        }
        for row in &rows {
            found.entry(row.word("run")?).or_default().push(ImportDataset {
                name: row.word("name")?,
                digest: row.word("digest")?,
                source_type: row.word("source_type")?,
                source: row.word("source")?,
                schema: row.text("schema_text")?.filter(|text| !text.is_empty()),
                profile: row.text("profile")?.filter(|text| !text.is_empty()),
                tags: tags.remove(&row.word("input")?).unwrap_or_default(),
            });
        }
        Ok(found)
    }

    async fn run_models(
        &self,
        ids: &[&str],
    ) -> Result<HashMap<String, (Vec<String>, Vec<ImportModelOutput>)>, SourceError> {
        let mut found: HashMap<String, (Vec<String>, Vec<ImportModelOutput>)> = HashMap::new();
        if !self.schema.has_table("logged_models") {
            return Ok(found);
        }
        let sql = format!(
            "SELECT CAST(source_id AS TEXT) AS run, CAST(source_type AS TEXT) AS role,
                 CAST(destination_id AS TEXT) AS model, {}
             FROM inputs WHERE source_type IN ('RUN_INPUT', 'RUN_OUTPUT') AND source_id IN ({})
             ORDER BY destination_id",
            self.schema.int("inputs", "step"),
            placeholders(0, ids.len())
        );
        for row in self.db.rows(sql, ids).await? {
            let of_run = found.entry(row.word("run")?).or_default();
            let model_id = row.word("model")?;
            if row.word("role")? == "RUN_INPUT" {
                of_run.0.push(model_id);
            } else {
                of_run.1.push(ImportModelOutput { model_id, step: row.number("step")? });
            }
        }
        Ok(found)
    }

    /// Logged models of an experiment after the one of id `after`.
    pub async fn logged_models(
        &self,
        experiment_id: &str,
        after: Option<&str>,
    ) -> Result<Page<SourceLoggedModel>, SourceError> {
        if !self.schema.has_table("logged_models") {
            return Ok(Page { rows: Vec::new(), next: None });
        }
        let sql = format!(
            "SELECT CAST(model_id AS TEXT) AS id, CAST(name AS TEXT) AS name,
                 CAST(artifact_location AS TEXT) AS artifact_location,
                 CAST(creation_timestamp_ms AS BIGINT) AS created,
                 CAST(last_updated_timestamp_ms AS BIGINT) AS updated, CAST(status AS BIGINT) AS status,
                 CAST(model_type AS TEXT) AS model_type, CAST(source_run_id AS TEXT) AS source_run_id,
                 CAST(status_message AS TEXT) AS status_message, CAST(lifecycle_stage AS TEXT) AS lifecycle_stage
             FROM logged_models WHERE experiment_id = CAST($1 AS BIGINT) AND model_id > $2
             ORDER BY model_id LIMIT {ROWS}"
        );
        let rows = self.db.rows(sql, &[experiment_id, after.unwrap_or_default()]).await?;
        let ids: Vec<String> = rows.iter().map(|row| row.word("id")).collect::<Result<_, _>>()?;
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let mut params =
            pairs(&self.db, "logged_model_params", ["model_id", "param_key", "param_value"], &ids).await?;
        let mut tags =
            pairs(&self.db, "logged_model_tags", ["model_id", "tag_key", "tag_value"], &ids).await?;
        let mut metrics = self.model_metrics(&ids).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let id = row.word("id")?;
            let status = usize::try_from(row.number("status")?).ok().and_then(|n| MODEL_STATUSES.get(n));
            let mut model = ImportLoggedModel {
                experiment_id: experiment_id.to_owned(),
                name: row.word("name")?,
                artifact_location: row.text("artifact_location")?,
                created_at_ms: row.number("created")?,
                updated_at_ms: row.number("updated")?,
                status: (*status.unwrap_or(&MODEL_STATUSES[0])).to_owned(),
                status_message: row.text("status_message")?,
                model_type: row.word("model_type")?,
                source_run_id: row.word("source_run_id")?,
                params: params.remove(&id).unwrap_or_default(),
                tags: tags.remove(&id).unwrap_or_default(),
                metrics: metrics.remove(&id).unwrap_or_default(),
                id,
            };
            sort_metrics(&mut model);
            found.push(SourceLoggedModel { model, deleted: is_deleted(row)? });
        }
        let next = found.last().map(|last| last.model.id.clone()).filter(|_| found.len() == ROWS);
        Ok(Page { rows: found, next })
    }

    async fn model_metrics(
        &self,
        ids: &[&str],
    ) -> Result<HashMap<String, Vec<ImportModelMetric>>, SourceError> {
        let mut found: HashMap<String, Vec<ImportModelMetric>> = HashMap::new();
        if ids.is_empty() {
            return Ok(found);
        }
        let sql = format!(
            "SELECT CAST(model_id AS TEXT) AS id, CAST(metric_name AS TEXT) AS k,
                 CAST(metric_value AS DOUBLE PRECISION) AS value, CAST(metric_timestamp_ms AS BIGINT) AS ts,
                 CAST(metric_step AS BIGINT) AS step, CAST(CASE WHEN metric_value IS NULL THEN 1 ELSE 0 END AS BIGINT) AS is_nan,
                 CAST(run_id AS TEXT) AS run_id, CAST(dataset_name AS TEXT) AS dataset_name,
                 CAST(dataset_digest AS TEXT) AS dataset_digest
             FROM logged_model_metrics WHERE model_id IN ({})",
            placeholders(0, ids.len())
        );
        for row in self.db.rows(sql, ids).await? {
            found.entry(row.word("id")?).or_default().push(ImportModelMetric {
                point: point(&row)?,
                run_id: row.word("run_id")?,
                dataset_name: row.text("dataset_name")?,
                dataset_digest: row.text("dataset_digest")?,
            });
        }
        Ok(found)
    }
}
