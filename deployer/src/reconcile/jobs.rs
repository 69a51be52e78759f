//! What is under way: at most one rollout and one upkeep per model, each its own task.

use crate::{
    lease::Fence,
    plan::Upkeep,
    rollout::{self, Order, RolloutError, now_ms, reason},
    shared::Shared,
};
use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use waybill_client::api::{ReportRollout, RolloutPhase};

const BACK_OFF_MS: i64 = 1_000;
const BACK_OFF_MAX_MS: i64 = 60_000;
/// What ran for so long before it failed again starts without a wait.
const FORGIVEN_AFTER_MS: i64 = 60_000;

pub struct Jobs {
    shared: Arc<Shared>,
    environment: String,
    wake: Arc<Notify>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    rollouts: HashMap<String, RolloutJob>,
    upkeep: HashMap<String, UpkeepJob>,
    /// By container.
    removals: HashMap<String, JoinHandle<()>>,
    back_off: HashMap<String, BackOff>,
    /// Since when each rollout meets no engine.
    engine_away: HashMap<String, i64>,
    /// Why the last upkeep of each model failed; none once one went well.
    troubles: HashMap<String, String>,
}

struct RolloutJob {
    rollout_id: String,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

struct UpkeepJob {
    kind: Upkeep,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

#[derive(Debug, Clone, Copy)]
struct BackOff {
    tries: u32,
    last_ms: i64,
    not_before_ms: i64,
}

impl Jobs {
    pub fn new(shared: Arc<Shared>, environment: String, wake: Arc<Notify>) -> Self {
        Self { shared, environment, wake, state: Arc::default() }
    }

    /// Rollout ids and upkeep by model.
    pub fn under_way(&self) -> (BTreeMap<String, String>, BTreeMap<String, Upkeep>) {
        let mut state = self.state();
        state.rollouts.retain(|_, job| !job.task.is_finished());
        state.upkeep.retain(|_, job| !job.task.is_finished());
        let rollouts = state.rollouts.iter();
        let upkeep = state.upkeep.iter();
        (
            rollouts.map(|(m, job)| (m.clone(), job.rollout_id.clone())).collect(),
            upkeep.map(|(m, job)| (m.clone(), job.kind)).collect(),
        )
    }

    pub fn rolls_out(&self, model: &str) -> bool {
        self.under_way().0.contains_key(model)
    }

    /// Why the last try to bring the model's container back failed.
    pub fn trouble(&self, model: &str) -> Option<String> {
        self.state().troubles.get(model).cloned()
    }

    pub fn forget_trouble(&self, model: &str) {
        self.state().troubles.remove(model);
    }

    pub fn not_before_ms(&self) -> BTreeMap<String, i64> {
        let state = self.state();
        let waits = state.back_off.iter();
        waits.map(|(m, b)| (m.clone(), b.not_before_ms)).collect()
    }

    /// Until the next back-off ends, `most` at the most.
    pub fn next_try_in(&self, most: Duration) -> Duration {
        let now = now_ms();
        let waits = self.not_before_ms();
        let next = waits.values().filter(|at| **at > now).min();
        next.map_or(most, |at| Duration::from_millis((at - now) as u64).min(most))
    }

    /// Starts a rollout.
    pub fn roll_out(&self, order: Order, fence: Fence) {
        let (shared, wake, state) = self.handles();
        let cancel = CancellationToken::new();
        let (model, rollout_id) = (order.model.clone(), order.rollout_id.clone());
        let token = cancel.clone();
        let task = tokio::spawn(async move {
            let work = {
                let (shared, order, fence) = (Arc::clone(&shared), order.clone(), fence.clone());
                let token = token.clone();
                tokio::spawn(async move { rollout::run(&shared, &order, &fence, &token).await })
            };
            let outcome = work.await;
            if !matches!(outcome, Ok(Err(RolloutError::EngineAway(_)))) {
                // It got past the engine: a later failure of it counts from its own beginning.
                lock(&state).engine_away.remove(&order.rollout_id);
            }
            match outcome {
                Ok(Ok(())) => {}
                Ok(Err(RolloutError::Aborted)) if token.is_cancelled() => {}
                Ok(Err(RolloutError::EngineAway(error)))
                    if lock(&state).is_away_for(&order.rollout_id, shared.config.deadlines.engine) =>
                {
                    let message = error.to_string();
                    lock(&state).engine_away.remove(&order.rollout_id);
                    fail(&shared, &order.rollout_id, &fence, reason::ENGINE_UNAVAILABLE, &message).await;
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, model = order.model, "the rollout is tried again");
                    lock(&state).wait_for(&order.rollout_id);
                }
                // A defect of ours must not leave the rollout "in progress" for ever.
                Err(panic) => report_panic(&shared, &order, &fence, &panic.to_string()).await,
            }
            wake.notify_one();
        });
        let job = RolloutJob { rollout_id, cancel, task };
        self.state().rollouts.insert(model, job);
    }

    /// Starts an upkeep. With `counts`, another try of the same kind waits longer each time.
    pub fn keep_up<F>(
        &self,
        model: &str,
        kind: Upkeep,
        counts: bool,
        work: impl FnOnce(Arc<Shared>, String, CancellationToken) -> F,
    ) where
        F: Future<Output = Result<(), RolloutError>> + Send + 'static,
    {
        let (shared, wake, state) = self.handles();
        let cancel = CancellationToken::new();
        if counts {
            self.state().wait_for(model);
        }
        let work = tokio::spawn(work(shared, self.environment.clone(), cancel.clone()));
        let token = cancel.clone();
        let name = model.to_owned();
        let task = tokio::spawn(async move {
            match work.await {
                Ok(Ok(())) => {
                    lock(&state).troubles.remove(&name);
                }
                Ok(Err(RolloutError::Aborted)) if token.is_cancelled() => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, model = name, ?kind, "upkeep failed");
                    lock(&state).troubles.insert(name.clone(), error.to_string());
                    if !counts {
                        lock(&state).wait_for(&name);
                    }
                }
                Err(error) => tracing::error!(%error, model = name, ?kind, "upkeep ended early"),
            }
            wake.notify_one();
        });
        self.state().upkeep.insert(model.to_owned(), UpkeepJob { kind, cancel, task });
    }

    /// Removes a container, unless that is under way.
    pub fn remove<F>(&self, container: &str, work: impl FnOnce(Arc<Shared>) -> F)
    where
        F: Future<Output = Result<(), RolloutError>> + Send + 'static,
    {
        let (shared, wake, _) = self.handles();
        let mut state = self.state();
        state.removals.retain(|_, task| !task.is_finished());
        if state.removals.contains_key(container) {
            return;
        }
        let work = work(shared);
        let name = container.to_owned();
        let task = tokio::spawn(async move {
            if let Err(error) = work.await {
                tracing::warn!(%error, container = name, "a left-over container stays for now");
            }
            wake.notify_one();
        });
        state.removals.insert(container.to_owned(), task);
    }

    pub fn abort(&self, model: &str) {
        if let Some(job) = self.state().rollouts.get(model) {
            job.cancel.cancel();
        }
    }

    pub fn end_upkeep(&self, model: &str) {
        if let Some(job) = self.state().upkeep.get(model) {
            job.cancel.cancel();
        }
    }

    pub fn abort_all(&self) {
        let state = self.state();
        state.rollouts.values().for_each(|job| job.cancel.cancel());
        state.upkeep.values().for_each(|job| job.cancel.cancel());
    }

    /// Aborts everything and waits for it. Containers that serve go on.
    pub async fn stop(&self) {
        self.abort_all();
        let (rollouts, upkeep) = {
            let mut state = self.state();
            (std::mem::take(&mut state.rollouts), std::mem::take(&mut state.upkeep))
        };
        for job in upkeep.into_values() {
            job.task.abort();
        }
        for job in rollouts.into_values() {
            let _ = job.task.await;
        }
    }

    fn handles(&self) -> (Arc<Shared>, Arc<Notify>, Arc<Mutex<State>>) {
        (Arc::clone(&self.shared), Arc::clone(&self.wake), Arc::clone(&self.state))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn wait_for(&mut self, what: &str) {
        let now = now_ms();
        let before = self.back_off.get(what).copied();
        self.back_off.insert(what.to_owned(), next_back_off(before, now));
    }

    /// Notes that a rollout met no engine; whether that lasts longer than it may.
    fn is_away_for(&mut self, rollout_id: &str, patience: Duration) -> bool {
        let now = now_ms();
        let since = *self.engine_away.entry(rollout_id.to_owned()).or_insert(now);
        now - since >= patience.as_millis() as i64
    }
}

/// Doubles from try to try; begins anew after a good while.
fn next_back_off(before: Option<BackOff>, now_ms: i64) -> BackOff {
    let tries = match before {
        Some(before) if now_ms - before.last_ms.max(before.not_before_ms) < FORGIVEN_AFTER_MS => {
            before.tries + 1
        }
        _ => 0,
    };
    let wait = BACK_OFF_MS.saturating_mul(1 << tries.min(10)).min(BACK_OFF_MAX_MS);
    BackOff { tries, last_ms: now_ms, not_before_ms: now_ms + wait }
}

async fn report_panic(shared: &Shared, order: &Order, fence: &Fence, message: &str) {
    tracing::error!(message, model = order.model, "the rollout ended early");
    let message = "the deployer met a defect of its own; its log has the details";
    fail(shared, &order.rollout_id, fence, reason::DEPLOYER_ERROR, message).await;
}

/// Ends a rollout that nothing carries out.
pub(super) async fn fail(shared: &Shared, rollout_id: &str, fence: &Fence, code: &str, message: &str) {
    let Some(fence) = fence.current() else {
        return;
    };
    let report = ReportRollout {
        fence,
        phase: RolloutPhase::Failed,
        reason_code: Some(code.to_owned()),
        message: Some(message.to_owned()),
        revision: None,
        switched_at_ms: None,
    };
    if let Err(error) = shared.client.report_rollout(rollout_id, &report).await {
        tracing::warn!(%error, rollout = rollout_id, "a failure could not be reported");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_to_a_minute_and_is_forgiven() {
        let mut waits = Vec::new();
        let (mut now, mut last) = (0, None);
        for _ in 0..8 {
            let next = next_back_off(last, now);
            waits.push(next.not_before_ms - now);
            now = next.not_before_ms;
            last = Some(next);
        }
        assert_eq!(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
        let later = next_back_off(last, now + FORGIVEN_AFTER_MS);
        assert_eq!(later.not_before_ms - now - FORGIVEN_AFTER_MS, 1_000);
    }
}
