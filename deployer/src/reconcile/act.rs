//! Carrying out what the plan says.

use super::Reconciler;
use crate::{
    engine::Container,
    plan::{Action, Upkeep},
    rollout::{self, Kind, Order, RolloutError, upkeep},
    shared::Shared,
};
use waybill_client::api::DesiredState;

pub(super) fn act(reconciler: &Reconciler, desired: &DesiredState, containers: &[Container], action: Action) {
    let environment = reconciler.environment.as_str();
    tracing::info!(environment, ?action, "acting");
    let find = |name: &str| containers.iter().find(|c| c.name == name).cloned();
    let (jobs, shared) = (&reconciler.jobs, &reconciler.shared);
    match action {
        Action::RunRollout { .. } | Action::Restore { .. } => run(reconciler, desired, action),
        Action::Abort { model } => jobs.abort(&model),
        Action::EndRestore { model } => jobs.end_upkeep(&model),
        Action::Adopt { model, container } => {
            let Some(container) = find(&container) else {
                return;
            };
            let name = model.clone();
            jobs.keep_up(&model, Upkeep::Adopting, false, |shared, environment, _| async move {
                upkeep::adopt(&shared, &environment, &name, &container).await
            });
        }
        Action::Restart { model, container } => {
            let Some(container) = find(&container) else {
                return;
            };
            let (name, fence) = (model.clone(), reconciler.fence.clone());
            jobs.keep_up(&model, Upkeep::Restarting, true, |shared, environment, _| async move {
                upkeep::restart(&shared, &environment, &name, &container, &fence).await
            });
        }
        Action::Stop { model, generation, was_serving } => {
            let (name, fence) = (model.clone(), reconciler.fence.clone());
            jobs.keep_up(&model, Upkeep::Stopping, false, |shared, environment, _| async move {
                upkeep::stop(&shared, &environment, &name, generation, was_serving, &fence).await
            });
        }
        Action::Hold { model } => {
            log_route(shared.routing.set(environment, &model, None).map(|_| ()));
        }
        Action::DropRoute { model } => {
            log_route(shared.routing.remove(environment, &model).map(|_| ()));
        }
        Action::Remove { container } => {
            let name = container.clone();
            jobs.remove(&container, |shared| async move { remove(&shared, &name).await });
        }
    }
}

fn log_route(result: Result<(), crate::routing::RoutingError>) {
    if let Err(error) = result {
        tracing::error!(%error, "the route file was not written");
    }
}

fn run(reconciler: &Reconciler, desired: &DesiredState, action: Action) {
    let environment = reconciler.environment.clone();
    let find = |name: &str| desired.deployments.iter().find(|deployment| deployment.model == name);
    match action {
        Action::RunRollout { model, rollout_id, version, version_uid, generation, serving_revision } => {
            let served_as = find(&model).and_then(|d| d.desired.as_ref()?.served_as.clone());
            let order = Order {
                environment,
                model,
                version,
                version_uid,
                generation,
                rollout_id,
                serving_revision,
                served_as,
                kind: Kind::Rollout,
            };
            reconciler.jobs.roll_out(order, reconciler.fence.clone());
        }
        Action::Restore { model, version, version_uid, rollout_id, revision_id, generation } => {
            let name = model.clone();
            let served_as = find(&model).and_then(|d| match &d.serving {
                Some(serving) => serving.revision.clone(),
                None => d.desired.as_ref()?.served_as.clone(),
            });
            let order = Order {
                environment,
                model,
                version,
                version_uid,
                generation,
                rollout_id,
                serving_revision: revision_id,
                served_as,
                kind: Kind::Restore,
            };
            let fence = reconciler.fence.clone();
            let jobs = &reconciler.jobs;
            jobs.keep_up(&name, Upkeep::Restoring, true, |shared, _, cancel| async move {
                rollout::run(&shared, &order, &fence, &cancel).await
            });
        }
        _ => {}
    }
}

/// It may have become needed since it was seen: then nothing waits for its requests to end.
async fn remove(shared: &Shared, name: &str) -> Result<(), RolloutError> {
    let Some(container) = shared.engine.container(name).await? else {
        return Ok(());
    };
    if rollout::is_routed(shared, &container) {
        return Ok(());
    }
    rollout::drain_and_remove(shared, &container).await
}
