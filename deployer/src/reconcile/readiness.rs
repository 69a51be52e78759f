//! Telling the registry whether what serves answers. Decided from what is there, not from what was
//! done, so that a report that was lost, or an end that nobody saw, is made up for at the next look.

use super::Reconciler;
use crate::{
    engine::{Container, ContainerState},
    labels,
    plan::{Observed, RouteState},
    rollout::now_ms,
};
use waybill_client::api::{Deployment, DesiredState, ReportServing, ServingRevision};

/// What is to be said of one deployment.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    ready: bool,
    at_ms: i64,
    message: Option<String>,
}

/// Reports every deployment whose record says something else than what is there.
pub(super) async fn report(
    reconciler: &Reconciler,
    desired: &DesiredState,
    observed: &Observed,
    containers: &[Container],
) {
    for deployment in &desired.deployments {
        let Some(serving) = on_duty(deployment) else { continue };
        let Some(ready) = is_ready(deployment, serving, observed) else { continue };
        let trouble = reconciler.jobs.trouble(&deployment.model);
        let seen = if ready {
            reconciler.jobs.forget_trouble(&deployment.model);
            Seen { ready, at_ms: now_ms(), message: None }
        } else {
            down(serving, &deployment.model, containers, trouble)
        };
        send(reconciler, deployment, serving, seen).await;
    }
}

/// As [`report`] while the engine does not answer: of what is known to be down by the routes alone.
pub(super) async fn report_held(reconciler: &Reconciler, desired: &DesiredState, trouble: &str) {
    let routes = reconciler.shared.routing.of(&reconciler.environment);
    for deployment in &desired.deployments {
        let held = routes.get(&deployment.model).is_none_or(|route| *route == RouteState::Held);
        if let Some(serving) = on_duty(deployment)
            && held
        {
            let seen = Seen { ready: false, at_ms: now_ms(), message: Some(trouble.to_owned()) };
            send(reconciler, deployment, serving, seen).await;
        }
    }
}

/// What is on record as serving, unless it is about to be stopped for good.
fn on_duty(deployment: &Deployment) -> Option<&ServingRevision> {
    deployment.desired.as_ref().and(deployment.serving.as_ref())
}

/// None while another revision has the route: then the record is about to change.
fn is_ready(deployment: &Deployment, serving: &ServingRevision, observed: &Observed) -> Option<bool> {
    match observed.routes.get(&deployment.model) {
        Some(RouteState::To(target)) if target.revision_id != serving.revision_id => None,
        Some(RouteState::To(target)) => Some(observed.containers.iter().any(|c| c.answers_at(target))),
        Some(RouteState::Held) | None => Some(false),
    }
}

fn down(serving: &ServingRevision, model: &str, containers: &[Container], trouble: Option<String>) -> Seen {
    let label = |container: &Container, name| container.labels.get(name).cloned();
    let mut mine = containers.iter().filter(|container| {
        label(container, labels::MODEL).as_deref() == Some(model)
            && label(container, labels::REVISION).as_ref() == Some(&serving.revision_id)
    });
    let (what, since_ms) = match mine.next_back().map(|container| &container.state) {
        Some(ContainerState::Exited(exit)) => (format!("the container {exit}"), exit.at_ms),
        Some(ContainerState::Created) => ("the container has not started".to_owned(), None),
        // It is checked before it gets requests: why that is needed is on record already.
        Some(ContainerState::Running { .. }) => {
            let known = serving.outage.as_ref().and_then(|outage| outage.reason.clone());
            let message = known.unwrap_or_else(|| "the container has not answered yet".to_owned());
            return Seen { ready: false, at_ms: now_ms(), message: Some(message) };
        }
        None => ("the container is gone".to_owned(), None),
    };
    let message = match trouble {
        Some(trouble) => format!("{what}; bringing it back failed: {trouble}"),
        None => what,
    };
    Seen { ready: false, at_ms: since_ms.unwrap_or_else(now_ms), message: Some(message) }
}

async fn send(reconciler: &Reconciler, deployment: &Deployment, serving: &ServingRevision, seen: Seen) {
    if is_on_record(serving, &seen) {
        return;
    }
    let Some(fence) = reconciler.fence.current() else {
        return;
    };
    let report = ReportServing {
        fence,
        version_uid: serving.version_uid.clone(),
        revision_id: serving.revision_id.clone(),
        revision: None,
        ready: seen.ready,
        at_ms: seen.at_ms,
        message: seen.message,
    };
    let (environment, model) = (&reconciler.environment, &deployment.model);
    if let Err(error) = reconciler.shared.client.report_serving(environment, model, &report).await {
        tracing::warn!(%error, environment, model, "readiness could not be reported");
    }
}

fn is_on_record(serving: &ServingRevision, seen: &Seen) -> bool {
    match &serving.outage {
        None => seen.ready,
        Some(outage) => !seen.ready && outage.reason == seen.message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Exit;
    use std::collections::BTreeMap;
    use waybill_client::api::Outage;

    fn serving(outage: Option<&str>) -> ServingRevision {
        ServingRevision {
            revision_id: "rev_1".into(),
            version: 1,
            version_uid: "uid_1".into(),
            since_ms: 1,
            revision: None,
            outage: outage.map(|reason| Outage { from_ms: 2, to_ms: None, reason: Some(reason.to_owned()) }),
        }
    }

    fn container(state: ContainerState) -> Container {
        Container {
            id: "c".into(),
            name: "wb".into(),
            image_id: "sha256:0".into(),
            labels: BTreeMap::from([
                (labels::MODEL.to_owned(), "iris".to_owned()),
                (labels::REVISION.to_owned(), "rev_1".to_owned()),
            ]),
            published: None,
            state,
        }
    }

    #[test]
    fn an_outage_began_when_the_container_ended_and_not_when_it_was_noticed() {
        let exit = Exit { code: 137, out_of_memory: false, at_ms: Some(42) };
        let seen = down(&serving(None), "iris", &[container(ContainerState::Exited(exit))], None);
        assert_eq!((seen.ready, seen.at_ms), (false, 42));
        assert_eq!(seen.message.as_deref(), Some("the container exited with code 137"));
        let running = ContainerState::Running { address: None, host_port: None };
        let starts = down(&serving(Some("it exited")), "iris", &[container(running)], None);
        assert_eq!(starts.message.as_deref(), Some("it exited"), "the cause stays");
        let gone = down(&serving(None), "iris", &[], Some("no image".into())).message.unwrap();
        assert_eq!(gone, "the container is gone; bringing it back failed: no image");
    }

    #[test]
    fn the_same_is_said_once() {
        let ready = Seen { ready: true, at_ms: 9, message: None };
        let held = |text: &str| Seen { ready: false, at_ms: 9, message: Some(text.to_owned()) };
        assert!(is_on_record(&serving(None), &ready));
        assert!(!is_on_record(&serving(None), &held("gone")));
        assert!(is_on_record(&serving(Some("gone")), &held("gone")));
        assert!(!is_on_record(&serving(Some("gone")), &held("gone; no image")), "a new reason is told");
        assert!(!is_on_record(&serving(Some("gone")), &ready));
    }
}
