use super::{assessments::Assessment, span::Span};
use std::collections::BTreeMap;

/// Tags or metadata.
pub type Pairs = BTreeMap<String, String>;

/// Tags that mean something (`TraceTagKey` in mlflow/tracing/constant.py).
pub mod tag_key {
    pub const NAME: &str = "mlflow.traceName";
    pub const SPANS_LOCATION: &str = "mlflow.trace.spansLocation";
    pub const ARTIFACT_LOCATION: &str = "mlflow.artifactLocation";
    pub const ARCHIVE_LOCATION: &str = "mlflow.trace.archiveLocation";
    pub const ARCHIVAL_FAILURE: &str = "mlflow.trace.archivalFailure";
}

/// Metadata that means something (`TraceMetadataKey`).
pub mod metadata_key {
    pub const SESSION: &str = "mlflow.trace.session";
    pub const USER: &str = "mlflow.trace.user";
    pub const TOKEN_USAGE: &str = "mlflow.trace.tokenUsage";
    pub const COST: &str = "mlflow.trace.cost";
    pub const SIZE_STATS: &str = "mlflow.trace.sizeStats";
    /// The summary has arrived: spans that follow do not change its times.
    pub const FINALIZED: &str = "mlflow.trace.infoFinalized";
    /// Of an assessment: the run whose evaluation made it.
    pub const SOURCE_RUN: &str = "mlflow.assessment.sourceRunId";
}

/// Values of [`tag_key::SPANS_LOCATION`].
pub mod spans_location {
    /// The spans lie in the database.
    pub const TRACKING_STORE: &str = "TRACKING_STORE";
    /// They are a file `traces.json` among the trace's artifacts.
    pub const ARTIFACT_REPO: &str = "ARTIFACT_REPO";
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceState {
    Unspecified,
    Ok,
    Error,
    InProgress,
}

impl TraceState {
    /// In the order of MLflow's enum numbers, which begin at 0.
    pub const ALL: [Self; 4] = [Self::Unspecified, Self::Ok, Self::Error, Self::InProgress];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "STATE_UNSPECIFIED",
            Self::Ok => "OK",
            Self::Error => "ERROR",
            Self::InProgress => "IN_PROGRESS",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// A trace without its spans.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceInfo {
    /// Key inside the database; never leaves it.
    pub tid: i64,
    pub trace_id: String,
    pub experiment_id: i64,
    pub timestamp_ms: i64,
    pub execution_time_ms: Option<i64>,
    pub state: TraceState,
    pub client_request_id: Option<String>,
    pub request_preview: Option<String>,
    pub response_preview: Option<String>,
    pub metadata: Pairs,
    pub tags: Pairs,
    /// In the order in which they were made.
    pub assessments: Vec<Assessment>,
}

/// A trace with its spans, the root first, then by time.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    pub info: TraceInfo,
    pub spans: Vec<Span>,
}
