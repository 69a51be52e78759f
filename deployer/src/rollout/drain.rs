//! Letting go of containers.

use super::{Order, RolloutError, log::RolloutLog, upkeep};
use crate::{
    engine::{Container, ContainerState},
    labels,
    plan::RouteState,
    shared::Shared,
};
use std::{collections::BTreeMap, time::Duration};

/// How long a container's last output may take on its way to the log.
const LOG_WAIT: Duration = Duration::from_secs(2);

fn of_model(shared: &Shared, order: &Order) -> BTreeMap<String, String> {
    let mut wanted = labels::serving(&shared.instance, &order.environment);
    wanted.insert(labels::MODEL.to_owned(), order.model.clone());
    wanted
}

/// Every container of the model but the one that serves now.
pub(super) async fn others(
    shared: &Shared,
    order: &Order,
    serving_id: &str,
) -> Result<Vec<Container>, RolloutError> {
    let mut all = shared.engine.containers(&of_model(shared, order)).await?;
    all.retain(|container| container.id != serving_id);
    Ok(all)
}

/// Removes what a rollout that did not succeed has started. A container that has the route after
/// all stays for the plan, which routes to the serving one first.
pub(super) async fn remove_attempt(shared: &Shared, order: &Order) -> Result<(), RolloutError> {
    for container in shared.engine.containers(&of_model(shared, order)).await? {
        let label = |name| container.labels.get(name);
        let serves = label(labels::REVISION) == order.serving_revision.as_ref();
        let mine = label(labels::ROLLOUT) == Some(&order.rollout_id);
        if mine && !serves {
            remove_container(shared, &container).await?;
        }
    }
    Ok(())
}

/// Waits for the container's last request, then stops and removes it.
pub async fn drain_and_remove(shared: &Shared, container: &Container) -> Result<(), RolloutError> {
    drain(shared, container, None).await;
    remove_container(shared, container).await
}

/// Waits for the last request of a container that has lost its route.
pub(super) async fn drain(shared: &Shared, container: &Container, log: Option<&RolloutLog>) {
    let Some(target) = upkeep::target_of(container) else {
        return;
    };
    let wait = shared.config.deadlines.drain;
    let drained = shared.routing.drained(&target, wait).await;
    if let Some(log) = log {
        log.event(&match drained {
            Ok(()) => format!("drained {}", container.name),
            Err(doubt) => format!("stopping {} after {} s: {doubt}", container.name, wait.as_secs()),
        });
    }
}

/// Stops and removes a container once its output is in the log, unless it has become needed since
/// it was chosen: a rollback takes over what still drains.
pub(super) async fn remove_container(shared: &Shared, container: &Container) -> Result<(), RolloutError> {
    let Some(_removal) = shared.claims.for_removal(&container.id, || is_routed(shared, container)) else {
        tracing::info!(container = container.name, "stays: it is needed again");
        return Ok(());
    };
    let grace = shared.config.deadlines.stop;
    shared.engine.stop(&container.id, grace).await?;
    shared.followers.finish(&container.id, LOG_WAIT).await;
    shared.engine.remove(&container.id).await?;
    if let (Some(pool), Some(port)) = (&shared.ports, host_port(container)) {
        pool.release(port);
    }
    Ok(())
}

/// Whether requests go to the container.
pub fn is_routed(shared: &Shared, container: &Container) -> bool {
    let (Some(environment), Some(target)) =
        (container.labels.get(labels::ENVIRONMENT), upkeep::target_of(container))
    else {
        return false;
    };
    shared.routing.of(environment).into_values().any(|route| route == RouteState::To(target.clone()))
}

/// Port of the loopback address, of a container that has one or will have it when it starts.
pub fn host_port(container: &Container) -> Option<u16> {
    match container.state {
        ContainerState::Running { host_port: Some(port), .. } => Some(port),
        _ => container.published,
    }
}
