//! What the operator decides.

use super::address::Network;
use std::time::Duration;

/// MLflow's defaults (`MLFLOW_WEBHOOK_REQUEST_TIMEOUT`, `MLFLOW_WEBHOOK_REQUEST_MAX_RETRIES`).
const TIMEOUT: Duration = Duration::from_secs(30);
const MAX_RETRIES: u32 = 3;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Networks that webhooks may reach although they are not public, and without encryption.
    pub allow: Vec<Network>,
    /// For one attempt, from the name's resolution to the answer.
    pub timeout: Duration,
    /// Further attempts after the first.
    pub max_retries: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { allow: Vec::new(), timeout: TIMEOUT, max_retries: MAX_RETRIES }
    }
}
