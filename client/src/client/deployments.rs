//! What environments desire and what runs; the calls of the deployer.

use super::Client;
use crate::{
    api::{
        AcquireLease, AppendLog, Deployment, DeploymentList, DesiredState, Lease, LogPage, ReportRollout,
        ReportServing, ReportStopped, Rollout,
    },
    error::ClientError,
    request::{CALL_TIMEOUT, Call},
};
use std::time::Duration;

impl Client {
    /// Deployments of all environments, or of one.
    pub async fn list_deployments(&self, environment: Option<&str>) -> Result<Vec<Deployment>, ClientError> {
        let list: DeploymentList =
            self.get(&["deployments"]).query("environment", environment).receive().await?;
        Ok(list.deployments)
    }

    pub async fn get_deployment(&self, environment: &str, model: &str) -> Result<Deployment, ClientError> {
        self.get(&["environments", environment, "deployments", model]).receive().await
    }

    pub async fn get_rollout(&self, rollout_id: &str) -> Result<Rollout, ClientError> {
        self.get(&["rollouts", rollout_id]).receive().await
    }

    /// Takes or renews the lease on an environment; refused while another holds it.
    pub async fn acquire_lease(
        &self,
        environment: &str,
        request: &AcquireLease,
    ) -> Result<Lease, ClientError> {
        self.post(&["environments", environment, "lease"]).json(request).receive().await
    }

    /// What an environment desires. Waits up to `wait_ms` until its revision passes
    /// `after_revision`; 0 for both answers at once.
    pub async fn desired_state(
        &self,
        environment: &str,
        after_revision: i64,
        wait_ms: u64,
    ) -> Result<DesiredState, ClientError> {
        self.get(&["environments", environment, "desired"])
            .query("after_revision", Some(after_revision))
            .query("wait_ms", Some(wait_ms))
            .timeout(CALL_TIMEOUT + Duration::from_millis(wait_ms))
            .receive()
            .await
    }

    pub async fn report_rollout(
        &self,
        rollout_id: &str,
        report: &ReportRollout,
    ) -> Result<Rollout, ClientError> {
        self.post(&["rollouts", rollout_id, "reports"]).json(report).receive().await
    }

    pub async fn report_serving(
        &self,
        environment: &str,
        model: &str,
        report: &ReportServing,
    ) -> Result<(), ClientError> {
        self.below_deployment(environment, model, "serving").json(report).done().await
    }

    pub async fn report_stopped(
        &self,
        environment: &str,
        model: &str,
        report: &ReportStopped,
    ) -> Result<(), ClientError> {
        self.below_deployment(environment, model, "stopped").json(report).done().await
    }

    /// Appends lines once, however often it is called with the same `batch` in a row.
    pub async fn append_log(
        &self,
        environment: &str,
        model: &str,
        lines: &AppendLog,
        batch: &str,
    ) -> Result<(), ClientError> {
        self.below_deployment(environment, model, "logs").json(lines).keyed(batch).done().await
    }

    /// Lines after a position, oldest first.
    pub async fn log_page(
        &self,
        environment: &str,
        model: &str,
        after_seq: i64,
        limit: u32,
    ) -> Result<LogPage, ClientError> {
        self.get(&["environments", environment, "deployments", model, "logs"])
            .query("after_seq", Some(after_seq))
            .query("limit", Some(limit))
            .receive()
            .await
    }

    fn below_deployment(&self, environment: &str, model: &str, what: &str) -> Call {
        self.post(&["environments", environment, "deployments", model, what])
    }
}
