//! One task per environment: ask what is desired, look what is there, plan, act; again whenever
//! one of them may have changed.

mod act;
mod jobs;
mod observe;

use crate::{
    engine::EngineError,
    lease::{self, Fence},
    plan,
    rollout::reason,
    shared::Shared,
};
use jobs::Jobs;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;
use waybill_client::api::{DesiredState, ReportRollout, RolloutPhase};

/// Looks again even when nothing was heard, for what no event tells.
const RESYNC_MS: u64 = 10_000;
const RETRY_WAIT: Duration = Duration::from_secs(1);
const RETRY_WAIT_MAX: Duration = Duration::from_secs(10);
/// An engine that restarts is away for a moment; rollouts fail only after so many tries.
const ENGINE_ATTEMPTS: u32 = 4;

pub struct Reconciler {
    shared: Arc<Shared>,
    environment: String,
    fence: Fence,
    jobs: Jobs,
    wake: Arc<Notify>,
    engine_failures: u32,
}

impl Reconciler {
    pub fn new(
        shared: Arc<Shared>,
        environment: String,
        wake: Arc<Notify>,
        stop: &CancellationToken,
    ) -> Self {
        let fence = lease::keep(
            shared.client.clone(),
            environment.clone(),
            shared.holder.clone(),
            shared.config.lease_ttl,
            stop.clone(),
        );
        let jobs = Jobs::new(Arc::clone(&shared), environment.clone(), Arc::clone(&wake));
        Self { shared, environment, fence, jobs, wake, engine_failures: 0 }
    }

    /// Until `stop`. Containers and routes stay as they are.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let mut fence = self.fence.clone();
            let mut lost = self.fence.clone();
            tokio::select! {
                () = stop.cancelled() => break,
                held = fence.held() => if held.is_none() { break },
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = lost.lost() => {
                    tracing::warn!(environment = self.environment, "the lease was lost");
                    self.jobs.abort_all();
                }
                () = self.turn() => {}
            }
        }
        self.jobs.stop().await;
    }

    async fn turn(&mut self) {
        let Ok(desired) = self.desired(0, 0).await else { return };
        let observed = match observe::observe(&self.shared, &self.environment, &self.jobs).await {
            Ok(observed) => observed,
            Err(error) => return self.engine_failed(&desired, error).await,
        };
        self.engine_failures = 0;
        observe::follow(&self.shared, &observed.1, &self.fence);
        for action in plan::plan(&desired, &observed.0) {
            act::act(self, &observed.1, action);
        }
        let revision = desired.revision;
        let timer = self.jobs.next_try_in(Duration::from_millis(RESYNC_MS));
        tokio::select! {
            _ = self.desired(revision, RESYNC_MS) => {}
            () = self.wake.notified() => {}
            () = sleep(timer) => {}
        }
    }

    async fn desired(&self, after_revision: i64, wait_ms: u64) -> Result<DesiredState, ()> {
        let environment = &self.environment;
        match self.shared.client.desired_state(environment, after_revision, wait_ms).await {
            Ok(desired) => Ok(desired),
            Err(error) => {
                tracing::warn!(%error, environment, "cannot read what is desired");
                // Both callers ask again: not at once.
                sleep(RETRY_WAIT).await;
                Err(())
            }
        }
    }

    /// The engine is away: whoever waits for a rollout learns why, and we go on trying.
    async fn engine_failed(&mut self, desired: &DesiredState, error: EngineError) {
        self.engine_failures += 1;
        if self.engine_failures == 1 {
            tracing::error!(%error, environment = self.environment, "the engine does not answer");
        }
        if self.engine_failures >= ENGINE_ATTEMPTS {
            let code =
                if error.is_unavailable() { reason::ENGINE_UNAVAILABLE } else { reason::ENGINE_REFUSED };
            self.fail_pending(desired, code, &error.to_string()).await;
        }
        let wait = RETRY_WAIT * 2_u32.pow(self.engine_failures.min(4) - 1);
        let wait =
            if self.engine_failures < ENGINE_ATTEMPTS { RETRY_WAIT / 2 } else { wait.min(RETRY_WAIT_MAX) };
        tokio::select! {
            // A new promotion should not wait for the back-off to learn that nothing can start.
            _ = self.desired(desired.revision, RESYNC_MS) => sleep(RETRY_WAIT / 2).await,
            () = sleep(wait) => {}
        }
    }

    async fn fail_pending(&self, desired: &DesiredState, code: &str, message: &str) {
        let Some(fence) = self.fence.current() else {
            return;
        };
        for deployment in &desired.deployments {
            let Some(rollout) = plan::pending(deployment) else {
                continue;
            };
            if self.jobs.rolls_out(&deployment.model) {
                continue;
            }
            let report = ReportRollout {
                fence,
                phase: RolloutPhase::Failed,
                reason_code: Some(code.to_owned()),
                message: Some(message.to_owned()),
                revision: None,
            };
            let id = &rollout.rollout_id;
            if let Err(error) = self.shared.client.report_rollout(id, &report).await {
                tracing::warn!(%error, rollout = id, "a failure could not be reported");
            }
        }
    }
}
