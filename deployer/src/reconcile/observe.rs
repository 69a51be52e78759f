//! Looking: containers by label, routes, what is under way.

use super::jobs::Jobs;
use crate::{
    engine::{Container, ContainerState, EngineError},
    labels,
    lease::Fence,
    plan::{Observed, ObservedContainer, State},
    rollout::{self, LogTarget, now_ms, upkeep},
    shared::Shared,
};
use std::time::Instant;

/// The environment as it is, and the containers behind it.
pub async fn observe(
    shared: &Shared,
    environment: &str,
    jobs: &Jobs,
) -> Result<(Observed, Vec<Container>), EngineError> {
    // Asked before the containers: a job that ends in between only costs one more turn.
    let (rollouts, upkeep) = jobs.under_way();
    let wanted = labels::serving(&shared.instance, environment);
    let asked = Instant::now();
    let containers = shared.engine.containers(&wanted).await?;
    if let Some(pool) = &shared.ports {
        let taken = containers.iter().filter_map(rollout::host_port).collect();
        pool.observe(environment, &taken, asked);
    }
    let observed = Observed {
        containers: containers.iter().filter_map(observed).collect(),
        routes: shared.routing.of(environment),
        rollouts,
        upkeep,
        not_before_ms: jobs.not_before_ms(),
        now_ms: now_ms(),
    };
    Ok((observed, containers))
}

fn observed(container: &Container) -> Option<ObservedContainer> {
    let label = |name| container.labels.get(name).cloned();
    let state = match &container.state {
        ContainerState::Running { .. } => match upkeep::target_of(container) {
            Some(target) => State::Running { upstream: target.upstream },
            // Running without an address, or by a runtime of a later version: not ours to judge.
            None => return None,
        },
        _ => State::Stopped,
    };
    Some(ObservedContainer {
        name: container.name.clone(),
        model: label(labels::MODEL)?,
        revision_id: label(labels::REVISION)?,
        version_uid: label(labels::VERSION_UID).unwrap_or_default(),
        rollout_id: label(labels::ROLLOUT).unwrap_or_default(),
        state,
    })
}

/// Passes on the output of every running container, also of those that were there before us.
pub fn follow(shared: &Shared, containers: &[Container], fence: &Fence) {
    for container in containers {
        if !matches!(container.state, ContainerState::Running { .. }) {
            continue;
        }
        let label = |name| container.labels.get(name).cloned().unwrap_or_default();
        let target = LogTarget {
            environment: label(labels::ENVIRONMENT),
            model: label(labels::MODEL),
            rollout_id: label(labels::ROLLOUT),
        };
        shared.followers.ensure(&container.id, fence, target);
    }
}
