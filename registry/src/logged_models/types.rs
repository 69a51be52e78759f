//! What a logged model is.

use crate::runs::{KeyValue, Lifecycle, Metric};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Unspecified,
    Pending,
    Ready,
    UploadFailed,
}

impl Status {
    /// In the order of MLflow's enum numbers, which begin at 0.
    pub const ALL: [Self; 4] = [Self::Unspecified, Self::Pending, Self::Ready, Self::UploadFailed];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "LOGGED_MODEL_STATUS_UNSPECIFIED",
            Self::Pending => "LOGGED_MODEL_PENDING",
            Self::Ready => "LOGGED_MODEL_READY",
            Self::UploadFailed => "LOGGED_MODEL_UPLOAD_FAILED",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// A model that a client logged. Its files lie below `artifact_location`.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedModel {
    /// Key inside the database; never leaves it.
    pub mid: i64,
    pub model_id: String,
    pub experiment_id: i64,
    pub name: String,
    pub artifact_location: String,
    pub creation_time_ms: i64,
    pub last_update_time_ms: i64,
    pub status: Status,
    pub status_message: Option<String>,
    /// Empty where none was told.
    pub model_type: String,
    /// Empty where no run made it.
    pub source_run_id: String,
    pub lifecycle: Lifecycle,
    /// Sorted by key, as are the params.
    pub tags: Vec<KeyValue>,
    pub params: Vec<KeyValue>,
    pub metrics: Vec<ModelMetric>,
}

/// A metric of a model, logged by a run, perhaps measured on a dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelMetric {
    pub metric: Metric,
    pub run_id: String,
    pub dataset_name: Option<String>,
    pub dataset_digest: Option<String>,
}
