//! The registration snapshot: all that was known about a version when it was registered.

use super::{Document, MetricValue, RunSnapshot, SchemaVersion, redact};
use crate::media_type;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All that was known about a version when it was registered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistrationSnapshot {
    pub schema_version: SchemaVersion,
    /// Where the files came from, as the client posted it.
    #[serde(serialize_with = "redact::text")]
    #[schemars(with = "String")]
    pub source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, serialize_with = "redact::texts")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub tags: BTreeMap<String, String>,
    /// Principal that registered the version.
    pub registered_by: String,
    pub registered_at_ms: i64,
    /// The run that it came from; there may be none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunSnapshot>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logged_model: Option<LoggedModelSnapshot>,
}

/// An MLflow logged model (`m-…`) as the registry knew it at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoggedModelSnapshot {
    pub model_id: String,
    pub experiment_id: String,
    pub name: String,
    pub status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_run_id: Option<String>,
    pub created_at_ms: i64,
    #[serde(default, serialize_with = "redact::texts")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub params: BTreeMap<String, String>,
    #[serde(default, serialize_with = "redact::texts")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub tags: BTreeMap<String, String>,
    /// Latest value of each metric by name.
    #[serde(default)]
    pub metrics: BTreeMap<String, MetricValue>,
}

impl Document for RegistrationSnapshot {
    const FILE: &'static str = "registration-snapshot.json";
    const MEDIA_TYPE: &'static str = media_type::REGISTRATION_SNAPSHOT;
}
