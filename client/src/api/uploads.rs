//! Upload sessions: how a plain directory becomes a frozen version.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use waybill_proof::Digest;

/// Opens an upload session. The files are named up front, so the answer can say which are
/// already stored; those are leased until the session ends.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CreateUpload {
    pub files: Vec<UploadFile>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UploadFile {
    /// Relative path with `/`, no `.` or `..` segment.
    pub path: String,
    #[schema(value_type = String)]
    pub digest: Digest,
    pub size_bytes: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Upload {
    pub upload_id: String,
    pub expires_at_ms: i64,
    /// Digests that the client must still PUT to `/api/v1/uploads/{upload_id}/blobs/{digest}`.
    #[schema(value_type = Vec<String>)]
    pub missing: Vec<Digest>,
}

/// Registers the files of a finished upload session as the next version of a model.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RegisterVersion {
    pub upload_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Experiment config (schemas/experiment-config.json); left out: recorded as unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub experiment_config: Option<serde_json::Value>,
    /// A lockfile that the user resolved; taken as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lockfile: Option<String>,
}
