//! What each environment desires, what its deployer reports, what really served, and its logs.
//!
//! A deployment is a model in an environment. It follows the stage of the environment's name:
//! what it desires is the highest frozen version there, which is also what an MLflow client
//! loads by stage.

mod desire;
mod error;
mod leases;
mod logs;
pub mod phase;
mod read;
mod report;
pub mod routes;
mod serving;
mod signals;
pub mod store;
#[cfg(test)]
mod tests;

pub use desire::{Desire, converge, has_stopped};
pub use error::DeploymentsError;
pub use leases::acquire_lease;
pub use logs::{LOG_LINES_MAX, append_log, follow_log, log_page};
pub use read::{deployment, deployments, desired_state, rollout};
pub use report::{report_rollout, report_stopped};
pub use serving::report_serving;
pub use signals::Signals;

/// Environments, one per stage of the same name.
pub const ENVIRONMENTS: [&str; 3] = ["test", "staging", "production"];

/// Refuses an environment that does not exist.
pub fn check_environment(environment: &str) -> Result<(), DeploymentsError> {
    if ENVIRONMENTS.contains(&environment) {
        return Ok(());
    }
    let shown = environment.chars().take(100).collect();
    Err(DeploymentsError::EnvironmentUnknown { environment: shown })
}

/// Name of an environment's lease.
fn lease_name(environment: &str) -> String {
    format!("environment:{environment}")
}
