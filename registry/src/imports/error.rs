//! What can go wrong while objects are brought over.

use crate::{
    artifacts::ArtifactError,
    db::DbError,
    error::{Failure, Kind},
    logged_models::LoggedModelsError,
    models::ModelsError,
    runs::RunsError,
    traces::TracesError,
};
use waybill_client::api::{IMPORT_OBJECTS_MAX, ImportOutcome, ImportResult};

#[derive(Debug, thiserror::Error)]
pub enum ImportsError {
    #[error("no import has the id {0:?}")]
    NoImport(String),
    #[error("{field}: {detail}")]
    Invalid { field: &'static str, detail: String },
    #[error("a request has {0} objects; at most {IMPORT_OBJECTS_MAX} are taken")]
    TooMany(usize),
    #[error(
        "an experiment {name:?} that holds runs of its own is here already, with id {experiment_id}; rename one \
         of the two"
    )]
    ExperimentTaken { name: String, experiment_id: i64 },
    #[error("the experiment {0:?} was not imported")]
    NoExperiment(String),
    #[error(
        "{what} {id:?} is here already and did not come by this import, which is known by the address in --from: where it \
         came by another one, give that again"
    )]
    Taken { what: &'static str, id: String },
    #[error("{what} {id:?} was not imported, or has been deleted or renamed here since")]
    NotImported { what: &'static str, id: String },
    #[error(transparent)]
    Runs(#[from] RunsError),
    #[error(transparent)]
    LoggedModels(#[from] LoggedModelsError),
    #[error(transparent)]
    Models(#[from] ModelsError),
    #[error(transparent)]
    Traces(#[from] TracesError),
    #[error(transparent)]
    Artifacts(#[from] ArtifactError),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl ImportsError {
    pub fn invalid(field: &'static str, detail: impl Into<String>) -> Self {
        Self::Invalid { field, detail: detail.into() }
    }

    /// The refusal of one object; the error itself where it is not about the object.
    pub fn refusal(self) -> Result<ImportOutcome, Self> {
        match self.kind() {
            Kind::Internal | Kind::Unavailable | Kind::InsufficientStorage => Err(self),
            _ => Ok(ImportOutcome {
                result: ImportResult::Refused,
                local_id: None,
                code: Some(self.code().to_owned()),
                detail: Some(self.to_string()),
            }),
        }
    }
}

impl Failure for ImportsError {
    fn kind(&self) -> Kind {
        match self {
            Self::Invalid { .. } | Self::TooMany(_) => Kind::Invalid,
            Self::NoImport(_) | Self::NoExperiment(_) | Self::NotImported { .. } => Kind::NotFound,
            Self::ExperimentTaken { .. } | Self::Taken { .. } => Kind::AlreadyExists,
            Self::Runs(error) => error.kind(),
            Self::LoggedModels(error) => error.kind(),
            Self::Models(error) => error.kind(),
            Self::Traces(error) => error.kind(),
            Self::Artifacts(error) => error.kind(),
            Self::Db(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NoImport(_) => "IMPORT_NOT_FOUND",
            Self::Invalid { .. } => "FIELD_INVALID",
            Self::TooMany(_) => "TOO_MANY_OBJECTS",
            Self::ExperimentTaken { .. } => "EXPERIMENT_TAKEN",
            Self::NoExperiment(_) => "EXPERIMENT_NOT_IMPORTED",
            Self::Taken { .. } => "OBJECT_TAKEN",
            Self::NotImported { .. } => "OBJECT_NOT_IMPORTED",
            Self::Runs(error) => error.code(),
            Self::LoggedModels(error) => error.code(),
            Self::Models(error) => error.code(),
            Self::Traces(error) => error.code(),
            Self::Artifacts(error) => error.code(),
            Self::Db(error) => error.code(),
        }
    }
}
