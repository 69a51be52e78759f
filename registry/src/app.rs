//! What every handler shares.

use crate::{
    access::Principal,
    artifacts::ContentStore,
    audit::Cause,
    clock::Clock,
    config::Config,
    db::Db,
    deployments::Signals,
    http::{Metrics, RequestId},
    ids::Ids,
    runs::KnownLocations,
    ui::Ui,
    webhooks::Webhooks,
};
use std::sync::Arc;
use waybill_proof::keys::Signer;

/// Handles to the database, the content store and the signer. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<AppState>);

pub struct AppState {
    /// Names this registry for ever, wherever its database and store move.
    pub registry_id: String,
    pub config: Config,
    pub db: Db,
    pub content: ContentStore,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    pub metrics: Metrics,
    /// The registry's key.
    pub signer: Arc<dyn Signer>,
    pub signals: Signals,
    pub ui: Ui,
    pub webhooks: Arc<Webhooks>,
    pub known_locations: KnownLocations,
}

impl App {
    pub fn new(state: AppState) -> Self {
        Self(Arc::new(state))
    }

    /// What audit events of this request record.
    pub fn cause(&self, principal: &Principal, request: RequestId, reason: Option<String>) -> Cause {
        Cause { at_ms: self.clock.now_ms(), actor: principal.actor(), reason, request_id: request.0 }
    }
}

impl std::ops::Deref for App {
    type Target = AppState;

    fn deref(&self) -> &AppState {
        &self.0
    }
}
