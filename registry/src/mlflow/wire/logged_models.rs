use super::{EnumValue, PAIR, Pair, PairRef, metrics::Metric, pair_refs};
use crate::{
    logged_models,
    mlflow::extract::{Field, Kind, Message, nonempty, nullable, number, opt_text, optional, required},
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
pub struct CreateLoggedModel {
    #[serde(deserialize_with = "nonempty")]
    pub experiment_id: String,
    #[serde(default, deserialize_with = "opt_text")]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub model_type: String,
    #[serde(default, deserialize_with = "nullable")]
    pub source_run_id: String,
    #[serde(default, deserialize_with = "nullable")]
    pub params: Vec<Pair>,
    #[serde(default, deserialize_with = "nullable")]
    pub tags: Vec<Pair>,
}

impl Message for CreateLoggedModel {
    const FIELDS: &'static [Field] = &[
        required("experiment_id", Kind::Text),
        optional("name", Kind::Text),
        optional("model_type", Kind::Text),
        optional("source_run_id", Kind::Text),
        optional("params", Kind::Messages(PAIR)),
        optional("tags", Kind::Messages(PAIR)),
    ];
}

/// The query of `GetLoggedModel`.
#[derive(Debug, Deserialize)]
pub struct GetLoggedModel {
    #[serde(default, deserialize_with = "nullable")]
    pub allow_deleted: bool,
}

impl Message for GetLoggedModel {
    const FIELDS: &'static [Field] = &[optional("allow_deleted", Kind::Bool)];
}

#[derive(Debug, Deserialize)]
pub struct FinalizeLoggedModel {
    pub status: EnumValue,
}

impl Message for FinalizeLoggedModel {
    const FIELDS: &'static [Field] = &[required("status", Kind::Enum)];
}

#[derive(Debug, Deserialize)]
pub struct SetLoggedModelTags {
    #[serde(default, deserialize_with = "nullable")]
    pub tags: Vec<Pair>,
}

impl Message for SetLoggedModelTags {
    const FIELDS: &'static [Field] = &[optional("tags", Kind::Messages(PAIR))];
}

#[derive(Debug, Deserialize)]
pub struct LogLoggedModelParamsRequest {
    pub params: Vec<Pair>,
}

impl Message for LogLoggedModelParamsRequest {
    const FIELDS: &'static [Field] = &[required("params", Kind::Messages(PAIR))];
}

#[derive(Debug, Deserialize)]
pub struct SearchLoggedModels {
    pub experiment_ids: Vec<String>,
    #[serde(default, deserialize_with = "opt_text")]
    pub filter: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub datasets: Vec<DatasetItem>,
    #[serde(default, deserialize_with = "number::opt_int")]
    pub max_results: Option<i64>,
    #[serde(default, deserialize_with = "nullable")]
    pub order_by: Vec<OrderByItem>,
    #[serde(default, deserialize_with = "opt_text")]
    pub page_token: Option<String>,
}

impl Message for SearchLoggedModels {
    const FIELDS: &'static [Field] = &[
        required("experiment_ids", Kind::Texts),
        optional("filter", Kind::Text),
        optional(
            "datasets",
            Kind::Messages(&[required("dataset_name", Kind::Text), optional("dataset_digest", Kind::Text)]),
        ),
        optional("max_results", Kind::Int),
        optional("order_by", Kind::Messages(ORDER_BY_ITEM)),
        optional("page_token", Kind::Text),
    ];
}

const ORDER_BY_ITEM: &[Field] = &[
    required("field_name", Kind::Text),
    optional("ascending", Kind::Bool),
    optional("dataset_name", Kind::Text),
    optional("dataset_digest", Kind::Text),
];

#[derive(Debug, Deserialize)]
pub struct DatasetItem {
    #[serde(deserialize_with = "nonempty")]
    pub dataset_name: String,
    #[serde(default, deserialize_with = "opt_text")]
    pub dataset_digest: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct OrderByItem {
    #[serde(deserialize_with = "nonempty")]
    pub field_name: String,
    #[serde(default)]
    pub ascending: Option<bool>,
    #[serde(default, deserialize_with = "opt_text")]
    pub dataset_name: Option<String>,
    #[serde(default, deserialize_with = "opt_text")]
    pub dataset_digest: Option<String>,
}

#[derive(Debug, Serialize)]
struct LoggedModelInfo<'a> {
    model_id: &'a str,
    experiment_id: String,
    name: &'a str,
    creation_timestamp_ms: i64,
    last_updated_timestamp_ms: i64,
    artifact_uri: &'a str,
    status: &'static str,
    model_type: &'a str,
    source_run_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_message: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<PairRef<'a>>,
}

#[derive(Debug, Serialize)]
struct LoggedModelData<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    params: Vec<PairRef<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<Metric<'a>>,
}

#[derive(Debug, Serialize)]
pub struct LoggedModel<'a> {
    info: LoggedModelInfo<'a>,
    data: LoggedModelData<'a>,
}

impl<'a> From<&'a logged_models::LoggedModel> for LoggedModel<'a> {
    fn from(model: &'a logged_models::LoggedModel) -> Self {
        Self {
            info: LoggedModelInfo {
                model_id: &model.model_id,
                experiment_id: model.experiment_id.to_string(),
                name: &model.name,
                creation_timestamp_ms: model.creation_time_ms,
                last_updated_timestamp_ms: model.last_update_time_ms,
                artifact_uri: &model.artifact_location,
                status: model.status.as_str(),
                model_type: &model.model_type,
                source_run_id: &model.source_run_id,
                status_message: model.status_message.as_deref(),
                tags: pair_refs(&model.tags),
            },
            data: LoggedModelData {
                params: pair_refs(&model.params),
                metrics: model.metrics.iter().map(|m| Metric::of_model(&model.model_id, m)).collect(),
            },
        }
    }
}

/// `CreateLoggedModel.Response`, `GetLoggedModel.Response`, `FinalizeLoggedModel.Response`.
#[derive(Debug, Serialize)]
pub struct LoggedModelResponse<'a> {
    pub model: LoggedModel<'a>,
}

#[derive(Debug, Serialize)]
pub struct SearchLoggedModelsResponse<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<LoggedModel<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}
