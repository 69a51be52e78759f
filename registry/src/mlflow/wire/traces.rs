//! `Trace` and `TraceInfoV3` (mlflow/protos/service.proto).

use super::{
    EnumValue,
    assessments::{ASSESSMENT, AssessmentIn, AssessmentOut},
    time,
};
use crate::{
    mlflow::{
        MlflowError,
        extract::{
            Field, Kind, Message, invalid_value, missing_value, nonempty, nullable, opt_text, optional,
            required,
        },
    },
    runs,
    traces::{self, Pairs, TraceInfo, TraceState, lifecycle::Summary, span::Span},
};
use serde::{Deserialize, Serialize};

pub const LOCATION: &[Field] = &[
    optional("type", Kind::Enum),
    optional("mlflow_experiment", Kind::Message(&[optional("experiment_id", Kind::Text)])),
];

const TRACE_INFO: &[Field] = &[
    required("trace_id", Kind::Text),
    optional("client_request_id", Kind::Text),
    optional("trace_location", Kind::Message(LOCATION)),
    optional("request_preview", Kind::Text),
    optional("response_preview", Kind::Text),
    optional("request_time", Kind::Text),
    optional("execution_duration", Kind::Text),
    optional("state", Kind::Enum),
    optional("trace_metadata", Kind::Message(&[])),
    optional("assessments", Kind::Messages(ASSESSMENT)),
    optional("tags", Kind::Message(&[])),
];

#[derive(Debug, Deserialize)]
pub struct TraceLocation {
    #[serde(default)]
    mlflow_experiment: Option<MlflowExperimentLocation>,
}

#[derive(Debug, Deserialize)]
struct MlflowExperimentLocation {
    #[serde(default, deserialize_with = "opt_text")]
    experiment_id: Option<String>,
}

impl TraceLocation {
    /// The experiment, where the location is one.
    pub fn experiment_id(&self) -> Option<&str> {
        self.mlflow_experiment.as_ref()?.experiment_id.as_deref()
    }
}

#[derive(Debug, Deserialize)]
struct TraceInfoIn {
    #[serde(deserialize_with = "nonempty")]
    trace_id: String,
    #[serde(default, deserialize_with = "opt_text")]
    client_request_id: Option<String>,
    #[serde(default)]
    trace_location: Option<TraceLocation>,
    #[serde(default)]
    request_preview: Option<String>,
    #[serde(default)]
    response_preview: Option<String>,
    #[serde(default, deserialize_with = "opt_text")]
    request_time: Option<String>,
    #[serde(default, deserialize_with = "opt_text")]
    execution_duration: Option<String>,
    #[serde(default)]
    state: Option<EnumValue>,
    #[serde(default, deserialize_with = "nullable")]
    trace_metadata: Pairs,
    #[serde(default, deserialize_with = "nullable")]
    assessments: Vec<AssessmentIn>,
    #[serde(default, deserialize_with = "nullable")]
    tags: Pairs,
}

#[derive(Debug, Deserialize)]
struct TraceIn {
    trace_info: TraceInfoIn,
}

#[derive(Debug, Deserialize)]
pub struct StartTraceV3 {
    trace: TraceIn,
}

impl Message for StartTraceV3 {
    const FIELDS: &'static [Field] =
        &[required("trace", Kind::Message(&[required("trace_info", Kind::Message(TRACE_INFO))]))];
}

impl TryFrom<StartTraceV3> for Summary {
    type Error = MlflowError;

    fn try_from(request: StartTraceV3) -> Result<Self, MlflowError> {
        const WHERE: &str = "trace.trace_info.trace_location.mlflow_experiment.experiment_id";
        let info = request.trace.trace_info;
        let experiment = info.trace_location.as_ref().and_then(TraceLocation::experiment_id);
        let parsed = |field: &str, text: Option<String>, parse: fn(&str) -> Option<i64>| {
            text.map(|text| parse(&text).ok_or_else(|| invalid_value(field, &text.into()))).transpose()
        };
        let time_ms = parsed("trace.trace_info.request_time", info.request_time, time::parse_timestamp)?;
        let state = info
            .state
            .map(|state| state.pick("trace.trace_info.state", &TraceState::ALL, 0, TraceState::as_str));
        Ok(Self {
            trace_id: info.trace_id,
            experiment_id: runs::parse_experiment_id(experiment.ok_or_else(|| missing_value(WHERE))?)?,
            timestamp_ms: time_ms.unwrap_or_default(),
            execution_time_ms: parsed(
                "trace.trace_info.execution_duration",
                info.execution_duration,
                time::parse_duration,
            )?,
            state: state.transpose()?.unwrap_or(TraceState::Unspecified),
            client_request_id: info.client_request_id,
            request_preview: info.request_preview,
            response_preview: info.response_preview,
            metadata: info.trace_metadata,
            tags: info.tags,
            assessments: info.assessments.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        })
    }
}

/// Longest texts that MLflow sends of what it keeps (mlflow/tracing/constant.py).
pub const METADATA_SHOWN: usize = 250;
pub const TAG_KEY_SHOWN: usize = 250;
pub const TAG_VALUE_SHOWN: usize = 4096;

/// The first characters.
pub fn shown(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    text.char_indices().nth(limit).map_or(text, |(end, _)| &text[..end])
}

type ShownPairs<'a> = std::collections::BTreeMap<&'a str, &'a str>;

#[derive(Debug, Serialize)]
struct LocationOut {
    #[serde(rename = "type")]
    kind: &'static str,
    mlflow_experiment: ExperimentOut,
}

#[derive(Debug, Serialize)]
struct ExperimentOut {
    experiment_id: String,
}

/// `TraceInfoV3`, as it goes out.
#[derive(Debug, Serialize)]
pub struct TraceInfoV3<'a> {
    trace_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_request_id: Option<&'a str>,
    trace_location: LocationOut,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_preview: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_preview: Option<&'a str>,
    request_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_duration: Option<String>,
    state: &'static str,
    #[serde(skip_serializing_if = "ShownPairs::is_empty")]
    trace_metadata: ShownPairs<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    assessments: Vec<AssessmentOut<'a>>,
    #[serde(skip_serializing_if = "ShownPairs::is_empty")]
    tags: ShownPairs<'a>,
}

impl<'a> From<&'a TraceInfo> for TraceInfoV3<'a> {
    fn from(info: &'a TraceInfo) -> Self {
        let experiment = ExperimentOut { experiment_id: info.experiment_id.to_string() };
        let metadata = |(key, value): (&'a String, &'a String)| {
            (shown(key, METADATA_SHOWN), shown(value, METADATA_SHOWN))
        };
        let tag = |(key, value): (&'a String, &'a String)| {
            (shown(key, TAG_KEY_SHOWN), shown(value, TAG_VALUE_SHOWN))
        };
        Self {
            trace_id: &info.trace_id,
            client_request_id: info.client_request_id.as_deref(),
            trace_location: LocationOut { kind: "MLFLOW_EXPERIMENT", mlflow_experiment: experiment },
            request_preview: info.request_preview.as_deref(),
            response_preview: info.response_preview.as_deref(),
            request_time: time::timestamp(info.timestamp_ms),
            execution_duration: info.execution_time_ms.map(time::duration),
            state: info.state.as_str(),
            trace_metadata: info.metadata.iter().map(metadata).collect(),
            assessments: info.assessments.iter().map(Into::into).collect(),
            tags: info.tags.iter().map(tag).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
pub struct TraceOut<'a> {
    trace_info: TraceInfoV3<'a>,
    #[serde(skip_serializing_if = "<[Span]>::is_empty")]
    spans: &'a [Span],
}

impl<'a> From<&'a TraceInfo> for TraceOut<'a> {
    fn from(info: &'a TraceInfo) -> Self {
        Self { trace_info: info.into(), spans: &[] }
    }
}

impl<'a> From<&'a traces::Trace> for TraceOut<'a> {
    fn from(trace: &'a traces::Trace) -> Self {
        Self { trace_info: (&trace.info).into(), spans: &trace.spans }
    }
}

/// `StartTraceV3.Response`, `GetTraceInfoV3.Response`, `GetTrace.Response`.
#[derive(Debug, Serialize)]
pub struct TraceResponse<'a> {
    pub trace: TraceOut<'a>,
}

#[derive(Debug, Serialize)]
pub struct BatchGetTracesResponse<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub traces: Vec<TraceOut<'a>>,
}

#[derive(Debug, Serialize)]
pub struct BatchGetTraceInfosResponse<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trace_infos: Vec<TraceInfoV3<'a>>,
}

#[derive(Debug, Serialize)]
pub struct SearchTracesV3Response<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub traces: Vec<TraceInfoV3<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}
