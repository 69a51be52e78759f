//! Messages of mlflow/protos/mlflow_artifacts.proto, and the artifact messages of service.proto.

use crate::{
    artifacts::tree::Entry,
    mlflow::{
        extract::{Field, Kind, Message, nonempty, number, opt_text, optional, required},
        wire::Empty,
    },
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

/// The query of `upload-artifact`; its body is the file.
#[derive(Debug, Deserialize)]
pub struct UploadArtifact {
    #[serde(default)]
    pub run_uuid: Option<String>,
    #[serde(default)]
    pub path: Option<String>,
}

impl Message for UploadArtifact {
    const FIELDS: &'static [Field] = &[optional("run_uuid", Kind::Text), optional("path", Kind::Text)];
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

#[derive(Debug, Deserialize)]
pub struct CreateMultipartUpload {
    /// The file on the client's machine, of which the last name counts.
    #[serde(deserialize_with = "nonempty")]
    pub path: String,
    #[serde(default, deserialize_with = "number::opt_int")]
    pub num_parts: Option<i64>,
}

impl Message for CreateMultipartUpload {
    const FIELDS: &'static [Field] = &[required("path", Kind::Text), optional("num_parts", Kind::Int)];
}

#[derive(Debug, Deserialize)]
pub struct CompleteMultipartUpload {
    #[serde(deserialize_with = "nonempty")]
    pub path: String,
    #[serde(deserialize_with = "nonempty")]
    pub upload_id: String,
    pub parts: Vec<MultipartUploadPart>,
}

impl Message for CompleteMultipartUpload {
    const FIELDS: &'static [Field] = &[
        required("path", Kind::Text),
        required("upload_id", Kind::Text),
        required("parts", Kind::Messages(PART)),
    ];
}

#[derive(Debug, Deserialize)]
pub struct MultipartUploadPart {
    #[serde(deserialize_with = "number::int")]
    pub part_number: i64,
    #[serde(default, deserialize_with = "opt_text")]
    pub etag: Option<String>,
}

const PART: &[Field] =
    &[required("part_number", Kind::Int), optional("etag", Kind::Text), optional("url", Kind::Text)];

#[derive(Debug, Deserialize)]
pub struct AbortMultipartUpload {
    #[serde(deserialize_with = "nonempty")]
    pub path: String,
    #[serde(deserialize_with = "nonempty")]
    pub upload_id: String,
}

impl Message for AbortMultipartUpload {
    const FIELDS: &'static [Field] = &[required("path", Kind::Text), required("upload_id", Kind::Text)];
}

#[derive(Debug, Serialize)]
pub struct CreateMultipartUploadResponse<'a> {
    pub upload_id: &'a str,
    pub credentials: Vec<MultipartUploadCredential>,
}

/// No headers go with it: the URL says all.
#[derive(Debug, Serialize)]
pub struct MultipartUploadCredential {
    pub url: String,
    pub part_number: i64,
}

#[derive(Debug, Serialize)]
pub struct GetPresignedDownloadUrlResponse {
    pub url: String,
    pub headers: Empty,
    pub file_size: u64,
}

/// The query of a signed URL.
#[derive(Debug, Default)]
pub struct SignedQuery {
    pub expires: Option<String>,
    pub signature: Option<String>,
}

impl SignedQuery {
    pub fn read(query: &str) -> Self {
        let mut read = Self::default();
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "expires" => read.expires = Some(value.into_owned()),
                "signature" => read.signature = Some(value.into_owned()),
                _ => {}
            }
        }
        read
    }
}

/// `CreatePresignedUploadUrl`, `CreatePresignedDownloadUrl`
#[derive(Debug, Deserialize)]
pub struct CreatePresignedUrl {
    #[serde(default, deserialize_with = "opt_text")]
    pub run_id: Option<String>,
    #[serde(default, deserialize_with = "opt_text")]
    pub model_id: Option<String>,
    #[serde(deserialize_with = "nonempty")]
    pub path: String,
    #[serde(default, deserialize_with = "number::opt_int")]
    pub expiration: Option<i64>,
}

impl Message for CreatePresignedUrl {
    const FIELDS: &'static [Field] = &[
        optional("run_id", Kind::Text),
        optional("model_id", Kind::Text),
        required("path", Kind::Text),
        optional("expiration", Kind::Int),
    ];
}
