//! What `waybill serve` is told: flags, then `WAYBILL_*`, then the file, then defaults.

use crate::{failure::Failure, serve::logging::LogFormat};
use clap::{ArgAction, ValueEnum, builder::BoolishValueParser};
use serde::Deserialize;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5000);
const DEFAULT_GATEWAY_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);
const DEFAULT_DATA_DIR: &str = "waybill-data";
const DEFAULT_DRAIN: Duration = Duration::from_secs(10);

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
    /// What is logged, e.g. `info` or `info,waybill_deployer=debug` [default: info]
    #[arg(long, env = "WAYBILL_LOG", value_name = "FILTER", hide_env_values = true)]
    pub log: Option<String>,
    /// How log lines look [default: text]
    #[arg(long, env = "WAYBILL_LOG_FORMAT", value_name = "FORMAT", hide_env_values = true)]
    pub log_format: Option<LogFormat>,

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
    /// Resolve with packages published before this time only (RFC 3339)
    #[arg(
        long,
        env = "WAYBILL_PACKAGES_BEFORE",
        value_name = "TIME",
        hide_env_values = true,
        help_heading = "Deployer"
    )]
    pub packages_before: Option<String>,
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

/// What the process runs with.
#[derive(Debug)]
pub struct Settings {
    pub args: ServeArgs,
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
    pub gateway_listen: SocketAddr,
    pub gateway: GatewayMode,
    /// Whether this process deploys.
    pub deploys: bool,
    pub drain: Duration,
}

impl Settings {
    pub fn load(args: ServeArgs) -> Result<Self, Failure> {
        let args = match &args.config {
            Some(path) => {
                let file = read_file(path)?;
                args.or(file)
            }
            None => args,
        };
        if args.deployer && args.no_deployer {
            return Err(Failure::Usage("deployer and no_deployer are both set; expected one of them".into()));
        }
        let postgres = args.database_url.as_deref().is_some_and(|url| url.starts_with("postgres"));
        let settings = Self {
            listen: args.listen.unwrap_or(DEFAULT_LISTEN),
            data_dir: absolute(args.data_dir.as_deref().unwrap_or(Path::new(DEFAULT_DATA_DIR)))?,
            gateway_listen: args.gateway_listen.unwrap_or(DEFAULT_GATEWAY_LISTEN),
            gateway: args.gateway.unwrap_or(GatewayMode::Embedded),
            // Several servers may share a PostgreSQL; only one of them should deploy, by choice.
            deploys: if postgres { args.deployer } else { !args.no_deployer },
            drain: args.drain_timeout_ms.map_or(DEFAULT_DRAIN, Duration::from_millis),
            args,
        };
        check_exposure(settings.listen, "listen", &settings.args)?;
        if settings.deploys && settings.gateway == GatewayMode::Embedded {
            check_exposure(settings.gateway_listen, "gateway-listen", &settings.args)?;
        }
        Ok(settings)
    }
}

impl Settings {
    /// Where the deployer writes its routes and the gateway reads them.
    pub fn routes_path(&self) -> PathBuf {
        self.data_dir.join("deployer/routes.json")
    }

    /// Where the deployer asks whether a switch has taken effect and what still drains.
    pub fn gateway_status_url(&self) -> String {
        format!("http://{}/.waybill/status", reachable(self.gateway_listen))
    }

    /// This server's address on this machine.
    pub fn url(&self) -> String {
        format!("http://{}", reachable(self.listen))
    }

    /// The gateway's address as callers reach it, where one runs.
    pub fn gateway_url(&self) -> Option<String> {
        let default = || format!("http://{}", reachable(self.gateway_listen));
        self.deploys.then(|| self.args.gateway_url.clone().unwrap_or_else(default))
    }
}

/// Containers mount folders below it, and engines want whole paths.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::file("use", path, &error))
}

/// `0.0.0.0` is an address to listen on, not one to call.
fn reachable(mut listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        std::net::IpAddr::V4(ip) if ip.is_unspecified() => {
            listen.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        std::net::IpAddr::V6(ip) if ip.is_unspecified() => {
            listen.set_ip(std::net::Ipv6Addr::LOCALHOST.into());
        }
        _ => {}
    }
    listen
}

impl ServeArgs {
    /// These settings, and those of `file` where these say nothing.
    fn or(self, file: Self) -> Self {
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
            log: self.log.or(file.log),
            log_format: self.log_format.or(file.log_format),
            deployer,
            no_deployer,
            environments: list(self.environments, file.environments),
            trusted_keys: list(self.trusted_keys, file.trusted_keys),
            docker_host: self.docker_host.or(file.docker_host),
            base_image: self.base_image.or(file.base_image),
            index_url: self.index_url.or(file.index_url),
            packages_before: self.packages_before.or(file.packages_before),
            container_memory_mib: self.container_memory_mib.or(file.container_memory_mib),
            container_cpu_millis: self.container_cpu_millis.or(file.container_cpu_millis),
            gateway: self.gateway.or(file.gateway),
            gateway_listen: self.gateway_listen.or(file.gateway_listen),
            gateway_url: self.gateway_url.or(file.gateway_url),
        }
    }
}

fn read_file(path: &Path) -> Result<ServeArgs, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::file("read", path, &error))?;
    toml::from_str(&text)
        .map_err(|error| Failure::Usage(format!("the configuration {} is wrong:\n{error}", path.display())))
}

/// Refuses an address that others can reach, unless it was asked for in so many words.
pub fn check_exposure(address: SocketAddr, flag: &str, args: &ServeArgs) -> Result<(), Failure> {
    if address.ip().is_loopback() || (args.insecure_no_auth && !args.allowed_hosts.is_empty()) {
        return Ok(());
    }
    let port = address.port();
    Err(Failure::Usage(format!(
        "--{flag} {address} is beyond loopback, and there is no access control yet: everybody who reaches that \
         address could change and deploy models. Listen on 127.0.0.1:{port} behind a reverse proxy that \
         authenticates, with --allowed-host NAME for its name; or, where everybody in the network may do all \
         that, pass both --insecure-no-auth and --allowed-host NAME"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ServeArgs,
    }

    fn load(flags: &[&str], file: Option<&str>) -> Result<Settings, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("waybill.toml");
        let mut line = vec!["serve".to_owned()];
        line.extend(flags.iter().map(|flag| (*flag).to_owned()));
        if let Some(text) = file {
            std::fs::write(&path, text).unwrap();
            line.extend(["--config".to_owned(), path.display().to_string()]);
        }
        let args = Line::try_parse_from(line).map_err(|error| error.to_string())?.args;
        Settings::load(args).map_err(|failure| failure.to_string())
    }

    #[test]
    fn nothing_said_is_the_embedded_default() {
        let settings = load(&[], None).unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:5000");
        assert_eq!(settings.gateway_listen.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.data_dir, std::env::current_dir().unwrap().join("waybill-data"));
        assert!(settings.deploys);
    }

    #[test]
    fn flags_win_over_the_file() {
        let file = "listen = \"127.0.0.1:1\"\ndata_dir = \"/srv/waybill\"\nno_deployer = true\ngateway = \"external\"\n";
        let settings = load(&["--listen", "127.0.0.1:2", "--deployer"], Some(file)).unwrap();
        assert_eq!(settings.listen.port(), 2);
        assert_eq!(settings.data_dir, Path::new("/srv/waybill"));
        assert_eq!(settings.gateway, GatewayMode::External);
        assert!(settings.deploys);
    }

    #[test]
    fn unknown_keys_of_the_file_are_named() {
        let message = load(&[], Some("listne = \"127.0.0.1:1\"\n")).unwrap_err();
        assert!(message.contains("waybill.toml") && message.contains("`listne`"), "{message}");
        let message = load(&[], Some("listen = \"here\"\n")).unwrap_err();
        assert!(message.contains("listen"), "{message}");
    }

    #[test]
    fn postgres_deploys_only_when_asked() {
        let postgres = ["--database-url", "postgres://waybill@db/waybill"];
        assert!(!load(&postgres, None).unwrap().deploys);
        assert!(load(&[&postgres[..], &["--deployer"]].concat(), None).unwrap().deploys);
    }

    #[test]
    fn beyond_loopback_needs_two_words() {
        for flags in [
            &["--listen", "0.0.0.0:5000"][..],
            &["--listen", "0.0.0.0:5000", "--insecure-no-auth"],
            &["--listen", "0.0.0.0:5000", "--allowed-host", "models.example"],
            &["--gateway-listen", "192.0.2.1:80"],
        ] {
            let message = load(flags, None).unwrap_err();
            assert!(
                message.contains("beyond loopback") && message.contains("--insecure-no-auth"),
                "{message}"
            );
        }
        let both = ["--listen", "[::]:5000", "--insecure-no-auth", "--allowed-host", "models.example"];
        load(&both, None).unwrap();
        // Without a deployer there is no gateway that could be exposed.
        load(&["--gateway-listen", "192.0.2.1:80", "--no-deployer"], None).unwrap();
    }
}
