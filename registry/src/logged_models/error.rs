//! What can go wrong with logged models, in MLflow's words.

use crate::{
    db::DbError,
    error::{Failure, Kind},
    runs::RunsError,
};

#[derive(Debug, thiserror::Error)]
pub enum LoggedModelsError {
    #[error(transparent)]
    Db(#[from] DbError),
    /// Of the experiment that holds the model, or of a name or value.
    #[error(transparent)]
    Runs(#[from] RunsError),
    #[error("{0}")]
    Invalid(String),
    #[error("Logged model with ID '{0}' not found.")]
    NoModel(String),
    #[error("No tag with key '{key}' found for model with ID '{model_id}'.")]
    NoTag { key: String, model_id: String },
    #[error(
        "Changing param values is not allowed. Param with key='{key}' was already logged for model ID='{model_id}'."
    )]
    ParamChanged { key: String, model_id: String },
}

impl Failure for LoggedModelsError {
    fn kind(&self) -> Kind {
        match self {
            Self::Db(error) => error.kind(),
            Self::Runs(error) => error.kind(),
            Self::Invalid(_) | Self::ParamChanged { .. } => Kind::Invalid,
            Self::NoModel(_) | Self::NoTag { .. } => Kind::NotFound,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Db(error) => error.code(),
            Self::Runs(error) => error.code(),
            Self::Invalid(_) => "VALUE_INVALID",
            Self::NoModel(_) => "LOGGED_MODEL_NOT_FOUND",
            Self::NoTag { .. } => "TAG_NOT_FOUND",
            Self::ParamChanged { .. } => "PARAM_CHANGED",
        }
    }
}
