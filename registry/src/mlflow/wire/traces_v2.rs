//! `TraceInfo` of clients before 3.0: lists of pairs, plain milliseconds.

use super::{
    EnumValue, PAIR, Pair,
    traces::{METADATA_SHOWN, TAG_KEY_SHOWN, TAG_VALUE_SHOWN, shown},
};
use crate::{
    mlflow::extract::{Field, Kind, Message, nonempty, nullable, number, opt_text, optional, required},
    runs::KeyValue,
    traces::{Pairs, TraceInfo, TraceState},
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
pub struct StartTrace {
    #[serde(deserialize_with = "nonempty")]
    pub experiment_id: String,
    #[serde(default, deserialize_with = "number::opt_int")]
    pub timestamp_ms: Option<i64>,
    #[serde(default, deserialize_with = "nullable")]
    pub request_metadata: Vec<Pair>,
    #[serde(default, deserialize_with = "nullable")]
    pub tags: Vec<Pair>,
}

impl Message for StartTrace {
    const FIELDS: &'static [Field] = &[
        required("experiment_id", Kind::Text),
        optional("timestamp_ms", Kind::Int),
        optional("request_metadata", Kind::Messages(PAIR)),
        optional("tags", Kind::Messages(PAIR)),
    ];
}

#[derive(Debug, Deserialize)]
pub struct EndTrace {
    #[serde(default, deserialize_with = "number::opt_int")]
    pub timestamp_ms: Option<i64>,
    #[serde(default)]
    pub status: Option<EnumValue>,
    #[serde(default, deserialize_with = "nullable")]
    pub request_metadata: Vec<Pair>,
    #[serde(default, deserialize_with = "nullable")]
    pub tags: Vec<Pair>,
}

impl Message for EndTrace {
    const FIELDS: &'static [Field] = &[
        optional("timestamp_ms", Kind::Int),
        optional("status", Kind::Enum),
        optional("request_metadata", Kind::Messages(PAIR)),
        optional("tags", Kind::Messages(PAIR)),
    ];
}

/// Pairs as a map; the last value of a key counts.
pub fn pairs(pairs: Vec<Pair>) -> Pairs {
    pairs
        .into_iter()
        .map(|pair| {
            let KeyValue { key, value } = pair.into();
            (key, value)
        })
        .collect()
}

/// The query of `SearchTraces`.
#[derive(Debug, Deserialize)]
pub struct SearchTraces {
    pub experiment_ids: Vec<String>,
    #[serde(default, deserialize_with = "opt_text")]
    pub filter: Option<String>,
    #[serde(default, deserialize_with = "number::opt_int")]
    pub max_results: Option<i64>,
    #[serde(default, deserialize_with = "nullable")]
    pub order_by: Vec<String>,
    #[serde(default, deserialize_with = "opt_text")]
    pub page_token: Option<String>,
}

impl Message for SearchTraces {
    const FIELDS: &'static [Field] = &[
        required("experiment_ids", Kind::Texts),
        optional("filter", Kind::Text),
        optional("max_results", Kind::Int),
        optional("order_by", Kind::Texts),
        optional("page_token", Kind::Text),
    ];
}

/// The name of a state in `TraceStatus`.
pub fn status_name(state: TraceState) -> &'static str {
    match state {
        TraceState::Unspecified => "TRACE_STATUS_UNSPECIFIED",
        state => state.as_str(),
    }
}

#[derive(Debug, Serialize)]
pub struct TraceInfoV2<'a> {
    request_id: &'a str,
    experiment_id: String,
    timestamp_ms: i64,
    /// 0 as long as it runs.
    execution_time_ms: i64,
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    request_metadata: Vec<PairOut<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<PairOut<'a>>,
}

#[derive(Debug, Serialize)]
struct PairOut<'a> {
    key: &'a str,
    value: &'a str,
}

impl<'a> From<&'a TraceInfo> for TraceInfoV2<'a> {
    fn from(info: &'a TraceInfo) -> Self {
        let cut = |pairs: &'a Pairs, keys: usize, values: usize| -> Vec<PairOut<'a>> {
            let out = |(key, value): (&'a String, &'a String)| PairOut {
                key: shown(key, keys),
                value: shown(value, values),
            };
            pairs.iter().map(out).collect()
        };
        Self {
            request_id: &info.trace_id,
            experiment_id: info.experiment_id.to_string(),
            timestamp_ms: info.timestamp_ms,
            execution_time_ms: info.execution_time_ms.unwrap_or_default(),
            status: status_name(info.state),
            request_metadata: cut(&info.metadata, METADATA_SHOWN, METADATA_SHOWN),
            tags: cut(&info.tags, TAG_KEY_SHOWN, TAG_VALUE_SHOWN),
        }
    }
}

/// `StartTrace.Response`, `EndTrace.Response`, `GetTraceInfo.Response`.
#[derive(Debug, Serialize)]
pub struct TraceInfoResponse<'a> {
    pub trace_info: TraceInfoV2<'a>,
}

#[derive(Debug, Serialize)]
pub struct SearchTracesResponse<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub traces: Vec<TraceInfoV2<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}
