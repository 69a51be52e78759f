//! Settings of a gateway.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Settings of a gateway; [`GatewayConfig::new`] has the defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayConfig {
    pub listen: SocketAddr,
    pub routes_path: PathBuf,
    /// Hosts beyond the loopback names and the listener's own address, `host` (any port) or
    /// `host:port`. Any other `Host` is refused, and any other `Origin` on a write.
    pub allowed_hosts: Vec<String>,
    /// Larger request bodies are answered 413. 256 MiB: the largest batches that model servers take.
    pub max_body_bytes: u64,
    /// Client connections at a time; further ones wait in the listener's backlog. 400: with one
    /// connection to a container each they stay below the usual limit of 1,024 open files.
    pub max_connections: usize,
    /// Time for a request's head, and for an idle client to send its next one. 30 s.
    pub header_timeout_ms: u64,
    /// Longest pause between two pieces of a request body. 30 s.
    pub body_timeout_ms: u64,
    /// Longest pause of a client that does not take its answer. 60 s.
    pub write_timeout_ms: u64,
    /// Time for a connection to a container. 2 s.
    pub connect_timeout_ms: u64,
    /// Longest wait for a container's answer, and pause within it. 5 min: predictions may be slow.
    pub response_timeout_ms: u64,
    /// How long an idle connection to a container is kept. 1 s: it must stay well below the time
    /// after which a model server closes it by itself (uvicorn 5 s), because a prediction that
    /// meets the closing cannot be sent again.
    pub upstream_idle_ms: u64,
}

/// Why a gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("gateway cannot listen on {listen}: {source}")]
    Bind { listen: SocketAddr, source: io::Error },
    #[error("allowed host {value:?}: expected host or host:port")]
    AllowedHost { value: String },
    #[error("gateway setting {field} is 0, expected at least 1")]
    Zero { field: &'static str },
}

impl GatewayConfig {
    pub fn new(listen: SocketAddr, routes_path: impl Into<PathBuf>) -> Self {
        Self {
            listen,
            routes_path: routes_path.into(),
            allowed_hosts: Vec::new(),
            max_body_bytes: 256 * 1024 * 1024,
            max_connections: 400,
            header_timeout_ms: 30_000,
            body_timeout_ms: 30_000,
            write_timeout_ms: 60_000,
            connect_timeout_ms: 2_000,
            response_timeout_ms: 300_000,
            upstream_idle_ms: 1_000,
        }
    }

    pub(super) fn check(&self) -> Result<(), StartError> {
        let settings = [
            ("max_connections", self.max_connections as u64),
            ("header_timeout_ms", self.header_timeout_ms),
            ("body_timeout_ms", self.body_timeout_ms),
            ("write_timeout_ms", self.write_timeout_ms),
            ("connect_timeout_ms", self.connect_timeout_ms),
            ("response_timeout_ms", self.response_timeout_ms),
        ];
        match settings.into_iter().find(|(_, value)| *value == 0) {
            Some((field, _)) => Err(StartError::Zero { field }),
            None => Ok(()),
        }
    }
}
