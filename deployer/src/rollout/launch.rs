//! From a specification to a running container, whatever was left by the attempt before.

use super::{RolloutError, reason};
use crate::{
    claims::Claim,
    engine::{Container, ContainerSpec, ContainerState, EngineError},
    labels,
    plan::Target,
    runtime::Runtime,
    shared::Shared,
};
use std::time::{Duration, Instant};

/// Ports that are tried before giving up; each failure is a port that another program holds.
const PORT_ATTEMPTS: u32 = 20;
const NAME_ATTEMPTS: u32 = 10;
const NAME_WAIT: Duration = Duration::from_millis(300);

/// Starts the container, or takes the one of the same revision that runs already.
///
/// The container is claimed: whoever has it keeps the claim until the route leads there.
pub async fn launch<'a>(
    shared: &'a Shared,
    spec: &ContainerSpec,
) -> Result<(Container, Claim<'a>), RolloutError> {
    let revision = labels_of_revision(spec);
    for container in shared.engine.containers(&revision).await? {
        let same = container.labels.get(labels::SPEC_HASH) == spec.labels.get(labels::SPEC_HASH);
        if same
            && let Some(claim) = shared.claims.for_use(&container.id)
            && let Some(container) = still_runs(shared, container).await?
        {
            return Ok((container, claim));
        }
    }
    for _ in 0..PORT_ATTEMPTS {
        match attempt(shared, spec).await {
            Err(RolloutError::Failed { code: reason::NO_FREE_PORT, message }) if shared.ports.is_some() => {
                tracing::warn!(message, "trying the next port");
            }
            other => return other,
        }
    }
    Err(RolloutError::failed(
        reason::NO_FREE_PORT,
        format!("{PORT_ATTEMPTS} ports in a row are held by other programs"),
    ))
}

/// Looked at once more after the claim: a removal may have ended in between.
async fn still_runs(shared: &Shared, container: Container) -> Result<Option<Container>, RolloutError> {
    if !matches!(container.state, ContainerState::Running { .. }) {
        return Ok(None);
    }
    let now = shared.engine.container(&container.id).await?;
    Ok(now.filter(|container| matches!(container.state, ContainerState::Running { .. })))
}

async fn attempt<'a>(
    shared: &'a Shared,
    spec: &ContainerSpec,
) -> Result<(Container, Claim<'a>), RolloutError> {
    // Left by a crash between create and start, or exited: made anew, so that it has this
    // attempt's labels and a clean log.
    shared.engine.remove(&spec.name).await?;
    let mut spec = spec.clone();
    let environment = spec.labels.get(labels::ENVIRONMENT).cloned().unwrap_or_default();
    let lease = match &shared.ports {
        Some(pool) => Some(
            pool.lease(&environment, Instant::now())
                .map_err(|e| RolloutError::failed(reason::NO_FREE_PORT, e.to_string()))?,
        ),
        None => None,
    };
    if let (Some(lease), Some(published)) = (&lease, spec.publish.as_mut()) {
        published.0 = lease.port;
    }
    let id = create(shared, &spec).await?;
    let claim = shared.claims.for_use(&id).ok_or(RolloutError::Aborted)?;
    if let Err(error) = shared.engine.start(&id).await {
        // It would stay behind in `Created`, with its name taken.
        shared.engine.remove(&id).await?;
        if let (EngineError::PortTaken { .. }, Some(lease)) = (&error, lease) {
            lease.quarantine(Instant::now());
            return Err(RolloutError::failed(reason::NO_FREE_PORT, error.to_string()));
        }
        return Err(error.into());
    }
    if let Some(lease) = lease {
        lease.keep(Instant::now());
    }
    match shared.engine.container(&id).await? {
        Some(container) => Ok((container, claim)),
        None => Err(RolloutError::failed(
            reason::ENGINE_REFUSED,
            format!("container {} was removed as it started", spec.name),
        )),
    }
}

/// The engine may still be removing the container that had the name.
async fn create(shared: &Shared, spec: &ContainerSpec) -> Result<String, EngineError> {
    for _ in 0..NAME_ATTEMPTS {
        match shared.engine.create(spec).await {
            Err(EngineError::NameTaken { .. }) => tokio::time::sleep(NAME_WAIT).await,
            other => return other,
        }
    }
    shared.engine.create(spec).await
}

fn labels_of_revision(spec: &ContainerSpec) -> std::collections::BTreeMap<String, String> {
    [labels::INSTANCE, labels::PURPOSE, labels::REVISION]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), spec.labels.get(name)?.clone())))
        .collect()
}

/// Where a running container answers; `None` when it does not run.
pub fn target(container: &Container, runtime: &Runtime) -> Option<Target> {
    let ContainerState::Running { address, host_port } = &container.state else {
        return None;
    };
    let upstream = match (host_port, address) {
        (Some(port), _) => format!("http://127.0.0.1:{port}"),
        (None, Some(std::net::IpAddr::V4(ip))) => format!("http://{ip}:{}", runtime.port),
        (None, Some(std::net::IpAddr::V6(ip))) => format!("http://[{ip}]:{}", runtime.port),
        (None, None) => return None,
    };
    let revision_id = container.labels.get(labels::REVISION)?.clone();
    Some(Target {
        revision_id,
        upstream,
        tells_revision: container.labels.contains_key(labels::TELLS_REVISION),
    })
}
