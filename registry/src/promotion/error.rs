//! What can go wrong with a promotion.

use crate::{
    db::DbError,
    deployments::DeploymentsError,
    error::{Failure, Kind},
    models::ModelsError,
};

#[derive(Debug, thiserror::Error)]
pub enum PromotionError {
    #[error(
        "Model version transition cannot archive existing model versions because '{stage}' is not an Active stage. Valid stages are ['Staging', 'Production']"
    )]
    ArchiveNeedsActiveStage { stage: String },
    #[error(
        "{name} has nothing to go back to in {environment}: {why}; name a version with --to-version, or promote one"
    )]
    NothingToRollBackTo { name: String, environment: String, why: &'static str },
    #[error("{subject} is what {environment} desires already")]
    AlreadyDesired { subject: String, environment: String },
    #[error(transparent)]
    Claim(#[from] crate::idempotency::ClaimError),
    #[error(transparent)]
    Deployments(#[from] DeploymentsError),
    #[error(transparent)]
    Models(#[from] ModelsError),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Failure for PromotionError {
    fn kind(&self) -> Kind {
        match self {
            Self::ArchiveNeedsActiveStage { .. } => Kind::Invalid,
            Self::NothingToRollBackTo { .. } | Self::AlreadyDesired { .. } => Kind::Conflict,
            Self::Claim(error) => error.kind(),
            Self::Deployments(error) => error.kind(),
            Self::Models(error) => error.kind(),
            Self::Db(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::ArchiveNeedsActiveStage { .. } => "STAGE_NOT_ACTIVE",
            Self::NothingToRollBackTo { .. } => "NOTHING_TO_ROLL_BACK_TO",
            Self::AlreadyDesired { .. } => "ALREADY_DESIRED",
            Self::Claim(error) => error.code(),
            Self::Deployments(error) => error.code(),
            Self::Models(error) => error.code(),
            Self::Db(error) => error.code(),
        }
    }
}
