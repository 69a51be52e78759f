//! Messages of mlflow/protos/mlflow_artifacts.proto, and the artifact messages of service.proto.

use crate::{
    artifacts::tree::Entry,
    mlflow::extract::{Field, Kind, Message, opt_text, optional},
};
use serde::{Deserialize, Serialize};

/// The query of `mlflow-artifacts/artifacts`.
#[derive(Debug, Deserialize)]
pub struct ListArtifactsMlflowArtifacts {
    #[serde(default, deserialize_with = "opt_text")]
    pub path: Option<String>,
}

impl Message for ListArtifactsMlflowArtifacts {
    const FIELDS: &'static [Field] = &[optional("path", Kind::Text)];
}

/// The query of `artifacts/list` and `get-artifact`. Pages are never needed: a token is ignored.
#[derive(Debug, Deserialize)]
pub struct RunArtifact {
    #[serde(default, deserialize_with = "opt_text")]
    pub run_id: Option<String>,
    #[serde(default, deserialize_with = "opt_text")]
    pub run_uuid: Option<String>,
    #[serde(default, deserialize_with = "opt_text")]
    pub path: Option<String>,
}

impl Message for RunArtifact {
    const FIELDS: &'static [Field] =
        &[optional("run_id", Kind::Text), optional("run_uuid", Kind::Text), optional("path", Kind::Text)];
}

/// The query of `ListLoggedModelArtifacts`.
#[derive(Debug, Deserialize)]
pub struct ListLoggedModelArtifacts {
    #[serde(default, deserialize_with = "opt_text")]
    pub artifact_directory_path: Option<String>,
}

impl Message for ListLoggedModelArtifacts {
    const FIELDS: &'static [Field] = &[optional("artifact_directory_path", Kind::Text)];
}

/// The query of `logged-models/<model_id>/artifacts/files`.
#[derive(Debug, Deserialize)]
pub struct LoggedModelFile {
    #[serde(default, deserialize_with = "opt_text")]
    pub artifact_file_path: Option<String>,
}

impl Message for LoggedModelFile {
    const FIELDS: &'static [Field] = &[optional("artifact_file_path", Kind::Text)];
}

#[derive(Debug, Serialize)]
pub struct ListArtifactsResponse {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_uri: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileInfo>,
}

#[derive(Debug, Serialize)]
pub struct FileInfo {
    pub path: String,
    pub is_dir: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_size: Option<u64>,
}

impl FileInfo {
    /// `entry` of the directory `below`, which is empty where paths are relative to it.
    pub fn new(entry: Entry, below: &str) -> Self {
        let path = if below.is_empty() { entry.name } else { format!("{below}/{}", entry.name) };
        Self { path, is_dir: entry.size_bytes.is_none(), file_size: entry.size_bytes }
    }
}
