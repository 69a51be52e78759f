//! The deployer inside `waybill serve`.

use super::{memory, settings::Settings};
use crate::{failure::Failure, trust};
use axum::Router;
use std::{path::Path, time::Duration};
use waybill_deployer::{Config, Deployer, hold_unverified_routes};
use waybill_proof::{
    documents::LockInputs,
    keys::{FileKey, Signer},
};

/// Name under which history records what the deployer itself does.
const USER: &str = "deployer";

/// Starts the deployer, where this process deploys. It reaches the registry as any client does.
pub async fn start(settings: &Settings, router: Router) -> Result<Option<Deployer>, Failure> {
    if !settings.deploys {
        return Ok(None);
    }
    let config = config(settings)?;
    let client = memory::client(router).for_user(USER);
    Deployer::start(config, client).await.map(Some).map_err(Failure::failed)
}

/// Before the gateway serves the route table: what a restart of the machine or of its engine left
/// there may lead to somebody else's container.
pub async fn check_routes(settings: &Settings) {
    if !settings.deploys {
        return;
    }
    let (folder, routes) = (settings.data_dir.join("deployer"), settings.routes_path());
    let engine = settings.args.docker_host.as_deref();
    if let Err(error) = hold_unverified_routes(&folder, &routes, engine).await {
        // A damaged file is written anew, and no gateway serves it.
        tracing::warn!(%error, "routes were not checked");
    }
}

fn config(settings: &Settings) -> Result<Config, Failure> {
    let args = &settings.args;
    let mut config = Config::new(settings.data_dir.join("deployer"), trusted_keys(settings)?);
    config.signing_key = settings.data_dir.join("keys/deployer.pem");
    config.routes_path = settings.routes_path();
    config.gateway_status_url = Some(settings.gateway_status_url());
    config.docker_host.clone_from(&args.docker_host);
    if !args.environments.is_empty() {
        config.environments.clone_from(&args.environments);
    }
    if let Some(tag) = &args.base_image {
        config.images.base.clone_from(tag);
    }
    if let Some(url) = &args.index_url {
        check_index_url(url)?;
    }
    config.images.index_url.clone_from(&args.index_url);
    if let Some(path) = &args.netrc {
        check_readable(path)?;
    }
    config.images.netrc.clone_from(&args.netrc);
    if let Some(seconds) = args.engine_wait_s {
        config.deadlines.engine = Duration::from_secs(seconds);
    }
    config.accept_registry.clone_from(&args.accept_registry);
    config.publish_ports = args.publish_ports;
    if let Some(time) = &args.packages_before {
        LockInputs::check_cutoff_date(time)
            .map_err(|error| Failure::Usage(format!("--packages-before: {error}")))?;
    }
    config.images.cut_off.clone_from(&args.packages_before);
    if let Some(mib) = args.container_memory_mib {
        config.limits.memory_bytes = mib << 20;
    }
    if let Some(millis) = args.container_cpu_millis {
        config.limits.cpu_millis = millis.into();
    }
    Ok(config)
}

/// The URL stands in lockfiles and in the engine's records.
pub fn check_index_url(url: &str) -> Result<(), Failure> {
    LockInputs::check_index_url(url).map_err(|error| {
        Failure::Usage(format!("--index-url: {error}; user and password go into a file for --netrc"))
    })
}

/// Told at the start, not by the first rollout.
pub fn check_readable(netrc: &Path) -> Result<(), Failure> {
    std::fs::read_to_string(netrc).map(|_| ()).map_err(|error| Failure::file("read --netrc", netrc, &error))
}

/// The keys that were named, else the one in this registry's own key file: read from disk, never
/// asked of the registry that is to be checked.
fn trusted_keys(settings: &Settings) -> Result<Vec<String>, Failure> {
    if settings.args.trusted_keys.is_empty() {
        let key = FileKey::load(&settings.data_dir.join("keys/registry.pem")).map_err(Failure::failed)?;
        return Ok(vec![key.public_key_pem().to_owned()]);
    }
    let keys = settings.args.trusted_keys.iter().map(|path| trust::read_keys(path));
    let keys = keys.collect::<Result<Vec<_>, _>>()?.concat();
    Ok(keys.iter().map(|key| key.pem().to_owned()).collect())
}
