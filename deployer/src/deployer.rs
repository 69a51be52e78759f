//! The deployer as a whole.

use crate::{
    Config,
    cache::{CacheError, ModelCache},
    claims::Claims,
    engine::{DockerEngine, Engine},
    followers::Followers,
    http::Http,
    labels,
    lockstore::LockStore,
    ports::PortPool,
    reconcile::Reconciler,
    registry::KnownRegistry,
    routing::Routing,
    shared::{Shared, Turns},
};
use futures::StreamExt;
use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::Notify, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;
use waybill_client::{Client, api::RegisterKey};
use waybill_proof::keys::{FileKey, InvalidKey, KeyError, KeyRole, PublicKey, Signer, TrustedKeys};

const RETRY_WAIT: Duration = Duration::from_secs(1);
const RETRY_WAIT_MAX: Duration = Duration::from_secs(30);
/// Events that come while nobody listens are missed: the pause is short.
const LISTEN_WAIT_MAX: Duration = Duration::from_secs(5);

/// Why a deployer cannot start. An engine that does not run is no reason: it is waited for.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("deployer data directory {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("deployer data directory {path} is in use by another process; one at a time")]
    InUse { path: PathBuf },
    #[error("deployer data directory {path}: {source}")]
    Cache { path: PathBuf, source: CacheError },
    #[error("deployer signing key: {0}")]
    Key(#[from] KeyError),
    #[error("trusted key {number}: {source}")]
    TrustedKey { number: usize, source: InvalidKey },
    #[error(
        "no trusted key is configured: the deployer would have to believe whatever the registry \
         says. `waybill keys export` prints the registry's public key"
    )]
    NoTrustedKeys,
}

/// Makes environments run what the registry desires, until it is stopped.
pub struct Deployer {
    stop: CancellationToken,
    tasks: JoinSet<()>,
    /// Held for as long as we run.
    _lock: File,
}

impl Deployer {
    /// Starts one task per environment and returns at once: neither the registry nor the engine
    /// need to be there yet.
    pub async fn start(config: Config, client: Client) -> Result<Self, StartError> {
        let engine = Arc::new(DockerEngine::new(config.docker_host.as_deref()));
        Self::start_on(config, client, engine).await
    }

    /// As [`Self::start`], on any engine.
    pub async fn start_on(
        config: Config,
        client: Client,
        engine: Arc<dyn Engine>,
    ) -> Result<Self, StartError> {
        let (shared, lock) = tokio::task::spawn_blocking(move || open(config, client, engine))
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        let shared = Arc::new(shared);
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let mut wakes = Vec::new();
        for environment in &shared.config.environments {
            let wake = Arc::new(Notify::new());
            wakes.push(Arc::clone(&wake));
            let reconciler = Reconciler::new(Arc::clone(&shared), environment.clone(), wake, &stop);
            tasks.spawn(reconciler.run(stop.clone()));
        }
        tasks.spawn(until(stop.clone(), watch(Arc::clone(&shared), wakes)));
        tasks.spawn(until(stop.clone(), introduce(Arc::clone(&shared))));
        tasks.spawn(until(stop.clone(), sweep(Arc::clone(&shared))));
        Ok(Self { stop, tasks, _lock: lock })
    }

    /// Stops acting. Containers and routes stay: they serve on without us.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a deployer task ended early");
            }
        }
    }
}

async fn until(stop: CancellationToken, work: impl Future<Output = ()>) {
    stop.run_until_cancelled(work).await;
}

fn open(config: Config, client: Client, engine: Arc<dyn Engine>) -> Result<(Shared, File), StartError> {
    let folder = config.data_dir.clone();
    let at = |source| StartError::Io { path: folder.clone(), source };
    fs::create_dir_all(&folder).map_err(at)?;
    let lock = File::create(folder.join("lock")).map_err(at)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(StartError::InUse { path: folder }),
        Err(TryLockError::Error(source)) => return Err(at(source)),
    }
    let signer = FileKey::load_or_generate(&config.signing_key)?;
    let trusted = trusted(&config.trusted_keys, signer.public_key())?;
    let instance = instance(&folder).map_err(at)?;
    let http = Http::new();
    let routing = Routing::load(
        config.routes_path.clone(),
        config.gateway_status_url.clone(),
        config.max_concurrent,
        http.clone(),
    );
    let cache = ModelCache::open(&folder.join("models"))
        .map_err(|source| StartError::Cache { path: folder.clone(), source })?;
    let positions = folder.join("log-positions");
    let followers = Followers::open(Arc::clone(&engine), client.clone(), positions).map_err(at)?;
    let shared = Shared {
        locks: LockStore::open(folder.join("locks")).map_err(at)?,
        registry: KnownRegistry::open(&folder, config.accept_registry.clone()).map_err(at)?,
        holder: format!("{}/{instance}", host_name()),
        ports: config.publish_ports.map(PortPool::new),
        claims: Claims::default(),
        turns: Turns::default(),
        followers,
        config,
        client,
        engine,
        http,
        routing,
        cache,
        signer,
        trusted,
        instance,
    };
    Ok((shared, lock))
}

/// Versions are believed by the configured keys, lockfiles by those and our own.
fn trusted(pems: &[String], own: &PublicKey) -> Result<TrustedKeys, StartError> {
    if pems.is_empty() {
        return Err(StartError::NoTrustedKeys);
    }
    let mut keys = Vec::new();
    for (index, pem) in pems.iter().enumerate() {
        keys.push(
            PublicKey::from_pem(pem)
                .map_err(|source| StartError::TrustedKey { number: index + 1, source })?,
        );
    }
    let mut trusted = TrustedKeys::pinned(keys);
    trusted.insert_for(own.clone(), KeyRole::Deployer);
    Ok(trusted)
}

/// Made once and kept: by it we know our own containers again.
fn instance(folder: &Path) -> io::Result<String> {
    let path = folder.join("instance");
    match fs::read_to_string(&path) {
        Ok(text) if text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit()) => Ok(text),
        Ok(text) => Err(io::Error::other(format!(
            "{} holds {text:?}, expected 16 hex digits; without it no container is known again",
            path.display()
        ))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let id = uuid::Uuid::new_v4().simple().to_string()[..16].to_owned();
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            io::Write::write_all(&mut file, id.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            Ok(id)
        }
        Err(error) => Err(error),
    }
}

fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "localhost".to_owned(), |name| name.trim().to_owned())
}

/// Wakes the environments when a container of ours starts or ends.
async fn watch(shared: Arc<Shared>, wakes: Vec<Arc<Notify>>) {
    let mut wait = RETRY_WAIT;
    loop {
        let mut changes = shared.engine.changes(&labels::of(&shared.instance, labels::SERVE));
        while let Some(Ok(())) = changes.next().await {
            wait = RETRY_WAIT;
            for wake in &wakes {
                wake.notify_one();
            }
        }
        // The engine went away, and what ended with it was not told: each environment looks at once.
        for wake in &wakes {
            wake.notify_one();
        }
        sleep(wait).await;
        wait = (wait * 2).min(LISTEN_WAIT_MAX);
    }
}

/// Makes our public key known, so that others can tell who resolved a lockfile.
async fn introduce(shared: Arc<Shared>) {
    let key = RegisterKey {
        role: "deployer".to_owned(),
        public_key_pem: shared.signer.public_key_pem().to_owned(),
    };
    let mut wait = RETRY_WAIT;
    while let Err(error) = shared.client.put_key(&key).await {
        if !error.is_unreachable() {
            tracing::error!(%error, "the registry does not take the deployer's public key");
        }
        sleep(wait).await;
        wait = (wait * 2).min(RETRY_WAIT_MAX);
    }
}

/// Removes what a crash left: throwaway containers, log positions of containers that are gone.
async fn sweep(shared: Arc<Shared>) {
    let swept = async {
        for container in shared.engine.containers(&labels::of(&shared.instance, labels::RESOLVE)).await? {
            shared.engine.remove(&container.id).await?;
        }
        let serving = labels::of(&shared.instance, labels::SERVE);
        shared.engine.containers(&serving).await
    };
    match swept.await {
        Ok(containers) => {
            let ids: Vec<_> = containers.into_iter().map(|c| c.id).collect();
            if let Err(error) = shared.followers.keep_only(&ids) {
                tracing::warn!(%error, "old log positions stay");
            }
        }
        Err(error) => tracing::debug!(%error, "nothing was swept"),
    }
}
