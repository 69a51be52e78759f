//! What can go wrong with traces, in MLflow's words.

use crate::{
    db::DbError,
    error::{Failure, Kind},
    runs::RunsError,
    search::PageTokenError,
};

#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    #[error(transparent)]
    Db(DbError),
    /// Of experiments.
    #[error(transparent)]
    Runs(#[from] RunsError),
    /// A value outside the limits; the text names field, value and limit.
    #[error("{0}")]
    Invalid(String),
    #[error("Trace with ID '{0}' not found.")]
    NoTrace(String),
    /// Of a trace that is asked for with its spans.
    #[error("Trace with ID {0} is not found.")]
    NoTraceToGet(String),
    #[error("Trace with ID {0} is not fully exported yet, please try again later.")]
    NotExported(String),
    #[error("Trace data not stored in tracking store")]
    NoSpans,
    #[error("No trace tag with key '{key}' for trace with ID '{trace_id}'")]
    NoTag { key: String, trace_id: String },
    #[error("Assessment with ID '{assessment_id}' not found for trace '{trace_id}'")]
    NoAssessment { assessment_id: String, trace_id: String },
    #[error("An assessment with ID '{0}' exists already.")]
    AssessmentExists(String),
    #[error("A stored span is not one that can be read.")]
    BadSpan,
    #[error("The database does not take this regular expression: {0}")]
    Pattern(String),
    #[error(transparent)]
    PageToken(#[from] PageTokenError),
}

/// A pattern that passed our own check may still be none of the engine's.
impl From<DbError> for TracesError {
    fn from(error: DbError) -> Self {
        match error.invalid_pattern() {
            Some(reason) => Self::Pattern(reason),
            None => Self::Db(error),
        }
    }
}

impl Failure for TracesError {
    fn kind(&self) -> Kind {
        match self {
            Self::Db(error) => error.kind(),
            Self::Runs(error) => error.kind(),
            Self::Invalid(_) | Self::Pattern(_) | Self::PageToken(_) => Kind::Invalid,
            Self::NoTrace(_)
            | Self::NoTraceToGet(_)
            | Self::NotExported(_)
            | Self::NoSpans
            | Self::NoTag { .. }
            | Self::NoAssessment { .. } => Kind::NotFound,
            Self::AssessmentExists(_) => Kind::AlreadyExists,
            Self::BadSpan => Kind::Internal,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Db(error) => error.code(),
            Self::Runs(error) => error.code(),
            Self::Invalid(_) => "VALUE_INVALID",
            Self::NoTrace(_) | Self::NoTraceToGet(_) => "TRACE_NOT_FOUND",
            Self::NotExported(_) => "TRACE_NOT_EXPORTED",
            Self::NoSpans => "SPANS_NOT_STORED",
            Self::NoTag { .. } => "TAG_NOT_FOUND",
            Self::NoAssessment { .. } => "ASSESSMENT_NOT_FOUND",
            Self::AssessmentExists(_) => "ASSESSMENT_EXISTS",
            Self::BadSpan => "INTERNAL",
            Self::Pattern(_) => "PATTERN_INVALID",
            Self::PageToken(_) => "PAGE_TOKEN_INVALID",
        }
    }
}
