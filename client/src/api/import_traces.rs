//! Traces that an import brings.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A trace with all but its spans.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImportTrace {
    /// Kept.
    pub id: String,
    /// The experiment's id at the source.
    pub experiment_id: String,
    pub timestamp_ms: i64,
    /// Left out: it has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_time_ms: Option<i64>,
    /// `OK`, `ERROR`, `IN_PROGRESS` or `STATE_UNSPECIFIED`.
    pub state: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_request_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_preview: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_preview: Option<String>,
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// `mlflow.trace.spansLocation` says whether spans follow (`TRACKING_STORE`) or are a file among the
    /// artifacts.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    #[serde(default)]
    pub assessments: Vec<ImportAssessment>,
    /// Runs that it was linked to.
    #[serde(default)]
    pub runs: Vec<String>,
    /// Versions of prompts that it used, `name/version`.
    #[serde(default)]
    pub prompts: Vec<String>,
}

/// What was said about a trace.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImportAssessment {
    /// Kept.
    pub id: String,
    /// `feedback`, `expectation` or `issue`.
    pub kind: String,
    pub name: String,
    pub value: Value,
    /// Why feedback has no value: `error_code`, `error_message`, `stack_trace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
    /// `HUMAN`, `LLM_JUDGE`, `CODE` or `SOURCE_TYPE_UNSPECIFIED`.
    pub source_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rationale: Option<String>,
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// The assessment that it replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overrides: Option<String>,
    /// False once another one replaces it.
    pub valid: bool,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
}

/// Spans of a trace. Those that are here already are replaced.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImportSpans {
    pub trace_id: String,
    /// Each as JSON text, as one of the spans of MLflow's `traces.json`.
    pub spans: Vec<String>,
}
