//! One task per environment: ask what is desired, look what is there, plan, act; again whenever
//! one of them may have changed.

mod act;
mod jobs;
mod observe;
mod readiness;

use crate::{
    engine::EngineError,
    lease::{self, Fence},
    plan::{self, RouteState},
    registry::Stranger,
    rollout::{LogTarget, RolloutLog, now_ms, reason},
    shared::Shared,
    verify::accepts_connections,
};
use jobs::Jobs;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;
use waybill_client::api::DesiredState;

/// Looks again even when nothing was heard, for what no event tells.
const RESYNC_MS: u64 = 10_000;
const RETRY_WAIT: Duration = Duration::from_secs(1);
const RETRY_WAIT_MAX: Duration = Duration::from_secs(10);
/// So many tries follow quickly: an engine that restarts is away for a moment.
const QUICK_TRIES: u32 = 4;

pub struct Reconciler {
    shared: Arc<Shared>,
    environment: String,
    fence: Fence,
    jobs: Jobs,
    wake: Arc<Notify>,
    engine_failures: u32,
    /// Since when the engine does not answer.
    engine_away_ms: i64,
    /// Rollouts whose log says already what they wait for.
    told: BTreeSet<String>,
    stranger: Option<Stranger>,
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
        Self {
            shared,
            environment,
            fence,
            jobs,
            wake,
            engine_failures: 0,
            engine_away_ms: 0,
            told: BTreeSet::new(),
            stranger: None,
        }
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
        match self.is_of_our_registry(&desired).await {
            Ok(true) => {}
            Ok(false) => {
                let _ = self.desired(desired.revision, RESYNC_MS).await;
                return;
            }
            Err(()) => return sleep(RETRY_WAIT).await,
        }
        let observed = match observe::observe(&self.shared, &self.environment, &self.jobs).await {
            Ok(observed) => observed,
            Err(error) => return self.engine_failed(&desired, error).await,
        };
        self.engine_failures = 0;
        self.told.clear();
        observe::follow(&self.shared, &observed.1, &self.fence);
        for action in plan::plan(&desired, &observed.0) {
            act::act(self, &desired, &observed.1, action);
        }
        readiness::report(self, &desired, &observed.0, &observed.1).await;
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

    /// Another registry than the one served so far changes nothing, and whoever promotes there learns
    /// why.
    async fn is_of_our_registry(&mut self, desired: &DesiredState) -> Result<bool, ()> {
        let environment = &self.environment;
        let found = match self.shared.client.info().await {
            Ok(info) => info.registry_id,
            Err(error) => {
                tracing::warn!(%error, environment, "cannot ask which registry this is");
                return Err(());
            }
        };
        let stranger = match self.shared.registry.check(&found) {
            Ok(Ok(())) => None,
            Ok(Err(stranger)) => Some(stranger),
            Err(error) => {
                tracing::error!(%error, environment, "cannot keep which registry this is");
                return Err(());
            }
        };
        if let Some(stranger) = &stranger {
            if self.stranger.as_ref() != Some(stranger) {
                tracing::error!(environment, "{stranger}");
            }
            for rollout in desired.deployments.iter().filter_map(plan::pending) {
                let message = stranger.to_string();
                let code = reason::REGISTRY_UNKNOWN;
                jobs::fail(&self.shared, &rollout.rollout_id, &self.fence, code, &message).await;
            }
        }
        self.stranger = stranger;
        Ok(self.stranger.is_none())
    }

    /// The engine is away: whoever waits for a rollout learns why, and we go on trying.
    async fn engine_failed(&mut self, desired: &DesiredState, error: EngineError) {
        let message = format!("{error}. `waybill serve --no-deployer` runs the registry alone");
        self.engine_failures += 1;
        if self.engine_failures == 1 {
            self.engine_away_ms = now_ms();
            tracing::error!(environment = self.environment, "{message}");
        }
        self.hold_dead_routes().await;
        readiness::report_held(self, desired, &error.to_string()).await;
        self.let_wait(desired, &error, &message).await;
        let wait = if self.engine_failures < QUICK_TRIES {
            RETRY_WAIT / 2
        } else {
            (RETRY_WAIT * 2_u32.pow(self.engine_failures.min(4) - 1)).min(RETRY_WAIT_MAX)
        };
        tokio::select! {
            // A new promotion should not wait for the back-off to learn what it waits for.
            _ = self.desired(desired.revision, RESYNC_MS) => sleep(RETRY_WAIT / 2).await,
            () = sleep(wait) => {}
        }
    }

    /// An engine that ends takes its containers along. Once it is back, another container may have
    /// the address of one of them.
    async fn hold_dead_routes(&self) {
        let routing = &self.shared.routing;
        for (model, route) in routing.of(&self.environment) {
            let RouteState::To(target) = route else { continue };
            if accepts_connections(&target.upstream).await {
                continue;
            }
            let held = routing.set_if(&self.environment, &model, None, |now| now == Some(&target));
            if let Err(error) = held {
                tracing::error!(%error, "the route file was not written");
            }
        }
    }

    /// A rollout keeps its phase while it waits, for as long as the configuration says.
    async fn let_wait(&mut self, desired: &DesiredState, error: &EngineError, message: &str) {
        let patience_ms = self.shared.config.deadlines.engine.as_millis() as i64;
        for deployment in &desired.deployments {
            let Some(rollout) = plan::pending(deployment) else { continue };
            if self.jobs.rolls_out(&deployment.model) {
                continue;
            }
            let id = &rollout.rollout_id;
            let waited_ms = now_ms() - self.engine_away_ms.max(rollout.started_at_ms);
            if waited_ms >= patience_ms {
                let code =
                    if error.is_unavailable() { reason::ENGINE_UNAVAILABLE } else { reason::ENGINE_REFUSED };
                jobs::fail(&self.shared, id, &self.fence, code, message).await;
            } else if self.told.insert(id.clone()) {
                let target = LogTarget {
                    environment: self.environment.clone(),
                    model: deployment.model.clone(),
                    rollout_id: id.clone(),
                };
                let log = RolloutLog::start(self.shared.client.clone(), self.fence.clone(), target);
                log.event(&format!(
                    "waiting for the engine, {} s at the most: {message}",
                    patience_ms / 1000
                ));
                log.finish().await;
            }
        }
    }
}
