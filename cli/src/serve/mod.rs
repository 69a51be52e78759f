//! `waybill serve`: registry, deployer and gateway in one process.

mod args;
mod banner;
mod deploy;
mod http;
mod lock;
pub mod logging;
mod memory;
mod settings;
mod signals;
mod storage;

pub use args::ServeArgs;
pub use deploy::{check_index_url, check_readable};
pub use lock::DataDirLock;
pub use settings::check_exposure;
pub use signals::EndSignals;
pub use storage::{StorageArgs, check_present};

use crate::failure::Failure;
use args::GatewayMode;
use settings::Settings;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use waybill_deployer::gateway::{Gateway, GatewayConfig};
use waybill_registry::{Config, Registry, webhooks};

/// Runs until a signal asks it to end.
pub async fn run(args: ServeArgs) -> Result<(), Failure> {
    let mut settings = Settings::load(args)?;
    logging::init(settings.args.log.as_deref(), settings.args.log_format)?;
    let end = EndSignals::listen()?;
    let first_start = !settings.data_dir.join(lock::FILE).exists();
    let _lock = DataDirLock::take(&settings.data_dir)?;
    let listener = bind(settings.listen).await?;
    settings.listen = listener.local_addr()?;
    deploy::check_routes(&settings).await;
    let gateway = start_gateway(&mut settings).await?;
    let registry = Registry::open(registry_config(&settings)).await.map_err(Failure::failed)?;
    registry.start_duties();
    let deployer = deploy::start(&settings, registry.router()).await?;
    banner::print(&settings, first_start);
    crate::process_memory::give_back_what_is_not_used();

    let ending = CancellationToken::new();
    let serving = http::serve(listener, registry.router(), ending.clone(), settings.drain);
    let stopping = async {
        end.first().await;
        ending.cancel();
        if let Some(deployer) = deployer {
            deployer.stop().await;
        }
        // Followed logs and long polls would hold their connections until the drain is over.
        registry.drain();
    };
    tokio::join!(serving, stopping);
    if let Some(gateway) = gateway {
        gateway.stop(settings.drain).await;
    }
    registry.close().await;
    Ok(())
}

async fn bind(listen: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(listen).await.map_err(|error| {
        Failure::Failed(format!("cannot listen on {listen}: {error}; name another address with --listen"))
    })
}

/// The embedded gateway, where this process deploys; sets the address that it really has.
async fn start_gateway(settings: &mut Settings) -> Result<Option<Gateway>, Failure> {
    if !settings.deploys || settings.gateway != GatewayMode::Embedded {
        return Ok(None);
    }
    let mut config = GatewayConfig::new(settings.gateway_listen, settings.routes_path());
    config.allowed_hosts.clone_from(&settings.args.allowed_hosts);
    let gateway = Gateway::start(config)
        .await
        .map_err(|error| Failure::Failed(format!("{error}; name another address with --gateway-listen")))?;
    settings.gateway_listen = gateway.local_addr();
    Ok(Some(gateway))
}

fn registry_config(settings: &Settings) -> Config {
    Config {
        data_dir: settings.data_dir.clone(),
        database_url: settings.args.database_url.clone(),
        artifacts_url: settings.args.artifacts_url.clone(),
        default_artifact_root: settings.args.default_artifact_root.clone(),
        listen: settings.listen,
        allowed_hosts: settings.args.allowed_hosts.clone(),
        deployer_mode: if settings.deploys { "embedded" } else { "off" }.to_owned(),
        gateway_url: settings.gateway_url(),
        mlflow_ui: settings.mlflow_ui.clone(),
        webhooks: webhook_settings(&settings.args),
    }
}

fn webhook_settings(args: &ServeArgs) -> webhooks::Settings {
    let default = webhooks::Settings::default();
    webhooks::Settings {
        allow: args.webhook_allow.clone(),
        timeout: args.webhook_timeout_ms.map_or(default.timeout, Duration::from_millis),
        max_retries: args.webhook_max_retries.map_or(default.max_retries, |count| count as u32),
    }
}
