//! Routes that outlived what they lead to. After a restart of the machine or its engine, another
//! container may have the address that a route names.

use crate::{
    engine::{DockerEngine, Engine, EngineError},
    gateway::routes::{RouteFileError, RouteTable},
    labels, rollout,
};
use std::{collections::BTreeSet, fs, io, path::Path, time::Duration};

/// The engine is next door: it answers in milliseconds, or does not run.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// Holds every route of a deployer's folder whose container is not known to run where the route
/// leads. Call it before a gateway serves the route file; the deployer puts the route back as soon
/// as the container answers. Returns how many were held.
pub async fn hold_unverified_routes(
    data_dir: &Path,
    routes_path: &Path,
    docker_host: Option<&str>,
) -> Result<usize, RouteFileError> {
    let mut table = match RouteTable::read(routes_path) {
        Ok(table) => table,
        Err(RouteFileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    if table.routes.iter().all(|route| route.backends.is_empty()) {
        return Ok(0);
    }
    let engine = DockerEngine::new(docker_host);
    let instance = fs::read_to_string(data_dir.join("instance")).unwrap_or_default();
    let answer = tokio::time::timeout(ANSWER_WAIT, running(&engine, instance.trim())).await;
    let running = match answer {
        Ok(Ok(running)) => running,
        Ok(Err(error)) => nothing_known(&error),
        Err(_) => nothing_known(&"it did not answer in time"),
    };
    let held = hold(&mut table, &running);
    if held > 0 {
        tracing::warn!(held, "routes wait until their containers are seen to answer");
        table.generation += 1;
        table.write_atomic(routes_path)?;
    }
    Ok(held)
}

fn nothing_known(error: &dyn std::fmt::Display) -> BTreeSet<(String, String)> {
    tracing::warn!(%error, "the engine does not tell which containers run");
    BTreeSet::new()
}

/// Revision and address of each running container of ours.
async fn running(engine: &dyn Engine, instance: &str) -> Result<BTreeSet<(String, String)>, EngineError> {
    let containers = engine.containers(&labels::of(instance, labels::SERVE)).await?;
    let targets = containers.iter().filter_map(rollout::upkeep::target_of);
    Ok(targets.map(|target| (target.revision_id, target.upstream)).collect())
}

fn hold(table: &mut RouteTable, running: &BTreeSet<(String, String)>) -> usize {
    let mut held = 0;
    for route in &mut table.routes {
        let before = route.backends.len();
        route.backends.retain(|b| running.contains(&(b.revision_id.clone(), b.upstream.clone())));
        held += usize::from(route.backends.len() < before);
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::{Backend, Route};

    fn table() -> RouteTable {
        let route = |model: &str, address: &str| Route {
            environment: "production".into(),
            model: model.into(),
            backends: vec![Backend {
                revision_id: format!("rev_{model}"),
                upstream: format!("http://{address}:8080"),
                weight: 100,
                max_concurrent: 8,
                tells_revision: true,
            }],
        };
        let routes = vec![route("iris", "172.17.0.2"), route("wine", "172.17.0.3")];
        RouteTable { generation: 7, routes, ..RouteTable::default() }
    }

    #[test]
    fn only_what_runs_where_the_route_leads_keeps_it() {
        let mut table = table();
        let iris_moved = ("rev_iris".to_owned(), "http://172.17.0.3:8080".to_owned());
        let wine = ("rev_wine".to_owned(), "http://172.17.0.3:8080".to_owned());
        assert_eq!(hold(&mut table, &BTreeSet::from([iris_moved, wine])), 1);
        let left: Vec<_> = table.routes.iter().map(|route| route.backends.len()).collect();
        assert_eq!(left, [0, 1], "a route is held, not forgotten");
    }

    #[tokio::test]
    async fn an_engine_that_is_away_vouches_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("routes.json");
        let nowhere = Some("unix:///nonexistent/docker.sock");
        assert_eq!(hold_unverified_routes(folder.path(), &path, nowhere).await.unwrap(), 0);
        table().write_atomic(&path).unwrap();
        assert_eq!(hold_unverified_routes(folder.path(), &path, nowhere).await.unwrap(), 2);
        let now = RouteTable::read(&path).unwrap();
        assert!(now.generation > 7 && now.routes.iter().all(|route| route.backends.is_empty()));
        assert_eq!(hold_unverified_routes(folder.path(), &path, nowhere).await.unwrap(), 0);
    }
}
