//! The route table that serves: one immutable value, swapped whole, and what outlives a swap.

use super::error::GatewayError;
use super::metrics::{Metrics, RouteMetrics};
use super::pool::Pool;
use super::routes::{self, BackendStatus, GatewayStatus, RouteFileError, RouteTable};
use arc_swap::ArcSwap;
use http::HeaderValue;
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use url::Host;

/// A container, for as long as a route or a request knows it.
pub(super) struct Backend {
    pub environment: String,
    pub model: String,
    pub revision_id: String,
    upstream: String,
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

enum Entry {
    In(InFlight),
    Full,
    /// The table that led here is no longer the one that serves.
    Retired,
}

impl Backend {
    fn new(environment: &str, model: &str, backend: &routes::Backend) -> Option<Self> {
        let (host, port) = routes::authority(&backend.upstream)?;
        Some(Self {
            environment: environment.to_owned(),
            model: model.to_owned(),
            revision_id: backend.revision_id.clone(),
            upstream: backend.upstream.clone(),
            host_header: HeaderValue::try_from(format!("{host}:{port}")).ok()?,
            host,
            port,
            pool: Pool::default(),
            in_flight: AtomicU64::new(0),
            retired: AtomicBool::new(false),
        })
    }

    fn is(&self, environment: &str, model: &str, backend: &routes::Backend) -> bool {
        self.revision_id == backend.revision_id
            && self.upstream == backend.upstream
            && self.environment == environment
            && self.model == model
    }

    /// Counts first and looks at `retired` after, while [`Switchboard::apply`] retires first and looks
    /// at the count after: one of the two sees the other, so no request reaches a container that the
    /// status already calls drained.
    fn enter(self: &Arc<Self>, max_concurrent: u32) -> Entry {
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

    fn status(&self, draining: bool) -> BackendStatus {
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

struct Weighted {
    weight: u32,
    max_concurrent: u32,
    backend: Arc<Backend>,
}

struct LiveRoute {
    backends: Vec<Weighted>,
    total_weight: u64,
    turn: AtomicU32,
    metrics: Arc<RouteMetrics>,
}

impl LiveRoute {
    /// Shares are exact over any long run and even over short ones: steps of the golden ratio on a
    /// circle that the weights divide.
    fn pick(&self) -> Option<&Weighted> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9);
        let mut point = (u64::from(turn) * self.total_weight) >> u32::BITS;
        self.backends.iter().find(|weighted| {
            let weight = u64::from(weighted.weight);
            let here = point < weight;
            point = point.saturating_sub(weight);
            here
        })
    }
}

struct Table {
    /// `None` before the first route file.
    generation: Option<u64>,
    /// By environment, then model.
    routes: HashMap<String, HashMap<String, LiveRoute>>,
}

/// Holds the table that serves and replaces it.
pub(super) struct Switchboard {
    current: ArcSwap<Table>,
    swap: Mutex<Swap>,
    pub metrics: Metrics,
}

/// Only the one who replaces the table needs it.
#[derive(Default)]
struct Swap {
    applied: RouteTable,
    /// Every container of the current table.
    live: Vec<Arc<Backend>>,
    /// Those of earlier tables that still answer requests.
    draining: Vec<Arc<Backend>>,
    rejected_file: Option<String>,
}

impl Switchboard {
    pub(super) fn new() -> Self {
        Self {
            current: ArcSwap::from_pointee(Table { generation: None, routes: HashMap::new() }),
            swap: Mutex::default(),
            metrics: Metrics::new(),
        }
    }

    /// Takes a place at one of the route's containers, by weight.
    pub(super) fn enter(&self, environment: &str, model: &str) -> Result<InFlight, GatewayError> {
        loop {
            let table = self.current.load();
            let route = table.route(environment, model)?;
            let Some(weighted) = route.pick() else {
                return Err(GatewayError::NoReadyRevision {
                    environment: environment.to_owned(),
                    model: model.to_owned(),
                });
            };
            match weighted.backend.enter(weighted.max_concurrent) {
                Entry::In(place) => return Ok(place),
                Entry::Full => {
                    return Err(GatewayError::ConcurrencyLimit {
                        environment: environment.to_owned(),
                        model: model.to_owned(),
                        revision_id: weighted.backend.revision_id.clone(),
                        max_concurrent: weighted.max_concurrent,
                    });
                }
                // A container retires after its successor table serves: the next look finds that.
                Entry::Retired => {}
            }
        }
    }

    pub(super) fn route_metrics(
        &self,
        environment: &str,
        model: &str,
    ) -> Result<Arc<RouteMetrics>, GatewayError> {
        Ok(Arc::clone(&self.current.load().route(environment, model)?.metrics))
    }

    /// Reads the route file and serves it; a damaged one leaves the table as it is. Blocks on the
    /// file. Returns the generation that serves.
    pub(super) fn load(&self, path: &Path) -> Result<u64, RouteFileError> {
        // Held while reading: of two loads at once, the later one must win.
        let mut swap = self.lock();
        match RouteTable::read(path) {
            Ok(table) => {
                swap.rejected_file = None;
                let generation = table.generation;
                if self.current.load().generation.is_none() || table != swap.applied {
                    self.apply(&mut swap, table);
                }
                Ok(generation)
            }
            Err(error) => {
                let text = error.to_string();
                if swap.rejected_file.as_ref() != Some(&text) {
                    tracing::error!(
                        error = text,
                        "route file not taken, the table before it goes on serving"
                    );
                    swap.rejected_file = Some(text);
                }
                Err(error)
            }
        }
    }

    fn apply(&self, swap: &mut Swap, table: RouteTable) {
        let mut live = Vec::new();
        let mut next = Table { generation: Some(table.generation), routes: HashMap::new() };
        for route in &table.routes {
            let backends: Vec<Weighted> = route
                .backends
                .iter()
                .filter_map(|backend| {
                    Some(Weighted {
                        weight: backend.weight,
                        max_concurrent: backend.max_concurrent,
                        backend: swap.find_or_make(route, backend)?,
                    })
                })
                .collect();
            live.extend(backends.iter().map(|weighted| Arc::clone(&weighted.backend)));
            let live_route = LiveRoute {
                total_weight: backends.iter().map(|weighted| u64::from(weighted.weight)).sum(),
                backends,
                turn: AtomicU32::new(0),
                metrics: self.metrics.route(&route.environment, &route.model),
            };
            next.routes.entry(route.environment.clone()).or_default().insert(route.model.clone(), live_route);
        }
        self.current.store(Arc::new(next));
        let before = std::mem::replace(&mut swap.live, live);
        for backend in before {
            if !swap.live.iter().any(|live| Arc::ptr_eq(live, &backend)) {
                backend.retired.store(true, Ordering::SeqCst);
                backend.pool.close();
                swap.draining.push(backend);
            }
        }
        tracing::info!(generation = table.generation, routes = table.routes.len(), "route table serves");
        swap.applied = table;
    }

    pub(super) fn status(&self) -> GatewayStatus {
        let mut swap = self.lock();
        swap.forget_drained();
        let live = swap.live.iter().map(|backend| backend.status(false));
        let draining = swap.draining.iter().map(|backend| backend.status(true));
        GatewayStatus {
            generation: swap.applied.generation,
            backends: live.chain(draining).collect(),
            rejected_file: swap.rejected_file.clone(),
        }
    }

    /// Closes connections that have been idle for `max_idle` and forgets drained containers.
    pub(super) fn sweep(&self, max_idle: Duration) {
        let mut swap = self.lock();
        swap.forget_drained();
        for backend in &swap.live {
            backend.pool.sweep(max_idle);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Swap> {
        self.swap.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn route(&self, environment: &str, model: &str) -> Result<&LiveRoute, GatewayError> {
        if self.generation.is_none() {
            return Err(GatewayError::NoRoutes);
        }
        self.routes.get(environment).and_then(|models| models.get(model)).ok_or_else(|| {
            GatewayError::RouteNotFound {
                environment: super::error::shown(environment),
                model: super::error::shown(model),
            }
        })
    }
}

impl Swap {
    /// The same container keeps its count and connections, also when it comes back while draining.
    fn find_or_make(&mut self, route: &routes::Route, backend: &routes::Backend) -> Option<Arc<Backend>> {
        let same = |known: &Arc<Backend>| known.is(&route.environment, &route.model, backend);
        if let Some(known) = self.live.iter().find(|known| same(known)) {
            return Some(Arc::clone(known));
        }
        if let Some(index) = self.draining.iter().position(same) {
            let known = self.draining.swap_remove(index);
            known.pool.open();
            known.retired.store(false, Ordering::SeqCst);
            return Some(known);
        }
        // The table was checked when it was read, so its upstreams parse.
        Backend::new(&route.environment, &route.model, backend).map(Arc::new)
    }

    fn forget_drained(&mut self) {
        self.draining.retain(|backend| backend.in_flight.load(Ordering::SeqCst) > 0);
    }
}
