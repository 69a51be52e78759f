//! Routes that outlived what they lead to. After a restart of the machine or its engine, another
//! container may have the address that a route names.

use crate::{
    engine::{DockerEngine, Engine, EngineError},
    gateway::routes::{RouteFileError, RouteTable},
    labels, rollout,
};
use futures::future::join_all;
use std::{collections::BTreeSet, fs, io, path::Path, time::Duration};
use tokio::{net::TcpStream, time::timeout};

/// The engine is next door: it answers in milliseconds, or does not run.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// A container's address is next door as well.
const CONNECT_WAIT: Duration = Duration::from_secs(1);

/// Revision and address of a container.
type Place = (String, String);

/// Holds every route of a deployer's folder whose container is not known to run where the route
/// leads. Where the engine does not tell, containers may well go on serving: a route is kept if
/// something answers there whose every answer has to name the route's revision. Call it before a
/// gateway serves the route file; the deployer puts the route back as soon as the container
/// answers. Returns how many were held.
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
    let places = match timeout(ANSWER_WAIT, running(&engine, instance.trim())).await {
        Ok(Ok(running)) => running,
        Ok(Err(error)) => answering(&table, &error).await,
        Err(_) => answering(&table, &"it did not answer in time").await,
    };
    let held = hold(&mut table, &places);
    if held > 0 {
        tracing::warn!(held, "routes wait until their containers are seen to answer");
        table.generation += 1;
        table.write_atomic(routes_path)?;
    }
    Ok(held)
}

/// Where something answers, of which the gateway will see whether it is the route's revision.
async fn answering(table: &RouteTable, error: &(dyn std::fmt::Display + Sync)) -> BTreeSet<Place> {
    tracing::warn!(%error, "the engine does not tell which containers run; routes that are answered stay");
    let backends = table.routes.iter().flat_map(|route| &route.backends).filter(|b| b.tells_revision);
    let places = backends.map(|backend| async {
        let answers = accepts_connections(&backend.upstream).await;
        answers.then(|| (backend.revision_id.clone(), backend.upstream.clone()))
    });
    join_all(places).await.into_iter().flatten().collect()
}

/// Whether something listens at `http://HOST:PORT`.
pub(crate) async fn accepts_connections(upstream: &str) -> bool {
    let address = upstream.trim_start_matches("http://");
    matches!(timeout(CONNECT_WAIT, TcpStream::connect(address)).await, Ok(Ok(_)))
}

/// Each running container of ours.
async fn running(engine: &dyn Engine, instance: &str) -> Result<BTreeSet<Place>, EngineError> {
    let containers = engine.containers(&labels::of(instance, labels::SERVE)).await?;
    let targets = containers.iter().filter_map(rollout::upkeep::target_of);
    Ok(targets.map(|target| (target.revision_id, target.upstream)).collect())
}

fn hold(table: &mut RouteTable, places: &BTreeSet<Place>) -> usize {
    let mut held = 0;
    for route in &mut table.routes {
        let before = route.backends.len();
        route.backends.retain(|b| places.contains(&(b.revision_id.clone(), b.upstream.clone())));
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
    async fn while_the_engine_is_away_what_answers_by_its_name_keeps_its_route() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("routes.json");
        let nowhere = Some("unix:///nonexistent/docker.sock");
        let check = || hold_unverified_routes(folder.path(), &path, nowhere);
        assert_eq!(check().await.unwrap(), 0);

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listening = format!("http://{}", listener.local_addr().unwrap());
        let mut table = table();
        for (route, (upstream, tells_revision)) in
            table.routes.iter_mut().zip([(&listening, true), (&listening, false)])
        {
            route.backends[0].upstream.clone_from(upstream);
            route.backends[0].tells_revision = tells_revision;
        }
        table.write_atomic(&path).unwrap();
        assert_eq!(check().await.unwrap(), 1);
        let left = || {
            let now = RouteTable::read(&path).unwrap();
            assert!(now.generation > 7);
            now.routes.iter().map(|route| route.backends.len()).collect::<Vec<_>>()
        };
        assert_eq!(left(), [1, 0], "nobody would notice that another container answers there");
        drop(listener);
        assert_eq!(check().await.unwrap(), 1);
        assert_eq!(left(), [0, 0]);
        assert_eq!(check().await.unwrap(), 0);
    }
}
