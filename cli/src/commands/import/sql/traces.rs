//! Traces, as MLflow's tables hold them.

use super::{
    ROWS, Sql,
    db::Row,
    tracking::{pairs, placeholders},
};
use crate::commands::import::{
    error::SourceError,
    model::{Page, SourceTrace, sort_assessments},
    trace::{self, Spans},
};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use waybill_client::api::{ImportAssessment, ImportTrace};

const NAME: &str = "mlflow.traceName";
const SESSION: &str = "mlflow.trace.session";
const TOKEN_USAGE: &str = "mlflow.trace.tokenUsage";
const COST: &str = "mlflow.trace.cost";
/// Columns that became of metadata in version 3.17, in the order in which MLflow writes them back.
const TOKENS: [&str; 6] = [
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cache_creation_input_tokens_above_1hr",
];
const COSTS: [&str; 3] = ["input_cost", "output_cost", "total_cost"];
const TABLE: &str = "trace_info";

impl Sql {
    /// Traces of an experiment after the one of id `after`.
    pub async fn traces(
        &self,
        experiment_id: &str,
        after: Option<&str>,
    ) -> Result<Page<SourceTrace>, SourceError> {
        let schema = &self.schema;
        if !schema.has_table(TABLE) {
            return Ok(Page { rows: Vec::new(), next: None });
        }
        let texts = ["client_request_id", "request_preview", "response_preview", "trace_name", "session_id"];
        let mut columns: Vec<String> = texts.map(|column| schema.text(TABLE, column)).into();
        columns.extend(TOKENS.map(|column| schema.int(TABLE, column)));
        columns.extend(COSTS.map(|column| schema.float(TABLE, column)));
        let sql = format!(
            "SELECT CAST(request_id AS TEXT) AS id, CAST(timestamp_ms AS BIGINT) AS timestamp_ms,
                 CAST(execution_time_ms AS BIGINT) AS execution_time_ms, CAST(status AS TEXT) AS status, {}
             FROM {TABLE} WHERE experiment_id = CAST($1 AS BIGINT) AND request_id > $2
             ORDER BY request_id LIMIT {ROWS}",
            columns.join(", "),
        );
        let rows = self.db.rows(sql, &[experiment_id, after.unwrap_or_default()]).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            found.push(ImportTrace {
                id: row.word("id")?,
                experiment_id: experiment_id.to_owned(),
                timestamp_ms: row.number("timestamp_ms")?,
                execution_time_ms: row.int("execution_time_ms")?,
                state: trace::state(&row.word("status")?),
                client_request_id: row.text("client_request_id")?,
                request_preview: row.text("request_preview")?,
                response_preview: row.text("response_preview")?,
                metadata: BTreeMap::new(),
                tags: BTreeMap::new(),
                assessments: Vec::new(),
                runs: Vec::new(),
                prompts: Vec::new(),
            });
        }
        let next = found.last().map(|last| last.id.clone()).filter(|_| found.len() == ROWS);
        Ok(Page { rows: self.filled_traces(found, &rows).await?, next })
    }

    async fn filled_traces(
        &self,
        found: Vec<ImportTrace>,
        rows: &[Row],
    ) -> Result<Vec<SourceTrace>, SourceError> {
        let ids: Vec<String> = found.iter().map(|trace| trace.id.clone()).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut tags = pairs(&self.db, "trace_tags", ["request_id", "key", "value"], &ids).await?;
        let mut metadata =
            pairs(&self.db, "trace_request_metadata", ["request_id", "key", "value"], &ids).await?;
        let mut assessments = self.assessments(&ids).await?;
        let mut runs = self.linked(&ids, "run").await?;
        let mut prompts = self.linked(&ids, "prompt_version").await?;
        let mut spans = self.count_spans(&ids).await?;
        let mut filled = Vec::with_capacity(found.len());
        for (mut trace, row) in found.into_iter().zip(rows) {
            trace.tags = tags.remove(&trace.id).unwrap_or_default();
            trace.metadata = metadata.remove(&trace.id).unwrap_or_default();
            self.add_columns(&mut trace, row)?;
            trace.assessments = assessments.remove(&trace.id).unwrap_or_default();
            sort_assessments(&mut trace);
            trace.runs = runs.remove(&trace.id).unwrap_or_default();
            trace.prompts = trace::prompts(&trace);
            trace.prompts.extend(prompts.remove(&trace.id).unwrap_or_default());
            trace.prompts.sort();
            trace.prompts.dedup();
            let spans = spans.remove(&trace.id).unwrap_or_default();
            filled.push(SourceTrace { trace, spans });
        }
        Ok(filled)
    }

    /// What stands in columns of their own, as the metadata and tags that MLflow shows.
    fn add_columns(&self, trace: &mut ImportTrace, row: &Row) -> Result<(), SourceError> {
        if !self.schema.has(TABLE, "session_id") {
            return Ok(());
        }
        for key in [SESSION, TOKEN_USAGE, COST] {
            trace.metadata.remove(key);
        }
        trace.tags.remove(NAME);
        if let Some(name) = row.text("trace_name")? {
            trace.tags.insert(NAME.to_owned(), name);
        }
        if let Some(session) = row.text("session_id")? {
            trace.metadata.insert(SESSION.to_owned(), session);
        }
        let (mut tokens, mut costs) = (Vec::new(), Vec::new());
        for column in TOKENS {
            tokens.extend(row.int(column)?.map(|number| format!("\"{column}\": {number}")));
        }
        for column in COSTS {
            costs.extend(row.float(column)?.map(|number| format!("\"{column}\": {}", python_float(number))));
        }
        for (key, said) in [(TOKEN_USAGE, tokens), (COST, costs)] {
            if !said.is_empty() {
                trace.metadata.insert(key.to_owned(), format!("{{{}}}", said.join(", ")));
            }
        }
        Ok(())
    }

    async fn assessments(&self, ids: &[&str]) -> Result<HashMap<String, Vec<ImportAssessment>>, SourceError> {
        let mut found: HashMap<String, Vec<ImportAssessment>> = HashMap::new();
        let table = "assessments";
        if !self.schema.has_table(table) {
            return Ok(found);
        }
        let sql = format!(
            "SELECT CAST(trace_id AS TEXT) AS trace, CAST(assessment_id AS TEXT) AS id, CAST(name AS TEXT) AS name,
                 CAST(assessment_type AS TEXT) AS kind, CAST(value AS TEXT) AS value, CAST(error AS TEXT) AS error,
                 CAST(created_timestamp AS BIGINT) AS created, CAST(last_updated_timestamp AS BIGINT) AS updated,
                 CAST(source_type AS TEXT) AS source_type, {}, {}, {}, {}, {},
                 CAST(CASE WHEN valid THEN 1 ELSE 0 END AS BIGINT) AS valid
             FROM {table} WHERE trace_id IN ({})",
            self.schema.text(table, "source_id"),
            self.schema.text(table, "span_id"),
            self.schema.text(table, "rationale"),
            self.schema.text(table, "overrides"),
            self.schema.text(table, "assessment_metadata"),
            placeholders(0, ids.len())
        );
        for row in self.db.rows(sql, ids).await? {
            found.entry(row.word("trace")?).or_default().push(assessment(&row)?);
        }
        Ok(found)
    }

    /// What traces were linked to, of one kind.
    async fn linked(&self, ids: &[&str], kind: &str) -> Result<HashMap<String, Vec<String>>, SourceError> {
        let mut found: HashMap<String, Vec<String>> = HashMap::new();
        if !self.schema.has_table("entity_associations") {
            return Ok(found);
        }
        let sql = format!(
            "SELECT CAST(source_id AS TEXT) AS trace, CAST(destination_id AS TEXT) AS linked
             FROM entity_associations WHERE source_type = 'trace' AND destination_type = '{kind}'
                 AND source_id IN ({})",
            placeholders(0, ids.len())
        );
        for row in self.db.rows(sql, ids).await? {
            found.entry(row.word("trace")?).or_default().push(row.word("linked")?);
        }
        Ok(found)
    }

    /// How many spans each trace has, and when the last one ended.
    async fn count_spans(&self, ids: &[&str]) -> Result<HashMap<String, String>, SourceError> {
        let mut found = HashMap::new();
        if !self.schema.has_table("spans") {
            return Ok(found);
        }
        let sql = format!(
            "SELECT CAST(trace_id AS TEXT) AS trace, CAST(COUNT(*) AS BIGINT) AS spans,
                 CAST(MAX(end_time_unix_nano) AS BIGINT) AS ended
             FROM spans WHERE trace_id IN ({}) GROUP BY trace_id",
            placeholders(0, ids.len())
        );
        for row in self.db.rows(sql, ids).await? {
            let seen = format!("{} until {}", row.number("spans")?, row.number("ended")?);
            found.insert(row.word("trace")?, seen);
        }
        Ok(found)
    }

    /// The spans of a trace that lie in the database.
    pub async fn spans(&self, of: &ImportTrace) -> Result<Vec<String>, SourceError> {
        if trace::spans_of(of) == Spans::Archive {
            let place = of.tags.get(trace::ARCHIVE_LOCATION).map_or("an archive", String::as_str);
            return Err(SourceError::Object(format!(
                "its spans were moved to {place}, which MLflow's server reads; --from its address brings them"
            )));
        }
        if !self.schema.has_table("spans") {
            return Ok(Vec::new());
        }
        let sql = "SELECT CAST(content AS TEXT) AS content FROM spans WHERE trace_id = $1
                   ORDER BY start_time_unix_nano, span_id";
        self.db.rows(sql.to_owned(), &[&of.id]).await?.iter().map(|row| row.word("content")).collect()
    }
}

fn assessment(row: &Row) -> Result<ImportAssessment, SourceError> {
    // Python writes NaN, which is no JSON: such a value comes as the text that it is.
    let json = |column: &str| -> Result<Option<Value>, SourceError> {
        let text = row.text(column)?.filter(|text| !text.is_empty());
        Ok(text.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text))))
    };
    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let metadata = match json("assessment_metadata")? {
        Some(Value::Object(entries)) => entries.into_iter().map(|(key, value)| (key, text(value))).collect(),
        _ => BTreeMap::new(),
    };
    Ok(ImportAssessment {
        kind: row.word("kind")?,
        name: row.word("name")?,
        value: json("value")?.unwrap_or_default(),
        error: json("error")?.filter(Value::is_object),
        source_type: row.word("source_type")?,
        source_id: row.text("source_id")?,
        span_id: row.text("span_id")?,
        rationale: row.text("rationale")?,
        metadata,
        overrides: row.text("overrides")?,
        valid: row.number("valid")? == 1,
        created_at_ms: row.number("created")?,
        updated_at_ms: row.number("updated")?,
        id: row.word("id")?,
    })
}

/// A number as Python writes it.
fn python_float(number: f64) -> String {
    if number == 0.0 || (1e-4..1e16).contains(&number.abs()) || !number.is_finite() {
        return format!("{number:?}");
    }
    let text = format!("{number:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{digits}e{sign}{exponent:0>2}")
}

#[cfg(test)]
mod tests {
    use super::python_float;

    #[test]
    fn numbers_are_written_as_python_does() {
        for (number, expected) in [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (0.0001, "0.0001"),
            (0.000_012_5, "1.25e-05"),
            (-1e-7, "-1e-07"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
        ] {
            assert_eq!(python_float(number), expected);
        }
    }
}
