//! What every handler shares.

use crate::{artifacts::ContentStore, clock::Clock, config::Config, db::Db, http::Metrics, ids::Ids};
use std::sync::Arc;

/// Handles to the database, the content store and the signer. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<AppState>);

pub struct AppState {
    pub config: Config,
    pub db: Db,
    pub content: ContentStore,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    pub metrics: Metrics,
}

impl App {
    pub fn new(state: AppState) -> Self {
        Self(Arc::new(state))
    }
}

impl std::ops::Deref for App {
    type Target = AppState;

    fn deref(&self) -> &AppState {
        &self.0
    }
}
