//! What `waybill serve` is told: flags, then `WAYBILL_*`, then the file, then defaults.

use super::args::{GatewayMode, ServeArgs};
use crate::failure::Failure;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};
use waybill_registry::ui;

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5000);
const DEFAULT_GATEWAY_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);
const DEFAULT_DATA_DIR: &str = "waybill-data";
const DEFAULT_DRAIN: Duration = Duration::from_secs(10);

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
    /// Where MLflow's web UI is taken from.
    pub mlflow_ui: ui::Source,
}

impl Settings {
    pub fn load(args: ServeArgs) -> Result<Self, Failure> {
        let mut args = match &args.config {
            Some(path) => {
                let file = read_file(path)?;
                args.or(file)
            }
            None => args,
        };
        args.default_artifact_root = args.default_artifact_root.map(artifact_root).transpose()?;
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
            mlflow_ui: mlflow_ui(args.mlflow_ui.as_deref())?,
            args,
        };
        check_range("webhook-timeout-ms", settings.args.webhook_timeout_ms, 1..=600_000)?;
        check_range("webhook-max-retries", settings.args.webhook_max_retries, 0..=100)?;
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

/// Off unless asked for: what is served there is another project's code, and finding it runs `python3`.
fn mlflow_ui(text: Option<&str>) -> Result<ui::Source, Failure> {
    let Ok(source) = text.unwrap_or("off").parse();
    match source {
        ui::Source::Folder(folder) => Ok(ui::Source::Folder(absolute(&folder)?)),
        source => Ok(source),
    }
}

fn check_range(flag: &str, value: Option<u64>, range: std::ops::RangeInclusive<u64>) -> Result<(), Failure> {
    match value {
        Some(value) if !range.contains(&value) => {
            Err(Failure::Usage(format!("--{flag} is {value}; expected {} to {}", range.start(), range.end())))
        }
        _ => Ok(()),
    }
}

/// Containers mount folders below it, and engines want whole paths.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::file("use", path, &error))
}

/// A local folder is told by its whole path: clients stand elsewhere.
fn artifact_root(root: String) -> Result<String, Failure> {
    if root.contains(':') { Ok(root) } else { Ok(absolute(Path::new(&root))?.display().to_string()) }
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
    fn a_local_artifact_root_has_a_whole_path() {
        let here = std::env::current_dir().unwrap();
        for (given, expected) in [
            ("mlruns", here.join("mlruns").display().to_string().as_str()),
            ("/srv/mlruns", "/srv/mlruns"),
            ("file:///srv/mlruns", "file:///srv/mlruns"),
            ("s3://bucket/prefix", "s3://bucket/prefix"),
        ] {
            let settings = load(&["--default-artifact-root", given], None).unwrap();
            assert_eq!(settings.args.default_artifact_root.as_deref(), Some(expected));
        }
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
    fn the_web_ui_is_off_unless_asked_for() {
        use ui::Source;
        let file = "mlflow_ui = \"auto\"\n";
        let here = std::env::current_dir().unwrap();
        for (flags, file, source) in [
            (&[][..], None, Source::Off),
            (&[], Some(file), Source::Auto),
            (&["--mlflow-ui", "off"], Some(file), Source::Off),
            (&["--mlflow-ui", "/opt/mlflow"], None, Source::Folder("/opt/mlflow".into())),
            (&["--mlflow-ui", "site"], None, Source::Folder(here.join("site"))),
        ] {
            assert_eq!(load(flags, file).unwrap().mlflow_ui, source, "{flags:?} {file:?}");
        }
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
