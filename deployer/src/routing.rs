//! The deployer's side of the route file: it alone writes it, and it asks the gateway what
//! became of it.

use crate::{
    gateway::routes::{Backend, GatewayStatus, Route, RouteFileError, RouteTable, boot_id},
    http::{GetError, Http},
    plan::{RouteState, Target},
};
use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::Instant;

const POLL: Duration = Duration::from_millis(20);
const STATUS_TIMEOUT: Duration = Duration::from_secs(5);
/// By then the gateway has read a file that was just written.
const REREAD: Duration = Duration::from_secs(1);

/// Why a route is not in force.
#[derive(Debug, thiserror::Error)]
pub enum RoutingError {
    #[error(transparent)]
    File(#[from] RouteFileError),
    #[error("the gateway refused the route file: {reason}")]
    Rejected { reason: String },
    #[error(
        "the gateway at {url} does not serve the new route after {waited_ms} ms: {last}. Is it \
         running? `waybill gateway` starts one"
    )]
    NotConfirmed { url: String, waited_ms: u128, last: String },
}

/// The route table of every environment.
pub struct Routing {
    path: PathBuf,
    status_url: Option<String>,
    max_concurrent: u32,
    http: Http,
    table: Mutex<RouteTable>,
}

impl Routing {
    /// Goes on with the table that is there. A damaged file is replaced: the plan puts every route
    /// in again.
    pub fn load(path: PathBuf, status_url: Option<String>, max_concurrent: u32, http: Http) -> Self {
        let table = match RouteTable::read(&path) {
            Ok(table) => table,
            Err(RouteFileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                RouteTable::default()
            }
            Err(error) => {
                tracing::warn!(%error, "the route file is written anew");
                RouteTable::default()
            }
        };
        Self { path, status_url, max_concurrent, http, table: Mutex::new(table) }
    }

    /// Routes of one environment, by model.
    pub fn of(&self, environment: &str) -> BTreeMap<String, RouteState> {
        let table = self.table();
        let mine = table.routes.iter().filter(|r| r.environment == environment);
        mine.map(|r| (r.model.clone(), state(r))).collect()
    }

    /// Where a model's requests go.
    pub fn target(&self, environment: &str, model: &str) -> Option<Target> {
        match find(&self.table(), environment, model).map(state) {
            Some(RouteState::To(target)) => Some(target),
            _ => None,
        }
    }

    /// Routes a model, or holds it with `None`; gives the table's generation back.
    pub fn set(&self, environment: &str, model: &str, target: Option<&Target>) -> Result<u64, RoutingError> {
        self.set_if(environment, model, target, |_| true).map(|generation| generation.unwrap_or_default())
    }

    /// As [`Self::set`] where `condition` holds for the present target; `None` where it does not.
    pub fn set_if(
        &self,
        environment: &str,
        model: &str,
        target: Option<&Target>,
        condition: impl FnOnce(Option<&Target>) -> bool,
    ) -> Result<Option<u64>, RoutingError> {
        let mut table = self.table();
        let present = find(&table, environment, model).map(state);
        let holds = condition(match &present {
            Some(RouteState::To(target)) => Some(target),
            _ => None,
        });
        if !holds {
            return Ok(None);
        }
        let wanted = target.cloned().map_or(RouteState::Held, RouteState::To);
        if present.as_ref() == Some(&wanted) {
            return Ok(Some(table.generation));
        }
        let backends = target.map(|target| Backend {
            revision_id: target.revision_id.clone(),
            upstream: target.upstream.clone(),
            weight: 100,
            max_concurrent: self.max_concurrent,
            tells_revision: target.tells_revision,
        });
        let mut next = without(&table, environment, model);
        next.routes.push(Route {
            environment: environment.to_owned(),
            model: model.to_owned(),
            backends: backends.into_iter().collect(),
        });
        self.write(&mut table, next).map(Some)
    }

    /// Forgets a model.
    pub fn remove(&self, environment: &str, model: &str) -> Result<u64, RoutingError> {
        let mut table = self.table();
        if find(&table, environment, model).is_none() {
            return Ok(table.generation);
        }
        let next = without(&table, environment, model);
        self.write(&mut table, next)
    }

    fn write(
        &self,
        table: &mut MutexGuard<'_, RouteTable>,
        mut next: RouteTable,
    ) -> Result<u64, RoutingError> {
        // From the clock, so that it goes up even after the file was lost: the gateway may still
        // serve a higher number of the table before.
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        next.generation = now_ms.max(table.generation + 1);
        next.routes.sort_by(|a, b| (&a.environment, &a.model).cmp(&(&b.environment, &b.model)));
        next.write_atomic(&self.path)?;
        **table = next;
        Ok(table.generation)
    }

    /// Waits until the gateway serves the table of this generation or a later one.
    pub async fn confirm(&self, generation: u64, wait: Duration) -> Result<(), RoutingError> {
        let Some(url) = &self.status_url else {
            return Ok(());
        };
        let started = Instant::now();
        loop {
            let mut rejected = None;
            let last = match self.status(url).await {
                Ok(status) if status.generation >= generation => return Ok(()),
                Ok(status) => {
                    rejected = status.rejected_file;
                    format!("it serves table {}", status.generation)
                }
                Err(error) => error.to_string(),
            };
            // Not at once: what it refused may be the file before, which it has read last.
            if let Some(reason) = rejected.filter(|_| started.elapsed() >= REREAD.min(wait)) {
                return Err(RoutingError::Rejected { reason });
            }
            if started.elapsed() >= wait {
                return Err(RoutingError::NotConfirmed {
                    url: url.clone(),
                    waited_ms: wait.as_millis(),
                    last,
                });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until no request is under way to a container that has lost its route, `wait` at the
    /// most; says what kept it from being sure. Without a gateway to ask it waits the whole time.
    pub async fn drained(&self, target: &Target, wait: Duration) -> Result<(), String> {
        let Some(url) = &self.status_url else {
            tokio::time::sleep(wait).await;
            return Ok(());
        };
        let started = Instant::now();
        let generation = self.table().generation;
        loop {
            let doubt = match self.status(url).await {
                // By the table before, a request may go there the moment after.
                Ok(status) if status.generation < generation => {
                    format!("the gateway still serves table {}", status.generation)
                }
                Ok(status) => match in_flight(&status, target) {
                    0 => return Ok(()),
                    left => format!("{left} requests did not end"),
                },
                // Nobody listens, so nobody is served through this table.
                Err(GetError::Refused(_)) => return Ok(()),
                // A busy gateway may be late with its status and still serve from the container.
                Err(error) => format!("the gateway at {url} did not tell its requests: {error}"),
            };
            if started.elapsed() >= wait {
                return Err(doubt);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn status(&self, url: &str) -> Result<GatewayStatus, GetError> {
        let answer = self.http.get(url, STATUS_TIMEOUT).await?;
        if answer.status != 200 {
            return Err(GetError::Other(format!("it answered {}", answer.status)));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|error| GetError::Other(format!("its status is not readable: {error}")))
    }

    fn table(&self) -> MutexGuard<'_, RouteTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn in_flight(status: &GatewayStatus, target: &Target) -> u64 {
    let mine = status
        .backends
        .iter()
        .filter(|b| b.revision_id == target.revision_id && b.upstream == target.upstream);
    mine.map(|b| b.in_flight).sum()
}

fn find<'a>(table: &'a RouteTable, environment: &str, model: &str) -> Option<&'a Route> {
    table.routes.iter().find(|r| r.environment == environment && r.model == model)
}

fn without(table: &RouteTable, environment: &str, model: &str) -> RouteTable {
    let others = table.routes.iter().filter(|r| !(r.environment == environment && r.model == model));
    RouteTable { generation: table.generation, boot_id: boot_id(), routes: others.cloned().collect() }
}

fn state(route: &Route) -> RouteState {
    match route.backends.first() {
        None => RouteState::Held,
        Some(backend) => RouteState::To(Target {
            revision_id: backend.revision_id.clone(),
            upstream: backend.upstream.clone(),
            tells_revision: backend.tells_revision,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routing(folder: &tempfile::TempDir) -> Routing {
        let path = folder.path().join("routes.json");
        Routing::load(path, None, 8, Http::new())
    }

    fn target(revision: &str) -> Target {
        let upstream = "http://172.17.0.2:8080".to_owned();
        Target { revision_id: revision.to_owned(), upstream, tells_revision: true }
    }

    #[test]
    fn the_table_survives_a_restart_and_its_generation_goes_up() {
        let folder = tempfile::tempdir().unwrap();
        let first = routing(&folder);
        let a = first.set("staging", "iris", Some(&target("r1"))).unwrap();
        let b = first.set("production", "iris", None).unwrap();
        assert!(b > a);
        let second = routing(&folder);
        assert_eq!(second.target("staging", "iris"), Some(target("r1")));
        assert_eq!(second.of("production")["iris"], RouteState::Held);
        assert!(second.remove("staging", "iris").unwrap() > b);
        assert_eq!(routing(&folder).target("staging", "iris"), None);
    }

    #[test]
    fn a_lost_or_damaged_file_does_not_turn_the_generation_back() {
        let folder = tempfile::tempdir().unwrap();
        let before = routing(&folder).set("staging", "iris", None).unwrap();
        std::fs::write(folder.path().join("routes.json"), b"{").unwrap();
        let after = routing(&folder).set("staging", "iris", None).unwrap();
        assert!(after >= before, "{after} < {before}");
    }

    #[test]
    fn a_conditional_change_leaves_another_revision_alone() {
        let folder = tempfile::tempdir().unwrap();
        let routing = routing(&folder);
        routing.set("staging", "iris", Some(&target("r2"))).unwrap();
        let changed = routing
            .set_if("staging", "iris", Some(&target("r1")), |present| {
                present.is_none_or(|t| t.revision_id == "r1")
            })
            .unwrap();
        assert_eq!(changed, None);
        assert_eq!(routing.target("staging", "iris"), Some(target("r2")));
    }

    #[tokio::test]
    async fn a_gateway_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut routing = routing(&folder);
        routing.status_url = Some("http://127.0.0.1:1/.waybill/status".to_owned());
        let error = routing.confirm(1, Duration::ZERO).await.unwrap_err();
        assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    }

    /// A gateway whose status is always the same.
    async fn gateway(status: &GatewayStatus) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/.waybill/status", listener.local_addr().unwrap());
        let body = serde_json::to_string(status).unwrap();
        let answer =
            format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        url
    }

    #[tokio::test]
    async fn a_gateway_that_serves_the_table_before_has_drained_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut routing = routing(&folder);
        let generation = routing.set("staging", "iris", Some(&target("r2"))).unwrap();
        for (serves, drained) in [(generation - 1, false), (generation, true)] {
            let status = GatewayStatus { generation: serves, ..GatewayStatus::default() };
            routing.status_url = Some(gateway(&status).await);
            let result = routing.drained(&target("r1"), Duration::ZERO).await;
            assert_eq!(result.is_ok(), drained, "{result:?}");
        }
    }
}
