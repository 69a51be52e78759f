//! Artifacts of a run, and datasets of experiments.

use super::scalars::{ApiError, LongString, Texts};
use crate::mlflow::wire::{
    artifacts::{FileInfo, RunArtifact},
    datasets::DatasetSummary,
};
use async_graphql::{InputObject, SimpleObject};

#[derive(Debug, Default, InputObject)]
pub struct MlflowListArtifactsInput {
    run_id: Option<String>,
    run_uuid: Option<String>,
    path: Option<String>,
    /// Pages are never needed: a token is ignored.
    page_token: Option<String>,
}

impl From<MlflowListArtifactsInput> for RunArtifact {
    fn from(input: MlflowListArtifactsInput) -> Self {
        let MlflowListArtifactsInput { run_id, run_uuid, path, page_token: _ } = input;
        Self { run_id, run_uuid, path }
    }
}

#[derive(Debug, SimpleObject)]
pub struct MlflowListArtifactsResponse {
    pub root_uri: String,
    pub files: Vec<MlflowFileInfo>,
    pub next_page_token: String,
    pub api_error: Option<ApiError>,
}

#[derive(Debug, SimpleObject)]
pub struct MlflowFileInfo {
    path: String,
    is_dir: bool,
    file_size: LongString,
}

impl From<FileInfo> for MlflowFileInfo {
    fn from(file: FileInfo) -> Self {
        Self {
            path: file.path,
            is_dir: file.is_dir,
            file_size: LongString(file.file_size.unwrap_or_default() as i64),
        }
    }
}

#[derive(Debug, Default, InputObject)]
pub struct MlflowSearchDatasetsInput {
    pub experiment_ids: Texts,
}

#[derive(Debug, SimpleObject)]
pub struct MlflowSearchDatasetsResponse {
    pub dataset_summaries: Vec<MlflowDatasetSummary>,
    pub api_error: Option<ApiError>,
}

#[derive(Debug, SimpleObject)]
pub struct MlflowDatasetSummary {
    experiment_id: String,
    name: String,
    digest: String,
    context: String,
}

impl From<DatasetSummary> for MlflowDatasetSummary {
    fn from(found: DatasetSummary) -> Self {
        Self {
            experiment_id: found.experiment_id,
            name: found.name,
            digest: found.digest,
            context: found.context.unwrap_or_default(),
        }
    }
}
