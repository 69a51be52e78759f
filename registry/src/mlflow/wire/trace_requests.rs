//! What is asked about traces (mlflow/protos/service.proto).

use super::traces::{LOCATION, TraceLocation};
use crate::{
    mlflow::extract::{Field, Kind, Message, nonempty, nullable, number, opt_text, optional, required},
    traces::correlation,
};
use serde::{Deserialize, Serialize};

/// The query of `GetTrace`.
#[derive(Debug, Deserialize)]
pub struct GetTrace {
    #[serde(deserialize_with = "nonempty")]
    pub trace_id: String,
    #[serde(default, deserialize_with = "nullable")]
    pub allow_partial: bool,
}

impl Message for GetTrace {
    const FIELDS: &'static [Field] =
        &[required("trace_id", Kind::Text), optional("allow_partial", Kind::Bool)];
}

/// `BatchGetTraces`, `BatchGetTraceInfos`.
#[derive(Debug, Deserialize)]
pub struct BatchGetTraces {
    pub trace_ids: Vec<String>,
    #[serde(default)]
    pub experiment_ids: Option<Vec<String>>,
}

impl Message for BatchGetTraces {
    const FIELDS: &'static [Field] =
        &[required("trace_ids", Kind::Texts), optional("experiment_ids", Kind::Texts)];
}

#[derive(Debug, Deserialize)]
pub struct SearchTracesV3 {
    pub locations: Vec<TraceLocation>,
    #[serde(default, deserialize_with = "opt_text")]
    pub filter: Option<String>,
    #[serde(default, deserialize_with = "number::opt_int")]
    pub max_results: Option<i64>,
    #[serde(default, deserialize_with = "nullable")]
    pub order_by: Vec<String>,
    #[serde(default, deserialize_with = "opt_text")]
    pub page_token: Option<String>,
}

impl Message for SearchTracesV3 {
    const FIELDS: &'static [Field] = &[
        required("locations", Kind::Messages(LOCATION)),
        optional("filter", Kind::Text),
        optional("max_results", Kind::Int),
        optional("order_by", Kind::Texts),
        optional("page_token", Kind::Text),
    ];
}

/// `DeleteTraces`, `DeleteTracesV3`.
#[derive(Debug, Deserialize)]
pub struct DeleteTraces {
    #[serde(deserialize_with = "nonempty")]
    pub experiment_id: String,
    #[serde(default, deserialize_with = "number::opt_int")]
    pub max_timestamp_millis: Option<i64>,
    #[serde(default, deserialize_with = "number::opt_int")]
    pub max_traces: Option<i64>,
    #[serde(default, deserialize_with = "nullable")]
    pub request_ids: Vec<String>,
}

impl Message for DeleteTraces {
    const FIELDS: &'static [Field] = &[
        required("experiment_id", Kind::Text),
        optional("max_timestamp_millis", Kind::Int),
        optional("max_traces", Kind::Int),
        optional("request_ids", Kind::Texts),
    ];
}

#[derive(Debug, Serialize)]
pub struct DeleteTracesResponse {
    pub traces_deleted: u64,
}

/// `SetTraceTag`, `SetTraceTagV3`.
#[derive(Debug, Deserialize)]
pub struct SetTraceTag {
    #[serde(deserialize_with = "nonempty")]
    pub key: String,
    #[serde(default, deserialize_with = "nullable")]
    pub value: String,
}

impl Message for SetTraceTag {
    const FIELDS: &'static [Field] = &[required("key", Kind::Text), optional("value", Kind::Text)];
}

/// `DeleteTraceTag`, `DeleteTraceTagV3`.
#[derive(Debug, Deserialize)]
pub struct DeleteTraceTag {
    #[serde(deserialize_with = "nonempty")]
    pub key: String,
}

impl Message for DeleteTraceTag {
    const FIELDS: &'static [Field] = &[required("key", Kind::Text)];
}

#[derive(Debug, Deserialize)]
pub struct LinkTracesToRun {
    pub trace_ids: Vec<String>,
    #[serde(deserialize_with = "nonempty")]
    pub run_id: String,
}

impl Message for LinkTracesToRun {
    const FIELDS: &'static [Field] = &[required("trace_ids", Kind::Texts), required("run_id", Kind::Text)];
}

#[derive(Debug, Deserialize)]
pub struct LinkPromptsToTrace {
    #[serde(deserialize_with = "nonempty")]
    pub trace_id: String,
    pub prompt_versions: Vec<PromptVersionRef>,
}

#[derive(Debug, Deserialize)]
pub struct PromptVersionRef {
    #[serde(deserialize_with = "nonempty")]
    pub name: String,
    #[serde(deserialize_with = "nonempty")]
    pub version: String,
}

impl Message for LinkPromptsToTrace {
    const FIELDS: &'static [Field] = &[
        required("trace_id", Kind::Text),
        required(
            "prompt_versions",
            Kind::Messages(&[required("name", Kind::Text), required("version", Kind::Text)]),
        ),
    ];
}

#[derive(Debug, Deserialize)]
pub struct CalculateTraceFilterCorrelation {
    pub experiment_ids: Vec<String>,
    #[serde(deserialize_with = "nonempty")]
    pub filter_string1: String,
    #[serde(deserialize_with = "nonempty")]
    pub filter_string2: String,
    #[serde(default, deserialize_with = "opt_text")]
    pub base_filter: Option<String>,
}

impl Message for CalculateTraceFilterCorrelation {
    const FIELDS: &'static [Field] = &[
        required("experiment_ids", Kind::Texts),
        required("filter_string1", Kind::Text),
        required("filter_string2", Kind::Text),
        optional("base_filter", Kind::Text),
    ];
}

#[derive(Debug, Serialize)]
pub struct CalculateTraceFilterCorrelationResponse {
    /// Left out where it is not defined.
    #[serde(skip_serializing_if = "Option::is_none")]
    npmi: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    npmi_smoothed: Option<f64>,
    filter1_count: i64,
    filter2_count: i64,
    joint_count: i64,
    total_count: i64,
}

impl From<correlation::Correlation> for CalculateTraceFilterCorrelationResponse {
    fn from(found: correlation::Correlation) -> Self {
        Self {
            npmi: Some(found.npmi).filter(|npmi| !npmi.is_nan()),
            npmi_smoothed: Some(found.npmi_smoothed).filter(|npmi| !npmi.is_nan()),
            filter1_count: found.filter1_count,
            filter2_count: found.filter2_count,
            joint_count: found.joint_count,
            total_count: found.total_count,
        }
    }
}
