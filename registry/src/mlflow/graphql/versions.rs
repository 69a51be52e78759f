//! Model versions.

use super::scalars::{ApiError, LongString, Texts, VersionStatus, all, texts};
use crate::mlflow::wire::model_registry::{ModelVersion, Search, Tag};
use async_graphql::{InputObject, SimpleObject};

#[derive(Debug, Default, InputObject)]
pub struct MlflowSearchModelVersionsInput {
    pub filter: Option<String>,
    pub max_results: Option<LongString>,
    pub order_by: Texts,
    pub page_token: Option<String>,
}

impl From<MlflowSearchModelVersionsInput> for Search {
    fn from(input: MlflowSearchModelVersionsInput) -> Self {
        Self {
            filter: input.filter.unwrap_or_default(),
            max_results: input.max_results.map(|max| max.0),
            order_by: texts(input.order_by),
            page_token: input.page_token.filter(|token| !token.is_empty()),
        }
    }
}

#[derive(Debug, SimpleObject)]
pub struct MlflowSearchModelVersionsResponse {
    pub model_versions: Vec<MlflowModelVersion>,
    pub next_page_token: String,
    pub api_error: Option<ApiError>,
}

#[derive(Debug, SimpleObject)]
pub struct MlflowModelVersionTag {
    key: String,
    value: String,
}

impl From<Tag> for MlflowModelVersionTag {
    fn from(tag: Tag) -> Self {
        Self { key: tag.key, value: tag.value }
    }
}

#[derive(Debug, SimpleObject)]
pub struct MlflowModelVersion {
    name: String,
    version: String,
    creation_timestamp: LongString,
    last_updated_timestamp: LongString,
    user_id: String,
    current_stage: &'static str,
    description: String,
    source: String,
    run_id: String,
    status: VersionStatus,
    status_message: String,
    tags: Vec<MlflowModelVersionTag>,
    run_link: String,
    aliases: Vec<String>,
    /// What MLflow's open-source server leaves unset, too.
    model_id: String,
    model_params: Vec<MlflowModelParam>,
    model_metrics: Vec<MlflowModelMetric>,
    deployment_job_state: MlflowModelVersionDeploymentJobState,
}

#[derive(Debug, SimpleObject)]
pub struct MlflowModelParam {
    name: String,
    value: String,
}

#[derive(Debug, SimpleObject)]
pub struct MlflowModelMetric {
    key: String,
    value: Option<f64>,
    timestamp: LongString,
    step: LongString,
    dataset_name: String,
    dataset_digest: String,
    model_id: String,
    run_id: String,
}

#[derive(Debug, Default, SimpleObject)]
pub struct MlflowModelVersionDeploymentJobState {
    job_id: String,
    run_id: String,
    current_task_name: String,
}

impl From<ModelVersion> for MlflowModelVersion {
    fn from(version: ModelVersion) -> Self {
        Self {
            name: version.name,
            version: version.version,
            creation_timestamp: LongString(version.creation_timestamp),
            last_updated_timestamp: LongString(version.last_updated_timestamp),
            user_id: String::new(),
            current_stage: version.current_stage,
            description: version.description.unwrap_or_default(),
            source: version.source,
            run_id: version.run_id,
            status: VersionStatus::Ready,
            status_message: String::new(),
            tags: all(version.tags),
            run_link: version.run_link,
            aliases: version.aliases,
            model_id: String::new(),
            model_params: Vec::new(),
            model_metrics: Vec::new(),
            deployment_job_state: MlflowModelVersionDeploymentJobState::default(),
        }
    }
}
