//! Why something could not be read from a source.

use crate::failure::Failure;

#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// No answer: nothing more can be read for now.
    #[error("{0}")]
    Unreachable(String),
    /// It is not what it was said to be, or is damaged.
    #[error("{0}")]
    NotMlflow(String),
    /// One object cannot be read; others may.
    #[error("{0}")]
    Object(String),
}

impl SourceError {
    pub fn object(error: impl std::fmt::Display) -> Self {
        Self::Object(error.to_string())
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Unreachable(text) => Self::Unreachable(text),
            SourceError::NotMlflow(text) | SourceError::Object(text) => Self::Failed(text),
        }
    }
}
