//! What a deployer is told.

use crate::{engine::Limits, images::Index, ports::PortRange};
use std::{path::PathBuf, time::Duration};

/// Settings of a [`crate::Deployer`].
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder of its own: model cache, instance id, log positions. One process at a time.
    pub data_dir: PathBuf,
    /// Key file that signs lockfiles; made with mode 0600 when it is not there.
    pub signing_key: PathBuf,
    /// SPKI PEM texts of the keys that versions must be signed with. They come from the
    /// deployer's own configuration, never from the registry that it checks.
    pub trusted_keys: Vec<String>,
    /// Environments that it serves: `test`, `staging`, `production`.
    pub environments: Vec<String>,
    /// Route file that the gateway reads.
    pub routes_path: PathBuf,
    /// `http://host:port/.waybill/status` of the gateway. Without it a switch is not confirmed
    /// and every drain lasts its whole [`Deadlines::drain`].
    pub gateway_status_url: Option<String>,
    /// Docker's endpoint, `unix:///path` or `tcp://host:port`; left out, its usual socket.
    pub docker_host: Option<String>,
    pub images: ImagesConfig,
    /// Of each serving container.
    pub limits: Limits,
    /// Requests at a time per container; the gateway answers 503 to more.
    pub max_concurrent: u32,
    /// Ports of the loopback address to publish containers on, for engines whose bridge addresses
    /// are out of reach; left out, containers are reached by bridge address.
    pub publish_ports: Option<PortRange>,
    pub deadlines: Deadlines,
    /// Id of a registry that may take the place of the one served so far.
    pub accept_registry: Option<String>,
    /// How long an environment stays ours after the last sign of life.
    pub lease_ttl: Duration,
}

/// Where images come from.
#[derive(Debug, Clone)]
pub struct ImagesConfig {
    /// Tag of the base image, as `waybill images base` made it.
    pub base: String,
    /// Package index instead of PyPI. It is visible in the engine's records: no password in it.
    pub index_url: Option<String>,
    /// File in netrc format with the index's user and password.
    pub netrc: Option<PathBuf>,
    /// Only packages published before this (RFC 3339).
    pub cut_off: Option<String>,
}

/// How long each phase of a rollout may take; each phase starts anew.
#[derive(Debug, Clone)]
pub struct Deadlines {
    pub verify: Duration,
    pub resolve: Duration,
    /// Environment image and model download.
    pub build: Duration,
    pub start: Duration,
    /// From the container's start to its first good answer.
    pub health: Duration,
    /// Until the gateway serves the new route.
    pub switch: Duration,
    /// Until the old container has answered its last request; then it is stopped all the same.
    pub drain: Duration,
    /// From the request to stop to the kill.
    pub stop: Duration,
    /// How long a rollout waits for an engine that does not answer.
    pub engine: Duration,
}

impl Config {
    /// A deployer with its files below `data_dir` that trusts these keys; everything else as
    /// `waybill serve` has it by default.
    pub fn new(data_dir: impl Into<PathBuf>, trusted_keys: Vec<String>) -> Self {
        let data_dir = data_dir.into();
        Self {
            signing_key: data_dir.join("deployer.pem"),
            routes_path: data_dir.join("routes.json"),
            data_dir,
            trusted_keys,
            environments: ["test", "staging", "production"].map(str::to_owned).into(),
            gateway_status_url: None,
            docker_host: None,
            images: ImagesConfig::default(),
            limits: Limits { memory_bytes: 2 << 30, cpu_millis: 2_000, pids: 512 },
            max_concurrent: 64,
            publish_ports: None,
            deadlines: Deadlines::default(),
            accept_registry: None,
            lease_ttl: Duration::from_secs(15),
        }
    }
}

impl ImagesConfig {
    /// Where packages come from.
    pub fn index(&self) -> Index<'_> {
        Index { url: self.index_url.as_deref(), netrc: self.netrc.as_deref() }
    }
}

impl Default for ImagesConfig {
    fn default() -> Self {
        Self { base: "waybill-base:py3.11".to_owned(), index_url: None, netrc: None, cut_off: None }
    }
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            verify: Duration::from_mins(1),
            resolve: Duration::from_mins(10),
            build: Duration::from_mins(30),
            start: Duration::from_mins(1),
            health: Duration::from_mins(2),
            switch: Duration::from_secs(30),
            drain: Duration::from_secs(30),
            stop: Duration::from_secs(10),
            engine: Duration::from_mins(5),
        }
    }
}
