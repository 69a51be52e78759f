//! How a rollout ends other than well.

use crate::{cache::CacheError, engine::EngineError, images::ResolveError, patience, routing::RoutingError};
use waybill_client::ClientError;

/// Codes that people's scripts may rely on.
pub mod reason {
    pub const SIGNATURE_INVALID: &str = "SIGNATURE_INVALID";
    pub const VERSION_NOT_DEPLOYABLE: &str = "VERSION_NOT_DEPLOYABLE";
    pub const RUNTIME_UNSUPPORTED: &str = "RUNTIME_UNSUPPORTED";
    pub const REQUIREMENTS_MISSING: &str = "REQUIREMENTS_MISSING";
    pub const REQUIREMENTS_UNRESOLVABLE: &str = "REQUIREMENTS_UNRESOLVABLE";
    pub const BASE_IMAGE_MISSING: &str = "BASE_IMAGE_MISSING";
    pub const IMAGE_BUILD_FAILED: &str = "IMAGE_BUILD_FAILED";
    pub const MODEL_CONTENT_MISMATCH: &str = "MODEL_CONTENT_MISMATCH";
    pub const CONTAINER_EXITED: &str = "CONTAINER_EXITED";
    pub const HEALTH_CHECK_FAILED: &str = "HEALTH_CHECK_FAILED";
    pub const NO_FREE_PORT: &str = "NO_FREE_PORT";
    pub const ROUTE_NOT_SWITCHED: &str = "ROUTE_NOT_SWITCHED";
    pub const ENGINE_UNAVAILABLE: &str = "ENGINE_UNAVAILABLE";
    pub const ENGINE_REFUSED: &str = "ENGINE_REFUSED";
    pub const DEADLINE_EXCEEDED: &str = "DEADLINE_EXCEEDED";
    pub const REGISTRY_REFUSED: &str = "REGISTRY_REFUSED";
    pub const REGISTRY_UNKNOWN: &str = "REGISTRY_UNKNOWN";
    pub const DEPLOYER_ERROR: &str = "DEPLOYER_ERROR";
}

/// Why a rollout did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// It will not heal by itself.
    #[error("{code}: {message}")]
    Failed { code: &'static str, message: String },
    /// Something newer took its place, or the environment is another deployer's now.
    #[error("aborted")]
    Aborted,
    /// The registry is away or in trouble; the rollout is tried again.
    #[error(transparent)]
    Unreachable(ClientError),
    /// The engine is away; the rollout is tried again for as long as the configuration says.
    #[error(transparent)]
    EngineAway(EngineError),
}

impl RolloutError {
    pub fn failed(code: &'static str, message: impl Into<String>) -> Self {
        Self::Failed { code, message: message.into() }
    }
}

impl From<ClientError> for RolloutError {
    fn from(error: ClientError) -> Self {
        if patience::may_pass(&error) {
            Self::Unreachable(error)
        } else {
            Self::failed(reason::REGISTRY_REFUSED, error.to_string())
        }
    }
}

impl From<EngineError> for RolloutError {
    fn from(error: EngineError) -> Self {
        if error.is_unavailable() {
            return Self::EngineAway(error);
        }
        let code = match &error {
            EngineError::BuildFailed { .. } => reason::IMAGE_BUILD_FAILED,
            _ => reason::ENGINE_REFUSED,
        };
        Self::failed(code, error.to_string())
    }
}

impl From<ResolveError> for RolloutError {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::Engine(error) => error.into(),
            ResolveError::Unresolvable { .. } => {
                Self::failed(reason::REQUIREMENTS_UNRESOLVABLE, error.to_string())
            }
            ResolveError::Stopped { .. } | ResolveError::NotText => {
                Self::failed(reason::DEPLOYER_ERROR, error.to_string())
            }
        }
    }
}

impl From<CacheError> for RolloutError {
    fn from(error: CacheError) -> Self {
        match error {
            CacheError::Fetch { source, .. }
                if patience::may_pass(&source) && !patience::may_be_damage(&source) =>
            {
                Self::Unreachable(source)
            }
            CacheError::Mismatch { .. } | CacheError::TooLong { .. } | CacheError::Fetch { .. } => {
                Self::failed(reason::MODEL_CONTENT_MISMATCH, error.to_string())
            }
            CacheError::Io { .. } => Self::failed(reason::DEPLOYER_ERROR, error.to_string()),
        }
    }
}

impl From<RoutingError> for RolloutError {
    fn from(error: RoutingError) -> Self {
        Self::failed(reason::ROUTE_NOT_SWITCHED, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patience::tests::answer;

    #[test]
    fn a_registry_in_trouble_is_waited_for_and_a_refusal_is_final() {
        for status in [429, 500, 503] {
            let error = RolloutError::from(answer(status));
            assert!(matches!(error, RolloutError::Unreachable(_)), "{status}");
        }
        let refused = RolloutError::from(answer(404));
        assert!(matches!(refused, RolloutError::Failed { code: reason::REGISTRY_REFUSED, .. }));
    }

    #[test]
    fn an_engine_that_is_away_is_waited_for_and_a_refusal_is_final() {
        let away = EngineError::Unavailable { endpoint: "unix:///x".into(), detail: "refused".into() };
        assert!(matches!(RolloutError::from(away), RolloutError::EngineAway(_)));
        let late = EngineError::TimedOut { action: "start it".into() };
        assert!(matches!(RolloutError::from(late), RolloutError::EngineAway(_)));
        let refused = EngineError::Refused { action: "start it".into(), status: 500, message: "no".into() };
        assert!(matches!(
            RolloutError::from(refused),
            RolloutError::Failed { code: reason::ENGINE_REFUSED, .. }
        ));
    }

    #[test]
    fn a_model_file_that_stays_unreadable_is_damaged() {
        let fetch = |status| CacheError::Fetch { path: "MLmodel".into(), source: answer(status) };
        assert!(matches!(RolloutError::from(fetch(503)), RolloutError::Unreachable(_)));
        let damaged = RolloutError::from(fetch(500));
        assert!(matches!(damaged, RolloutError::Failed { code: reason::MODEL_CONTENT_MISMATCH, .. }));
    }
}
