//! What every task of a deployer uses.

use crate::{
    Config, cache::ModelCache, claims::Claims, engine::Engine, followers::Followers, http::Http,
    lockstore::LockStore, ports::PortPool, registry::KnownRegistry, routing::Routing,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::OwnedMutexGuard;
use waybill_client::Client;
use waybill_proof::keys::{FileKey, TrustedKeys};

pub struct Shared {
    pub config: Config,
    pub client: Client,
    pub engine: Arc<dyn Engine>,
    pub http: Http,
    pub routing: Routing,
    pub cache: ModelCache,
    pub locks: LockStore,
    pub followers: Followers,
    pub signer: FileKey,
    /// From our own configuration, and our own key for lockfiles.
    pub trusted: TrustedKeys,
    /// Sixteen hex digits, the same across restarts.
    pub instance: String,
    /// Host and instance: who we are to the registry.
    pub holder: String,
    pub registry: KnownRegistry,
    pub ports: Option<PortPool>,
    pub claims: Claims,
    pub turns: Turns,
}

/// Work under one name happens one after the other.
#[derive(Debug, Default)]
pub struct Turns(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    pub async fn take(&self, name: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(name.to_owned()).or_default())
        };
        turn.lock_owned().await
    }
}
