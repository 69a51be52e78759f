use super::{
    EnumValue, PAIR, Pair, PairRef,
    metrics::{METRIC_ITEM, Metric, MetricItem},
    pair_refs,
    run_inputs::{RunInputs, RunOutputs},
};
use crate::{
    mlflow::extract::{Field, Kind, Message, nonempty, nullable, number, opt_text, optional, required},
    runs,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
pub struct CreateRun {
    #[serde(default, deserialize_with = "opt_text")]
    pub experiment_id: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub user_id: String,
    #[serde(default, deserialize_with = "opt_text")]
    pub run_name: Option<String>,
    #[serde(default, deserialize_with = "number::opt_int")]
    pub start_time: Option<i64>,
    #[serde(default, deserialize_with = "nullable")]
    pub tags: Vec<Pair>,
}

impl Message for CreateRun {
    const FIELDS: &'static [Field] = &[
        optional("experiment_id", Kind::Text),
        optional("user_id", Kind::Text),
        optional("run_name", Kind::Text),
        optional("start_time", Kind::Int),
        optional("tags", Kind::Messages(PAIR)),
    ];
}

#[derive(Debug, Deserialize)]
pub struct UpdateRun {
    #[serde(default, deserialize_with = "opt_text")]
    pub run_id: Option<String>,
    #[serde(default, deserialize_with = "opt_text")]
    pub run_uuid: Option<String>,
    #[serde(default)]
    pub status: Option<EnumValue>,
    #[serde(default, deserialize_with = "number::opt_int")]
    pub end_time: Option<i64>,
    #[serde(default, deserialize_with = "opt_text")]
    pub run_name: Option<String>,
}

impl Message for UpdateRun {
    const FIELDS: &'static [Field] = &[
        required("run_id", Kind::Text),
        optional("run_uuid", Kind::Text),
        optional("status", Kind::Enum),
        optional("end_time", Kind::Int),
        optional("run_name", Kind::Text),
    ];
}

/// `GetRun`, `DeleteRun`, `RestoreRun`.
#[derive(Debug, Deserialize)]
pub struct RunId {
    #[serde(default, deserialize_with = "opt_text")]
    pub run_id: Option<String>,
    #[serde(default, deserialize_with = "opt_text")]
    pub run_uuid: Option<String>,
}

impl Message for RunId {
    const FIELDS: &'static [Field] = &[required("run_id", Kind::Text), optional("run_uuid", Kind::Text)];
}

/// `SetTag`, `LogParam`.
#[derive(Debug, Deserialize)]
pub struct RunKeyValue {
    #[serde(default, deserialize_with = "opt_text")]
    pub run_id: Option<String>,
    #[serde(default, deserialize_with = "opt_text")]
    pub run_uuid: Option<String>,
    #[serde(deserialize_with = "nonempty")]
    pub key: String,
    #[serde(default, deserialize_with = "nullable")]
    pub value: String,
}

impl Message for RunKeyValue {
    const FIELDS: &'static [Field] = &[
        required("run_id", Kind::Text),
        optional("run_uuid", Kind::Text),
        required("key", Kind::Text),
        optional("value", Kind::Text),
    ];
}

#[derive(Debug, Deserialize)]
pub struct DeleteTag {
    #[serde(deserialize_with = "nonempty")]
    pub run_id: String,
    #[serde(deserialize_with = "nonempty")]
    pub key: String,
}

impl Message for DeleteTag {
    const FIELDS: &'static [Field] = &[required("run_id", Kind::Text), required("key", Kind::Text)];
}

#[derive(Debug, Deserialize)]
pub struct LogBatch {
    #[serde(deserialize_with = "nonempty")]
    pub run_id: String,
    #[serde(default, deserialize_with = "nullable")]
    pub metrics: Vec<MetricItem>,
    #[serde(default, deserialize_with = "nullable")]
    pub params: Vec<Pair>,
    #[serde(default, deserialize_with = "nullable")]
    pub tags: Vec<Pair>,
}

impl Message for LogBatch {
    const FIELDS: &'static [Field] = &[
        required("run_id", Kind::Text),
        optional("metrics", Kind::Messages(METRIC_ITEM)),
        optional("params", Kind::Messages(PAIR)),
        optional("tags", Kind::Messages(PAIR)),
    ];
}

#[derive(Debug, Deserialize)]
pub struct LogModel {
    #[serde(deserialize_with = "nonempty")]
    pub run_id: String,
    #[serde(deserialize_with = "nonempty")]
    pub model_json: String,
}

impl Message for LogModel {
    const FIELDS: &'static [Field] = &[required("run_id", Kind::Text), required("model_json", Kind::Text)];
}

#[derive(Debug, Serialize)]
pub struct RunInfo<'a> {
    run_uuid: &'a str,
    experiment_id: String,
    run_name: &'a str,
    user_id: &'a str,
    status: &'static str,
    start_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<i64>,
    artifact_uri: &'a str,
    lifecycle_stage: &'static str,
    run_id: &'a str,
}

impl<'a> From<&'a runs::Run> for RunInfo<'a> {
    fn from(run: &'a runs::Run) -> Self {
        Self {
            run_uuid: &run.run_id,
            experiment_id: run.experiment_id.to_string(),
            run_name: &run.name,
            user_id: &run.user_id,
            status: run.status.as_str(),
            start_time: run.start_time_ms,
            end_time: run.end_time_ms,
            artifact_uri: &run.artifact_uri,
            lifecycle_stage: run.lifecycle.as_str(),
            run_id: &run.run_id,
        }
    }
}

#[derive(Debug, Serialize)]
struct RunData<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<Metric<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    params: Vec<PairRef<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<PairRef<'a>>,
}

#[derive(Debug, Serialize)]
pub struct Run<'a> {
    info: RunInfo<'a>,
    data: RunData<'a>,
    inputs: RunInputs<'a>,
    outputs: RunOutputs<'a>,
}

impl<'a> From<&'a runs::RunDetails> for Run<'a> {
    fn from(details: &'a runs::RunDetails) -> Self {
        Self {
            info: (&details.run).into(),
            data: RunData {
                metrics: details.metrics.iter().map(Metric::from).collect(),
                params: pair_refs(&details.params),
                tags: pair_refs(&details.tags),
            },
            inputs: details.into(),
            outputs: details.into(),
        }
    }
}

/// `CreateRun.Response`, `GetRun.Response`.
#[derive(Debug, Serialize)]
pub struct RunResponse<'a> {
    pub run: Run<'a>,
}

#[derive(Debug, Serialize)]
pub struct UpdateRunResponse<'a> {
    pub run_info: RunInfo<'a>,
}

#[derive(Debug, Deserialize)]
pub struct SearchRuns {
    #[serde(default, deserialize_with = "nullable")]
    pub experiment_ids: Vec<String>,
    #[serde(default, deserialize_with = "opt_text")]
    pub filter: Option<String>,
    #[serde(default)]
    pub run_view_type: Option<EnumValue>,
    #[serde(default, deserialize_with = "number::opt_int")]
    pub max_results: Option<i64>,
    #[serde(default, deserialize_with = "nullable")]
    pub order_by: Vec<String>,
    #[serde(default, deserialize_with = "opt_text")]
    pub page_token: Option<String>,
}

impl Message for SearchRuns {
    const FIELDS: &'static [Field] = &[
        optional("experiment_ids", Kind::Texts),
        optional("filter", Kind::Text),
        optional("run_view_type", Kind::Enum),
        optional("max_results", Kind::Int),
        optional("order_by", Kind::Texts),
        optional("page_token", Kind::Text),
    ];
}

#[derive(Debug, Serialize)]
pub struct SearchRunsResponse<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<Run<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}
