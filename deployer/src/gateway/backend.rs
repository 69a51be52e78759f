//! One container behind the gateway: who is at it, and whether it may be entered.

use super::pool::Pool;
use super::routes::{self, BackendStatus, REVISION_FIELD};
use http::{HeaderMap, HeaderValue};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use url::Host;

/// A container, for as long as a route or a request knows it.
pub(super) struct Backend {
    pub environment: String,
    pub model: String,
    pub revision_id: String,
    upstream: String,
    tells_revision: bool,
    pub host: Host<String>,
    pub port: u16,
    /// `Host` of the requests that it gets.
    pub host_header: HeaderValue,
    pub pool: Pool,
    in_flight: AtomicU64,
    retired: AtomicBool,
}

/// One request's place at a container, free again when dropped.
pub(super) struct InFlight(Arc<Backend>);

impl InFlight {
    pub(super) fn backend(&self) -> &Backend {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(super) enum Entry {
    In(InFlight),
    Full,
    /// The table that led here is no longer the one that serves.
    Retired,
}

impl Backend {
    pub(super) fn new(environment: &str, model: &str, backend: &routes::Backend) -> Option<Self> {
        let (host, port) = routes::authority(&backend.upstream)?;
        Some(Self {
            environment: environment.to_owned(),
            model: model.to_owned(),
            revision_id: backend.revision_id.clone(),
            upstream: backend.upstream.clone(),
            tells_revision: backend.tells_revision,
            host_header: HeaderValue::try_from(format!("{host}:{port}")).ok()?,
            host,
            port,
            pool: Pool::default(),
            in_flight: AtomicU64::new(0),
            retired: AtomicBool::new(false),
        })
    }

    pub(super) fn is(&self, environment: &str, model: &str, backend: &routes::Backend) -> bool {
        self.revision_id == backend.revision_id
            && self.upstream == backend.upstream
            && self.tells_revision == backend.tells_revision
            && self.environment == environment
            && self.model == model
    }

    /// Whether an answer is this container's, as far as it can be told.
    pub(super) fn answers(&self, head: &HeaderMap) -> bool {
        !self.tells_revision
            || head.get(REVISION_FIELD).is_some_and(|named| named.as_bytes() == self.revision_id.as_bytes())
    }

    /// Takes a place. It counts first and looks at `retired` after, while a switch retires first and
    /// looks at the count after: one of the two sees the other, so no request reaches a container that
    /// the status already calls drained.
    pub(super) fn enter(self: &Arc<Self>, max_concurrent: u32) -> Entry {
        let room = |count: u64| (count < u64::from(max_concurrent)).then_some(count + 1);
        let entered = self
            .in_flight
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, room)
            .map(|_| InFlight(Arc::clone(self)));
        match (self.retired.load(Ordering::SeqCst), entered) {
            (true, _) => Entry::Retired,
            (false, Ok(place)) => Entry::In(place),
            (false, Err(_)) => Entry::Full,
        }
    }

    /// Lets nobody in from now on. Only after the table without it serves.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
        self.pool.close();
    }

    /// Lets requests in again. Only before the table with it serves.
    pub(super) fn reinstate(&self) {
        self.pool.open();
        self.retired.store(false, Ordering::SeqCst);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.load(Ordering::SeqCst) == 0
    }

    pub(super) fn status(&self, draining: bool) -> BackendStatus {
        BackendStatus {
            environment: self.environment.clone(),
            model: self.model.clone(),
            revision_id: self.revision_id.clone(),
            upstream: self.upstream.clone(),
            in_flight: self.in_flight.load(Ordering::SeqCst),
            draining,
        }
    }
}
