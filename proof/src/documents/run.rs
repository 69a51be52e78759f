//! What a run looked like at one moment, and once it had ended.

use super::{Dataset, Document, MetricNumber, SchemaVersion, integer, redact};
use crate::media_type;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A run as the registry knew it at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunSnapshot {
    pub run_id: String,
    pub experiment_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_name: Option<String>,
    /// As the client reported it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// `RUNNING`, `SCHEDULED`, `FINISHED`, `FAILED` or `KILLED`.
    pub status: String,
    #[serde(with = "integer")]
    #[schemars(schema_with = "integer::schema")]
    pub start_time_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "integer::option")]
    #[schemars(schema_with = "integer::option::schema")]
    pub end_time_ms: Option<i64>,
    #[serde(default, serialize_with = "redact::texts")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub params: BTreeMap<String, String>,
    /// Latest value of each metric by name.
    #[serde(default)]
    pub metrics: BTreeMap<String, MetricValue>,
    #[serde(default, serialize_with = "redact::texts")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub tags: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub datasets: Vec<Dataset>,
}

/// A metric's latest value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricValue {
    pub value: MetricNumber,
    #[serde(with = "integer")]
    #[schemars(schema_with = "integer::schema")]
    pub step: i64,
    #[serde(with = "integer")]
    #[schemars(schema_with = "integer::schema")]
    pub timestamp_ms: i64,
}

/// The run that made a version, after it ended: autolog registers before it logs metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunCompleted {
    pub schema_version: SchemaVersion,
    pub run: RunSnapshot,
    /// When the registry saw the run end.
    pub observed_at_ms: i64,
}

impl Document for RunCompleted {
    const FILE: &'static str = "run-completed.json";
    const MEDIA_TYPE: &'static str = media_type::RUN_COMPLETED;
}
