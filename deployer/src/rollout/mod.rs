//! One rollout: verify, lock, build, start, check, switch, drain. A revision that is not ready
//! never gets traffic, the old one is not touched before the new one serves, and an abort always
//! wins.

mod drain;
mod error;
mod evidence;
mod health;
mod launch;
mod lock;
mod log;
mod prepare;
mod report;
mod revision;
pub mod upkeep;

pub use drain::{drain_and_remove, host_port, is_routed};
pub use error::{RolloutError, reason};
pub use log::{LogTarget, RolloutLog, now_ms};
use report::Reporter;

use crate::{claims::Claim, engine::Container, lease::Fence, plan::Target, shared::Shared};
use prepare::Prepared;
use std::{future::Future, time::Duration};
use tokio_util::sync::CancellationToken;
use waybill_client::api::{ReportServing, Revision, RolloutPhase};

/// What to bring up.
#[derive(Debug, Clone)]
pub struct Order {
    pub environment: String,
    pub model: String,
    pub version: i64,
    pub version_uid: String,
    pub generation: i64,
    /// Whose log it writes, and whose phases it reports when it is a rollout.
    pub rollout_id: String,
    /// What serves now: its container is never removed because something new failed.
    pub serving_revision: Option<String>,
    /// What the version ran when it served last: its digests are used again.
    pub served_as: Option<Revision>,
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A change that somebody asked for: every phase is reported.
    Rollout,
    /// The serving revision once more, because its container has gone. No phase is reported; where
    /// it could not be made again as it was, the revision that serves instead is.
    Restore,
}

/// Carries the order out and reports how it ended. An error means that the end could not be
/// reported, or that there is none to report.
pub async fn run(
    shared: &Shared,
    order: &Order,
    fence: &Fence,
    cancel: &CancellationToken,
) -> Result<(), RolloutError> {
    let log = RolloutLog::start(
        shared.client.clone(),
        fence.clone(),
        LogTarget {
            environment: order.environment.clone(),
            model: order.model.clone(),
            rollout_id: order.rollout_id.clone(),
        },
    );
    let reporter = Reporter { client: &shared.client, fence, order };
    let rollout = Rollout { shared, order, fence, log: &log, reporter: &reporter };
    let result = rollout.carry_out(cancel).await;
    if let Err(RolloutError::Failed { code, message }) = &result {
        // The lines below the first are in the log already.
        let first = message.lines().next().unwrap_or_default();
        log.event(&format!("{code}: {first}"));
    }
    log.finish().await;
    match result {
        Err(RolloutError::Failed { code, message }) => {
            tracing::warn!(
                environment = order.environment,
                model = order.model,
                version = order.version,
                code,
                "the rollout failed"
            );
            if order.kind == Kind::Restore {
                return Err(RolloutError::Failed { code, message });
            }
            reporter.failed(code, message).await
        }
        other => other,
    }
}

struct Rollout<'a> {
    shared: &'a Shared,
    order: &'a Order,
    fence: &'a Fence,
    log: &'a RolloutLog,
    reporter: &'a Reporter<'a>,
}

/// A container that answers.
struct Ready<'a> {
    container_id: String,
    /// Until the route protects it.
    claim: Claim<'a>,
    target: Target,
    revision: Revision,
    /// When the gateway was seen to send requests there; none before that.
    switched_at_ms: Option<i64>,
}

impl<'a> Rollout<'a> {
    async fn carry_out(&self, cancel: &CancellationToken) -> Result<(), RolloutError> {
        let seen = self.shared.routing.target(&self.order.environment, &self.order.model);
        let brought_up = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(RolloutError::Aborted),
            result = self.bring_up() => result,
        };
        let switched = match brought_up {
            Ok(ready) => self.switch(ready, seen.as_ref()).await,
            Err(error) => Err(error),
        };
        match switched {
            // Nothing new serves: what is left over is the plan's to remove.
            Ok(ready) if self.order.kind == Kind::Restore => self.tell_restored(&ready).await,
            Ok(ready) => self.finish(ready, cancel).await,
            Err(error) => {
                self.clean_up().await;
                Err(error)
            }
        }
    }

    async fn bring_up(&self) -> Result<Ready<'a>, RolloutError> {
        let Prepared { runtime, revision, model_folder } = prepare::prepare(self).await?;
        if let (Kind::Restore, Some(serving)) = (self.order.kind, &self.order.serving_revision)
            && revision.revision_id != *serving
        {
            let new = &revision.revision_id;
            self.log.event(&format!("{serving} cannot be made again as it was: {new} takes its place"));
        }
        self.reporter.phase(RolloutPhase::Starting, None).await?;
        let mut spec = revision::container(self.shared, self.order, &revision, runtime, &model_folder);
        if self.shared.ports.is_some() {
            spec.publish = Some((0, runtime.port));
        }
        let deadlines = &self.shared.config.deadlines;
        self.log.event(&format!("starting container {}", spec.name));
        let (container, claim) =
            within("starting the container", deadlines.start, launch::launch(self.shared, &spec)).await?;
        self.shared.followers.ensure(
            &container.id,
            self.fence,
            LogTarget {
                environment: self.order.environment.clone(),
                model: self.order.model.clone(),
                rollout_id: self.order.rollout_id.clone(),
            },
        );

        self.reporter.phase(RolloutPhase::HealthCheck, None).await?;
        let started = std::time::Instant::now();
        let target = health::wait_until_ready(self.shared, &container.id, runtime, deadlines.health).await?;
        self.log.event(&format!(
            "{} answers {} after {:.1} s",
            target.upstream,
            runtime.ready_path,
            started.elapsed().as_secs_f64()
        ));
        Ok(Ready { container_id: container.id, claim, target, revision, switched_at_ms: None })
    }

    /// Puts the route on the new container; back on the old one when the gateway does not follow.
    async fn switch(&self, mut ready: Ready<'a>, seen: Option<&Target>) -> Result<Ready<'a>, RolloutError> {
        let (routing, order) = (&self.shared.routing, self.order);
        let phase = RolloutPhase::Switching;
        self.reporter.phase(phase, Some(&ready.revision)).await?;
        // It has no phase to report: nobody else would tell it that the environment is not ours.
        self.fence.current().ok_or(RolloutError::Aborted)?;
        let before = routing.target(&order.environment, &order.model);
        let switched = routing.set_if(&order.environment, &order.model, Some(&ready.target), |present| {
            order.kind == Kind::Rollout || present.is_none() || present == seen
        })?;
        let generation = switched.ok_or(RolloutError::Aborted)?;
        let wait = self.shared.config.deadlines.switch;
        if let Err(error) = routing.confirm(generation, wait).await {
            self.switch_back(&ready.target, before.as_ref()).await?;
            return Err(error.into());
        }
        ready.switched_at_ms = Some(now_ms());
        self.log
            .event(&format!("version {} serves at /{}/{}", order.version, order.environment, order.model));
        Ok(ready)
    }

    /// The gateway may have followed without saying so: its requests to the new container end
    /// before that is removed.
    async fn switch_back(&self, from: &Target, to: Option<&Target>) -> Result<(), RolloutError> {
        // An attempt before had switched already.
        if to == Some(from) {
            return Ok(());
        }
        let (routing, order) = (&self.shared.routing, self.order);
        let deadlines = &self.shared.config.deadlines;
        let back = routing.set_if(&order.environment, &order.model, to, |present| present == Some(from))?;
        if let Some(generation) = back
            && let Err(error) = routing.confirm(generation, deadlines.switch).await
        {
            self.log.event(&format!("the way back is not confirmed either: {error}"));
        }
        if let Err(doubt) = routing.drained(from, deadlines.drain).await {
            self.log.event(&format!("stopping the new container all the same: {doubt}"));
        }
        Ok(())
    }

    /// The record must name what runs; the plan restores again until it does.
    async fn tell_restored(&self, ready: &Ready<'a>) -> Result<(), RolloutError> {
        if self.order.serving_revision.as_ref() == Some(&ready.revision.revision_id) {
            return Ok(());
        }
        let report = ReportServing {
            fence: self.fence.current().ok_or(RolloutError::Aborted)?,
            version_uid: self.order.version_uid.clone(),
            revision_id: ready.revision.revision_id.clone(),
            revision: Some(ready.revision.clone()),
            ready: true,
            at_ms: ready.switched_at_ms.unwrap_or_else(now_ms),
            message: None,
        };
        let (environment, model) = (&self.order.environment, &self.order.model);
        Ok(self.shared.client.report_serving(environment, model, &report).await?)
    }

    /// From here on the new revision serves, and the record says so even when something newer has
    /// taken its place meanwhile: an abort only leaves the old container to whoever comes next.
    async fn finish(&self, ready: Ready<'a>, cancel: &CancellationToken) -> Result<(), RolloutError> {
        let drained = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(RolloutError::Aborted),
            result = self.drain(&ready) => result,
        };
        self.reporter.switched(RolloutPhase::Succeeded, &ready.revision, ready.switched_at_ms).await?;
        drop(ready.claim);
        let removed = match drained {
            Ok(old) => self.remove(old).await,
            Err(error) => Err(error),
        };
        if let Err(error) = removed {
            // The plan removes it as a left-over, or the next rollout takes it over.
            self.log.event(&format!("the container before stays for now: {error}"));
        }
        Ok(())
    }

    /// Waits for the last requests of every other container of the model.
    async fn drain(&self, ready: &Ready<'a>) -> Result<Vec<Container>, RolloutError> {
        self.reporter.switched(RolloutPhase::Draining, &ready.revision, ready.switched_at_ms).await?;
        let old = drain::others(self.shared, self.order, &ready.container_id).await?;
        for container in &old {
            drain::drain(self.shared, container, Some(self.log)).await;
        }
        Ok(old)
    }

    async fn remove(&self, containers: Vec<Container>) -> Result<(), RolloutError> {
        for container in containers {
            drain::remove_container(self.shared, &container).await?;
        }
        Ok(())
    }

    /// Removes what this rollout started, and nothing that serves.
    async fn clean_up(&self) {
        if let Err(error) = drain::remove_attempt(self.shared, self.order).await {
            // The plan removes it as a left-over later.
            tracing::warn!(%error, model = self.order.model, "a failed container stays for now");
        }
    }
}

/// A step with a deadline of its own.
async fn within<T>(
    step: &str,
    deadline: Duration,
    work: impl Future<Output = Result<T, RolloutError>>,
) -> Result<T, RolloutError> {
    tokio::time::timeout(deadline, work).await.unwrap_or_else(|_| {
        Err(RolloutError::failed(
            reason::DEADLINE_EXCEEDED,
            format!("{step} took longer than {} s", deadline.as_secs()),
        ))
    })
}
