//! The deployer's reverse proxy: a stable address per deployment, weights per revision.
//!
//! `http://GATEWAY/{environment}/{model}/…` goes to a container of the route file with the prefix
//! taken off; `/.waybill/status`, `/.waybill/health` and `/.waybill/metrics` are the gateway's own.
//! The file is followed, not pushed, so the gateway works the same inside the deployer's process and
//! as a process of its own, where a restart of the control plane cuts no traffic.
//!
//! What holds:
//! - One immutable table serves; a new one takes its place whole, and a damaged file never does.
//! - A container that has left the table and the status gets no request any more.
//! - A request that may have reached a container is not sent again unless its method is idempotent.
//! - Bodies stream both ways; headers, bodies, connections, waits and silences are bounded.

mod access;
mod admin;
mod backend;
mod body;
mod config;
mod error;
mod exchange;
mod headers;
mod metrics;
mod path;
mod pool;
mod proxy;
pub mod routes;
mod server;
mod silence;
mod stream;
mod table;
mod watch;

pub use config::{GatewayConfig, StartError};
pub use routes::{Backend, BackendStatus, GatewayStatus, Route, RouteFileError, RouteTable};
pub use stream::ClientStream;

use access::AllowedHosts;
use proxy::{Limits, Proxy};
use server::Server;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use table::Switchboard;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use watch::Watch;

/// How often the route file is looked at.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// A running gateway. Dropping it cuts every connection; [`Gateway::stop`] lets requests end.
pub struct Gateway {
    local_addr: SocketAddr,
    routes_path: PathBuf,
    switchboard: Arc<Switchboard>,
    tasks: TaskTracker,
    stop: DropGuard,
    kill: DropGuard,
}

impl Gateway {
    /// Binds the address, serves what the route file holds and follows it from then on. The file need
    /// not exist yet.
    pub async fn start(config: GatewayConfig) -> Result<Self, StartError> {
        config.check()?;
        let allowed_hosts =
            AllowedHosts::new(&config.allowed_hosts).map_err(|value| StartError::AllowedHost { value })?;
        let bind_error = |source| StartError::Bind { listen: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(bind_error)?;
        let local_addr = listener.local_addr().map_err(bind_error)?;
        let switchboard = Arc::new(Switchboard::new());
        let mut watch = Watch::new(config.routes_path.clone(), Arc::clone(&switchboard));
        // Before the first client: what serves at once must not be answered "no routes yet".
        watch.look();

        let (stop, kill, tasks) = (CancellationToken::new(), CancellationToken::new(), TaskTracker::new());
        let upstream_idle = Duration::from_millis(config.upstream_idle_ms);
        tasks.spawn(watch.run(WATCH_INTERVAL, upstream_idle, stop.clone()));
        let server = Arc::new(Server {
            proxy: Arc::new(Proxy {
                switchboard: Arc::clone(&switchboard),
                allowed_hosts,
                limits: Limits {
                    max_body_bytes: config.max_body_bytes,
                    connect_timeout: Duration::from_millis(config.connect_timeout_ms),
                    response_timeout: Duration::from_millis(config.response_timeout_ms),
                    body_timeout: Duration::from_millis(config.body_timeout_ms),
                    upstream_idle,
                },
            }),
            slots: Arc::new(Semaphore::new(config.max_connections)),
            header_timeout: Duration::from_millis(config.header_timeout_ms),
            write_timeout: Duration::from_millis(config.write_timeout_ms),
            stop: stop.clone(),
            kill: kill.clone(),
            tasks: tasks.clone(),
        });
        tasks.spawn(server.run(listener));
        tracing::info!(%local_addr, routes = %config.routes_path.display(), "gateway listens");
        Ok(Self {
            local_addr,
            routes_path: config.routes_path,
            switchboard,
            tasks,
            stop: stop.drop_guard(),
            kill: kill.drop_guard(),
        })
    }

    /// The address that it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What `GET /.waybill/status` answers.
    pub fn status(&self) -> GatewayStatus {
        self.switchboard.status()
    }

    /// Reads the route file now and returns the generation that serves. On an error the table before
    /// it goes on serving.
    pub async fn reload(&self) -> Result<u64, RouteFileError> {
        let (switchboard, path) = (Arc::clone(&self.switchboard), self.routes_path.clone());
        match tokio::task::spawn_blocking(move || switchboard.load(&path)).await {
            Ok(loaded) => loaded,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }

    /// Takes no new connection, lets requests end for at most `drain_timeout`, then cuts the rest.
    pub async fn stop(self, drain_timeout: Duration) {
        let Self { tasks, stop, kill, .. } = self;
        drop(stop);
        tasks.close();
        if tokio::time::timeout(drain_timeout, tasks.wait()).await.is_err() {
            tracing::warn!(
                left = tasks.len(),
                drain_ms = drain_timeout.as_millis() as u64,
                "connections cut at the end of the drain time"
            );
        }
        drop(kill);
        tasks.wait().await;
    }
}
