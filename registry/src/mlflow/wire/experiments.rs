use super::{EnumValue, PAIR, Pair, PairRef, pair_refs};
use crate::{
    mlflow::{
        MlflowError,
        extract::{Field, Kind, Message, nonempty, nullable, number, opt_text, optional, required},
    },
    runs::{self, ViewType},
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
pub struct CreateExperiment {
    #[serde(deserialize_with = "nonempty")]
    pub name: String,
    #[serde(default, deserialize_with = "opt_text")]
    pub artifact_location: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub tags: Vec<Pair>,
}

impl Message for CreateExperiment {
    const FIELDS: &'static [Field] = &[
        required("name", Kind::Text),
        optional("artifact_location", Kind::Text),
        optional("tags", Kind::Messages(PAIR)),
    ];
}

#[derive(Debug, Serialize)]
pub struct CreateExperimentResponse {
    pub experiment_id: String,
}

/// `GetExperiment`, `DeleteExperiment`, `RestoreExperiment`.
#[derive(Debug, Deserialize)]
pub struct ExperimentId {
    #[serde(deserialize_with = "nonempty")]
    pub experiment_id: String,
}

impl Message for ExperimentId {
    const FIELDS: &'static [Field] = &[required("experiment_id", Kind::Text)];
}

#[derive(Debug, Deserialize)]
pub struct GetExperimentByName {
    #[serde(deserialize_with = "nonempty")]
    pub experiment_name: String,
}

impl Message for GetExperimentByName {
    const FIELDS: &'static [Field] = &[required("experiment_name", Kind::Text)];
}

#[derive(Debug, Deserialize)]
pub struct UpdateExperiment {
    #[serde(deserialize_with = "nonempty")]
    pub experiment_id: String,
    #[serde(deserialize_with = "nonempty")]
    pub new_name: String,
}

impl Message for UpdateExperiment {
    const FIELDS: &'static [Field] =
        &[required("experiment_id", Kind::Text), required("new_name", Kind::Text)];
}

#[derive(Debug, Deserialize)]
pub struct SetExperimentTag {
    #[serde(deserialize_with = "nonempty")]
    pub experiment_id: String,
    #[serde(deserialize_with = "nonempty")]
    pub key: String,
    #[serde(default, deserialize_with = "nullable")]
    pub value: String,
}

impl Message for SetExperimentTag {
    const FIELDS: &'static [Field] =
        &[required("experiment_id", Kind::Text), required("key", Kind::Text), optional("value", Kind::Text)];
}

#[derive(Debug, Deserialize)]
pub struct DeleteExperimentTag {
    #[serde(deserialize_with = "nonempty")]
    pub experiment_id: String,
    #[serde(deserialize_with = "nonempty")]
    pub key: String,
}

impl Message for DeleteExperimentTag {
    const FIELDS: &'static [Field] = &[required("experiment_id", Kind::Text), required("key", Kind::Text)];
}

#[derive(Debug, Deserialize)]
pub struct SearchExperiments {
    #[serde(default, deserialize_with = "number::opt_int")]
    pub max_results: Option<i64>,
    #[serde(default, deserialize_with = "opt_text")]
    pub page_token: Option<String>,
    #[serde(default, deserialize_with = "opt_text")]
    pub filter: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub order_by: Vec<String>,
    #[serde(default)]
    pub view_type: Option<EnumValue>,
}

impl Message for SearchExperiments {
    const FIELDS: &'static [Field] = &[
        optional("view_type", Kind::Enum),
        optional("max_results", Kind::Int),
        optional("order_by", Kind::Texts),
        optional("filter", Kind::Text),
        optional("page_token", Kind::Text),
    ];
}

/// A `ViewType`: `ACTIVE_ONLY` (1), `DELETED_ONLY` (2), `ALL` (3).
pub fn view_type(field: &str, value: Option<&EnumValue>) -> Result<ViewType, MlflowError> {
    let name = |view| match view {
        ViewType::ActiveOnly => "ACTIVE_ONLY",
        ViewType::DeletedOnly => "DELETED_ONLY",
        ViewType::All => "ALL",
    };
    let all = [ViewType::ActiveOnly, ViewType::DeletedOnly, ViewType::All];
    value.map_or(Ok(ViewType::default()), |value| value.pick(field, &all, 1, name))
}

#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "proto field names")]
pub struct Experiment<'a> {
    experiment_id: String,
    name: &'a str,
    artifact_location: &'a str,
    lifecycle_stage: &'static str,
    last_update_time: i64,
    creation_time: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<PairRef<'a>>,
}

impl<'a> From<&'a runs::Experiment> for Experiment<'a> {
    fn from(experiment: &'a runs::Experiment) -> Self {
        Self {
            experiment_id: experiment.experiment_id.to_string(),
            name: &experiment.name,
            artifact_location: &experiment.artifact_location,
            lifecycle_stage: experiment.lifecycle.as_str(),
            last_update_time: experiment.last_update_time_ms,
            creation_time: experiment.creation_time_ms,
            tags: pair_refs(&experiment.tags),
        }
    }
}

/// `GetExperiment.Response`, `GetExperimentByName.Response`.
#[derive(Debug, Serialize)]
pub struct ExperimentResponse<'a> {
    pub experiment: Experiment<'a>,
}

#[derive(Debug, Serialize)]
pub struct SearchExperimentsResponse<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub experiments: Vec<Experiment<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}
