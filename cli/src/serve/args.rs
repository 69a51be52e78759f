//! Flags of `waybill serve`, which are also the keys of its configuration file.

use super::logging::LogFormat;
use clap::{ArgAction, ValueEnum, builder::BoolishValueParser};
use serde::Deserialize;
use std::{net::SocketAddr, path::PathBuf};
use waybill_deployer::PortRange;
use waybill_registry::webhooks::Network;

/// Where the gateway runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GatewayMode {
    /// In this process
    Embedded,
    /// As its own process: `waybill gateway`
    External,
}

/// Flags of `waybill serve`, and keys of its configuration file.
#[derive(Debug, Default, clap::Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServeArgs {
    /// Read settings from a TOML file: the names of the flags with _ for -; flags and variables win
    #[arg(long, env = "WAYBILL_CONFIG", value_name = "FILE", hide_env_values = true)]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1:5000]
    #[arg(long, env = "WAYBILL_LISTEN", value_name = "ADDRESS:PORT", hide_env_values = true)]
    pub listen: Option<SocketAddr>,
    /// Folder for the database, artifacts and keys [default: waybill-data]
    #[arg(long, env = "WAYBILL_DATA_DIR", value_name = "DIR", hide_env_values = true)]
    pub data_dir: Option<PathBuf>,
    /// sqlite:PATH or postgres://USER@HOST/NAME [default: waybill.db in the data folder]
    #[arg(long, env = "WAYBILL_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// file:///DIR or s3://BUCKET/PREFIX, with the usual AWS variables [default: artifacts in the data folder]
    #[arg(long, env = "WAYBILL_ARTIFACTS_URL", value_name = "URL", hide_env_values = true)]
    pub artifacts_url: Option<String>,
    /// Where MLflow clients put artifacts of new experiments [default: through this server]
    #[arg(long, env = "WAYBILL_DEFAULT_ARTIFACT_ROOT", value_name = "URI", hide_env_values = true)]
    pub default_artifact_root: Option<String>,
    /// Further name under which this server or the gateway is reached; may be given more than once
    #[arg(
        long = "allowed-host",
        env = "WAYBILL_ALLOWED_HOSTS",
        value_name = "HOST[:PORT]",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub allowed_hosts: Vec<String>,
    /// Listen beyond loopback although there is no access control: everybody who reaches the
    /// address can change and deploy models
    #[arg(long, env = "WAYBILL_INSECURE_NO_AUTH", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new(), hide_env_values = true)]
    pub insecure_no_auth: bool,
    /// Time for running requests to end after SIGTERM [default: 10000]
    #[arg(long, env = "WAYBILL_DRAIN_TIMEOUT_MS", value_name = "MILLISECONDS", hide_env_values = true)]
    pub drain_timeout_ms: Option<u64>,
    /// Serve MLflow's own web UI from the installed package: `auto` finds it by VIRTUAL_ENV or python3, or
    /// name its folder [default: off]
    #[arg(long, env = "WAYBILL_MLFLOW_UI", value_name = "auto|off|DIR", hide_env_values = true)]
    pub mlflow_ui: Option<String>,
    /// What is logged, e.g. `info` or `info,waybill_deployer=debug` [default: info]
    #[arg(long, env = "WAYBILL_LOG", value_name = "FILTER", hide_env_values = true)]
    pub log: Option<String>,
    /// How log lines look [default: text]
    #[arg(long, env = "WAYBILL_LOG_FORMAT", value_name = "FORMAT", hide_env_values = true)]
    pub log_format: Option<LogFormat>,

    /// Network that webhooks may reach although it is not public, also by plain http, e.g.
    /// 10.1.0.0/16; may be given more than once [default: public addresses only, by https]
    #[arg(
        long = "webhook-allow",
        env = "WAYBILL_WEBHOOK_ALLOW",
        value_name = "NETWORK",
        value_delimiter = ',',
        hide_env_values = true,
        help_heading = "Webhooks"
    )]
    pub webhook_allow: Vec<Network>,
    /// Time for one attempt to deliver [default: 30000]
    #[arg(
        long,
        env = "WAYBILL_WEBHOOK_TIMEOUT_MS",
        value_name = "MILLISECONDS",
        hide_env_values = true,
        help_heading = "Webhooks"
    )]
    pub webhook_timeout_ms: Option<u64>,
    /// Further attempts after one that failed, 1 s, 2 s, 4 s … later [default: 3]
    #[arg(
        long,
        env = "WAYBILL_WEBHOOK_MAX_RETRIES",
        value_name = "COUNT",
        hide_env_values = true,
        help_heading = "Webhooks"
    )]
    pub webhook_max_retries: Option<u64>,

    /// Deploy with this process although the database is PostgreSQL
    #[arg(long, env = "WAYBILL_DEPLOYER", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new(), hide_env_values = true, conflicts_with = "no_deployer", help_heading = "Deployer")]
    pub deployer: bool,
    /// Only the registry: no containers, no gateway
    #[arg(long, env = "WAYBILL_NO_DEPLOYER", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new(), hide_env_values = true, help_heading = "Deployer")]
    pub no_deployer: bool,
    /// Environments to deploy for [default: test,staging,production]
    #[arg(
        long,
        env = "WAYBILL_ENVIRONMENTS",
        value_name = "NAMES",
        value_delimiter = ',',
        hide_env_values = true,
        help_heading = "Deployer"
    )]
    pub environments: Vec<String>,
    /// Public key that versions must be signed with; may be given more than once [default: this registry's]
    #[arg(
        long = "trusted-key",
        env = "WAYBILL_TRUSTED_KEYS",
        value_name = "FILE",
        value_delimiter = ':',
        hide_env_values = true,
        help_heading = "Deployer"
    )]
    pub trusted_keys: Vec<PathBuf>,
    /// Docker's endpoint: unix:///PATH or tcp://HOST:PORT [default: its usual socket]
    #[arg(
        long,
        env = "DOCKER_HOST",
        value_name = "ENDPOINT",
        hide_env_values = true,
        help_heading = "Deployer"
    )]
    pub docker_host: Option<String>,
    /// Base image, made by `waybill images base` [default: waybill-base:py3.11]
    #[arg(
        long,
        env = "WAYBILL_BASE_IMAGE",
        value_name = "TAG",
        hide_env_values = true,
        help_heading = "Deployer"
    )]
    pub base_image: Option<String>,
    /// Package index for lockfiles and images instead of PyPI
    #[arg(
        long,
        env = "WAYBILL_INDEX_URL",
        value_name = "URL",
        hide_env_values = true,
        help_heading = "Deployer"
    )]
    pub index_url: Option<String>,
    /// File in netrc format with the index's user and password; no image and no record of the engine
    /// ever holds it
    #[arg(
        long,
        env = "WAYBILL_NETRC",
        value_name = "FILE",
        hide_env_values = true,
        help_heading = "Deployer"
    )]
    pub netrc: Option<PathBuf>,
    /// Resolve with packages published before this time only (RFC 3339)
    #[arg(
        long,
        env = "WAYBILL_PACKAGES_BEFORE",
        value_name = "TIME",
        hide_env_values = true,
        help_heading = "Deployer"
    )]
    pub packages_before: Option<String>,
    /// How long rollouts wait for an engine that does not answer before they fail [default: 300]
    #[arg(
        long,
        env = "WAYBILL_ENGINE_WAIT_S",
        value_name = "SECONDS",
        hide_env_values = true,
        help_heading = "Deployer"
    )]
    pub engine_wait_s: Option<u64>,
    /// Serve the registry of this id from now on, although this deployer served another one before:
    /// what that one desired and this one does not is removed
    #[arg(
        long,
        env = "WAYBILL_ACCEPT_REGISTRY",
        value_name = "ID",
        hide_env_values = true,
        help_heading = "Deployer"
    )]
    pub accept_registry: Option<String>,
    /// Reach containers by these ports of the loopback address instead of their bridge addresses: for
    /// engines whose bridge is out of reach
    #[arg(
        long,
        env = "WAYBILL_PUBLISH_PORTS",
        value_name = "FIRST-LAST",
        hide_env_values = true,
        help_heading = "Deployer"
    )]
    pub publish_ports: Option<PortRange>,
    /// Memory of a serving container [default: 2048]
    #[arg(
        long,
        env = "WAYBILL_CONTAINER_MEMORY_MIB",
        value_name = "MIB",
        hide_env_values = true,
        help_heading = "Deployer"
    )]
    pub container_memory_mib: Option<u64>,
    /// Processor time of a serving container, in thousandths of a core [default: 2000]
    #[arg(
        long,
        env = "WAYBILL_CONTAINER_CPU_MILLIS",
        value_name = "MILLIS",
        hide_env_values = true,
        help_heading = "Deployer"
    )]
    pub container_cpu_millis: Option<u32>,

    /// Where the gateway runs [default: embedded]
    #[arg(
        long,
        env = "WAYBILL_GATEWAY",
        value_name = "WHERE",
        hide_env_values = true,
        help_heading = "Gateway"
    )]
    pub gateway: Option<GatewayMode>,
    /// Address that the gateway listens on [default: 127.0.0.1:8080]
    #[arg(
        long,
        env = "WAYBILL_GATEWAY_LISTEN",
        value_name = "ADDRESS:PORT",
        hide_env_values = true,
        help_heading = "Gateway"
    )]
    pub gateway_listen: Option<SocketAddr>,
    /// Address of the gateway as callers reach it [default: where it listens]
    #[arg(
        long,
        env = "WAYBILL_GATEWAY_URL",
        value_name = "URL",
        hide_env_values = true,
        help_heading = "Gateway"
    )]
    pub gateway_url: Option<String>,
}

impl ServeArgs {
    /// These settings, and those of `file` where these say nothing.
    pub fn or(self, file: Self) -> Self {
        fn list<T>(first: Vec<T>, second: Vec<T>) -> Vec<T> {
            if first.is_empty() { second } else { first }
        }
        // A flag of one kind also outweighs the opposite key of the file.
        let (deployer, no_deployer) = if self.deployer || self.no_deployer {
            (self.deployer, self.no_deployer)
        } else {
            (file.deployer, file.no_deployer)
        };
        Self {
            config: self.config,
            listen: self.listen.or(file.listen),
            data_dir: self.data_dir.or(file.data_dir),
            database_url: self.database_url.or(file.database_url),
            artifacts_url: self.artifacts_url.or(file.artifacts_url),
            default_artifact_root: self.default_artifact_root.or(file.default_artifact_root),
            allowed_hosts: list(self.allowed_hosts, file.allowed_hosts),
            insecure_no_auth: self.insecure_no_auth || file.insecure_no_auth,
            drain_timeout_ms: self.drain_timeout_ms.or(file.drain_timeout_ms),
            mlflow_ui: self.mlflow_ui.or(file.mlflow_ui),
            log: self.log.or(file.log),
            log_format: self.log_format.or(file.log_format),
            webhook_allow: list(self.webhook_allow, file.webhook_allow),
            webhook_timeout_ms: self.webhook_timeout_ms.or(file.webhook_timeout_ms),
            webhook_max_retries: self.webhook_max_retries.or(file.webhook_max_retries),
            deployer,
            no_deployer,
            environments: list(self.environments, file.environments),
            trusted_keys: list(self.trusted_keys, file.trusted_keys),
            docker_host: self.docker_host.or(file.docker_host),
            base_image: self.base_image.or(file.base_image),
            index_url: self.index_url.or(file.index_url),
            netrc: self.netrc.or(file.netrc),
            engine_wait_s: self.engine_wait_s.or(file.engine_wait_s),
            accept_registry: self.accept_registry.or(file.accept_registry),
            packages_before: self.packages_before.or(file.packages_before),
            publish_ports: self.publish_ports.or(file.publish_ports),
            container_memory_mib: self.container_memory_mib.or(file.container_memory_mib),
            container_cpu_millis: self.container_cpu_millis.or(file.container_cpu_millis),
            gateway: self.gateway.or(file.gateway),
            gateway_listen: self.gateway_listen.or(file.gateway_listen),
            gateway_url: self.gateway_url.or(file.gateway_url),
        }
    }
}
