//! What can go wrong with experiments and runs, in MLflow's words.

use crate::{
    db::DbError,
    error::{Failure, Kind},
    search::PageTokenError,
};

#[derive(Debug, thiserror::Error)]
pub enum RunsError {
    #[error(transparent)]
    Db(#[from] DbError),
    /// A value outside MLflow's limits; the text names field, value and limit.
    #[error("{0}")]
    Invalid(String),
    #[error("Invalid experiment ID '{0}'. Experiment ID must be a valid integer.")]
    ExperimentId(String),
    #[error("No Experiment with id={0} exists")]
    NoExperiment(i64),
    #[error("Could not find experiment with name '{0}'")]
    NoExperimentNamed(String),
    #[error("Experiment(name={0}) already exists.")]
    ExperimentExists(String),
    #[error("The experiment {0} must be in the 'active' state. Current state is deleted.")]
    ExperimentDeleted(i64),
    #[error("Cannot rename a non-active experiment.")]
    RenameDeleted,
    #[error("No tag with name: {key} in experiment with id {experiment_id}")]
    NoExperimentTag { key: String, experiment_id: i64 },
    #[error("Run with id={0} not found")]
    NoRun(String),
    #[error("The run {0} must be in the 'active' state. Current state is deleted.")]
    RunDeleted(String),
    #[error("No tag with name: {key} in run with id {run_id}")]
    NoTag { key: String, run_id: String },
    #[error(
        "Changing param values is not allowed. Param with key='{key}' was already logged with \
         value='{old}' for run ID='{run_id}'. Attempted logging new value '{new}'."
    )]
    ParamChanged { key: String, old: String, new: String, run_id: String },
    #[error(
        "Changing param values is not allowed. Params were already logged='[{changes}]' for run ID='{run_id}'."
    )]
    ParamsChanged { changes: String, run_id: String },
    #[error("Logged model with ID '{0}' not found.")]
    NoModel(String),
    #[error(transparent)]
    PageToken(#[from] PageTokenError),
}

impl Failure for RunsError {
    fn kind(&self) -> Kind {
        match self {
            Self::Db(error) => error.kind(),
            Self::Invalid(_)
            | Self::ExperimentId(_)
            | Self::ExperimentDeleted(_)
            | Self::RunDeleted(_)
            | Self::ParamChanged { .. }
            | Self::ParamsChanged { .. }
            | Self::PageToken(_) => Kind::Invalid,
            Self::NoExperiment(_)
            | Self::NoExperimentNamed(_)
            | Self::NoExperimentTag { .. }
            | Self::NoRun(_)
            | Self::NoTag { .. }
            | Self::NoModel(_) => Kind::NotFound,
            Self::ExperimentExists(_) => Kind::AlreadyExists,
            Self::RenameDeleted => Kind::Conflict,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Db(error) => error.code(),
            Self::Invalid(_) => "VALUE_INVALID",
            Self::ExperimentId(_) => "EXPERIMENT_ID_INVALID",
            Self::NoExperiment(_) | Self::NoExperimentNamed(_) => "EXPERIMENT_NOT_FOUND",
            Self::ExperimentExists(_) => "EXPERIMENT_EXISTS",
            Self::ExperimentDeleted(_) | Self::RenameDeleted => "EXPERIMENT_DELETED",
            Self::NoExperimentTag { .. } | Self::NoTag { .. } => "TAG_NOT_FOUND",
            Self::NoRun(_) => "RUN_NOT_FOUND",
            Self::RunDeleted(_) => "RUN_DELETED",
            Self::ParamChanged { .. } | Self::ParamsChanged { .. } => "PARAM_CHANGED",
            Self::NoModel(_) => "LOGGED_MODEL_NOT_FOUND",
            Self::PageToken(_) => "PAGE_TOKEN_INVALID",
        }
    }
}
