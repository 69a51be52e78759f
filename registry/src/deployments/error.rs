//! What can go wrong between an environment and its deployer.

use crate::{
    db::DbError,
    error::{Failure, Kind},
    models::ModelsError,
};

#[derive(Debug, thiserror::Error)]
pub enum DeploymentsError {
    #[error("environment {environment:?} does not exist; expected test, staging or production")]
    EnvironmentUnknown { environment: String },
    #[error("{model:?} has no deployment in {environment}; promote a version to {environment} first")]
    DeploymentNotFound { environment: String, model: String },
    #[error("no rollout has the id {rollout_id:?}")]
    RolloutNotFound { rollout_id: String },
    #[error("{field} is {value}; expected {expected}")]
    Invalid { field: &'static str, value: String, expected: &'static str },
    #[error(
        "{environment} is led by {holder:?} for another {remaining_ms} ms; two deployers never act for one environment"
    )]
    LeaseHeld { environment: String, holder: String, remaining_ms: i64 },
    #[error(
        "fence {fence} of {environment} is stale, the lease has fence {current}: another deployer took over; acquire the lease again"
    )]
    StaleFence { environment: String, fence: i64, current: i64 },
    #[error("rollout {rollout_id} is {phase} and cannot go back to {to}")]
    PhaseOrder { rollout_id: String, phase: &'static str, to: &'static str },
    #[error("rollout {rollout_id} has ended: {phase}; it takes no report of {to}")]
    RolloutEnded { rollout_id: String, phase: &'static str, to: &'static str },
    #[error("a report of {phase} needs the revision that runs")]
    RevisionMissing { phase: &'static str },
    #[error(transparent)]
    Models(#[from] ModelsError),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Failure for DeploymentsError {
    fn kind(&self) -> Kind {
        match self {
            Self::EnvironmentUnknown { .. }
            | Self::DeploymentNotFound { .. }
            | Self::RolloutNotFound { .. } => Kind::NotFound,
            Self::Invalid { .. } | Self::RevisionMissing { .. } => Kind::Invalid,
            Self::LeaseHeld { .. }
            | Self::StaleFence { .. }
            | Self::PhaseOrder { .. }
            | Self::RolloutEnded { .. } => Kind::Conflict,
            Self::Models(error) => error.kind(),
            Self::Db(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::EnvironmentUnknown { .. } => "ENVIRONMENT_UNKNOWN",
            Self::DeploymentNotFound { .. } => "DEPLOYMENT_NOT_FOUND",
            Self::RolloutNotFound { .. } => "ROLLOUT_NOT_FOUND",
            Self::Invalid { .. } => "FIELD_INVALID",
            Self::LeaseHeld { .. } => "LEASE_HELD",
            Self::StaleFence { .. } => "STALE_FENCE",
            Self::PhaseOrder { .. } => "ROLLOUT_PHASE_ORDER",
            Self::RolloutEnded { .. } => "ROLLOUT_ENDED",
            Self::RevisionMissing { .. } => "REVISION_MISSING",
            Self::Models(error) => error.code(),
            Self::Db(error) => error.code(),
        }
    }
}
