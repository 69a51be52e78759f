//! Keeping alive what serves.

use super::{LogTarget, RolloutError, RolloutLog, drain, drain_and_remove, health, launch, now_ms, reason};
use crate::{
    engine::{Container, ContainerState},
    labels,
    lease::Fence,
    runtime,
    shared::Shared,
};
use waybill_client::api::ReportStopped;

/// Routes to a container that runs, once it answers. The route stays when a rollout has moved it
/// meanwhile.
pub async fn adopt(
    shared: &Shared,
    environment: &str,
    model: &str,
    container: &Container,
) -> Result<(), RolloutError> {
    let runtime = runtime_of(container)?;
    let Some(_claim) = shared.claims.for_use(&container.id) else {
        return Err(in_removal(container));
    };
    let before = shared.routing.target(environment, model);
    let deadline = shared.config.deadlines.health;
    let target = health::wait_until_ready(shared, &container.id, runtime, deadline).await?;
    shared.routing.set_if(environment, model, Some(&target), |present| {
        present.is_none() || present == before.as_ref()
    })?;
    Ok(())
}

/// Starts a container that has ended and routes to it once it answers. One whose model files are
/// not as signed any more, or that does not start, is removed: the plan then makes it anew, with all checks.
pub async fn restart(
    shared: &Shared,
    environment: &str,
    model: &str,
    container: &Container,
    fence: &Fence,
) -> Result<(), RolloutError> {
    let rollout_id = container.labels.get(labels::ROLLOUT);
    let log = RolloutLog::start(
        shared.client.clone(),
        fence.clone(),
        LogTarget {
            environment: environment.to_owned(),
            model: model.to_owned(),
            rollout_id: rollout_id.cloned().unwrap_or_default(),
        },
    );
    if let ContainerState::Exited(exit) = &container.state {
        log.event(&format!("container {} {exit}: starting it again", container.name));
    }
    let mounted = container.labels.get(labels::MANIFEST).and_then(|digest| digest.parse().ok());
    let intact = match mounted {
        Some(digest) => shared.cache.intact(digest).await?,
        None => false,
    };
    if !intact {
        log.event("its model files are not as they were signed: a new container takes its place");
        log.finish().await;
        return drain::remove_container(shared, container).await;
    }
    let Some(claim) = shared.claims.for_use(&container.id) else {
        return Err(in_removal(container));
    };
    let started = shared.engine.start(&container.id).await;
    if let Err(error) = &started
        && !error.is_unavailable()
    {
        // Its port may be another program's now: it would not start at the next try either.
        log.event(&format!("it does not start ({error}): a new container takes its place"));
        log.finish().await;
        drop(claim);
        return drain::remove_container(shared, container).await;
    }
    log.finish().await;
    started?;
    adopt(shared, environment, model, container).await
}

/// The plan looks again once it has gone.
fn in_removal(container: &Container) -> RolloutError {
    RolloutError::failed(reason::ENGINE_REFUSED, format!("container {} is being removed", container.name))
}

/// Ends a deployment: no route, no containers, and the registry knows.
pub async fn stop(
    shared: &Shared,
    environment: &str,
    model: &str,
    generation: i64,
    was_serving: bool,
    fence: &Fence,
) -> Result<(), RolloutError> {
    let mut wanted = labels::serving(&shared.instance, environment);
    wanted.insert(labels::MODEL.to_owned(), model.to_owned());
    // Asked first: what comes up later belongs to a newer change. Not told by generation, because
    // a registry that was restored from a backup counts from an earlier one again.
    let here = shared.engine.containers(&wanted).await?;
    let table = shared.routing.remove(environment, model)?;
    let wait = shared.config.deadlines.switch;
    shared.routing.confirm(table, wait).await?;
    let ended_at_ms = now_ms();
    for container in &here {
        drain_and_remove(shared, container).await?;
    }
    let serves = shared.routing.target(environment, model).is_some()
        || !shared.engine.containers(&wanted).await?.is_empty();
    if was_serving && !serves {
        let report = ReportStopped {
            fence: fence.current().ok_or(RolloutError::Aborted)?,
            generation,
            message: "nothing is desired here any more".to_owned(),
            at_ms: Some(ended_at_ms),
        };
        let client = &shared.client;
        client.report_stopped(environment, model, &report).await?;
    }
    Ok(())
}

fn runtime_of(container: &Container) -> Result<&'static runtime::Runtime, RolloutError> {
    let name = container.labels.get(labels::RUNTIME);
    runtime::RUNTIMES.iter().find(|runtime| name.is_some_and(|name| name == runtime.name)).ok_or_else(|| {
        RolloutError::failed(
            reason::RUNTIME_UNSUPPORTED,
            format!("container {} has runtime {name:?}, which this version does not know", container.name),
        )
    })
}

/// Where a container answers, by its own runtime.
pub fn target_of(container: &Container) -> Option<crate::plan::Target> {
    launch::target(container, runtime_of(container).ok()?)
}
