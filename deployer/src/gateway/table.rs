//! The route table that serves: one immutable value, swapped whole, and what outlives a swap.

use super::backend::{Backend, Entry, InFlight};
use super::error::{GatewayError, shown};
use super::metrics::{Metrics, RouteMetrics};
use super::routes::{self, GatewayStatus, RouteFileError, RouteTable};
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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
                backend.retire();
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
            GatewayError::RouteNotFound { environment: shown(environment), model: shown(model) }
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
            known.reinstate();
            return Some(known);
        }
        // The table was checked when it was read, so its upstreams parse.
        Backend::new(&route.environment, &route.model, backend).map(Arc::new)
    }

    fn forget_drained(&mut self) {
        self.draining.retain(|backend| !backend.is_idle());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::{Backend as FileBackend, Route};
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicBool, AtomicU64};
    use std::thread;

    fn backend(revision: u64, weight: u32) -> FileBackend {
        FileBackend {
            revision_id: revision.to_string(),
            upstream: "http://127.0.0.1:1".into(),
            weight,
            max_concurrent: 8,
            tells_revision: false,
        }
    }

    fn serve(board: &Switchboard, generation: u64, backends: Vec<FileBackend>) {
        let route = Route { environment: "test".into(), model: "m".into(), backends };
        board.apply(
            &mut board.lock(),
            RouteTable { generation, routes: vec![route], ..RouteTable::default() },
        );
    }

    #[test]
    fn a_container_lets_nobody_in_once_its_successor_serves() {
        let board = Switchboard::new();
        serve(&board, 1, vec![backend(1, 100)]);
        let old = Arc::clone(&board.lock().live[0]);
        assert!(matches!(old.enter(8), Entry::In(_)));
        serve(&board, 2, vec![backend(2, 100)]);
        assert!(matches!(old.enter(8), Entry::Retired));
        assert!(matches!(old.enter(0), Entry::Retired), "a full one sends to its successor too");
        serve(&board, 3, vec![]);
        let error = board.enter("test", "m").err().map(|error| error.kind().1);
        assert_eq!(error, Some("NO_READY_REVISION"));
    }

    #[test]
    fn nobody_is_at_a_container_that_the_status_calls_gone() {
        const SWITCHES: u64 = 3_000;
        let board = Switchboard::new();
        let (gone_up_to, done) = (AtomicU64::new(0), AtomicBool::new(false));
        serve(&board, 1, vec![backend(1, 100)]);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !done.load(Ordering::SeqCst) {
                        let Ok(place) = board.enter("test", "m") else { continue };
                        let revision: u64 = place.backend().revision_id.parse().unwrap();
                        thread::yield_now();
                        let gone = gone_up_to.load(Ordering::SeqCst);
                        assert!(revision > gone, "at {revision} while all up to {gone} are gone");
                    }
                });
            }
            for generation in 2..=SWITCHES {
                serve(&board, generation, vec![backend(generation, 100)]);
                while board.status().backends.len() > 1 {
                    thread::yield_now();
                }
                gone_up_to.store(generation - 1, Ordering::SeqCst);
            }
            done.store(true, Ordering::SeqCst);
        });
    }

    #[test]
    fn a_place_is_free_again_when_dropped() {
        let board = Switchboard::new();
        serve(&board, 1, vec![backend(1, 100)]);
        let places: Vec<_> = (0..8).map(|_| board.enter("test", "m").ok().unwrap()).collect();
        assert_eq!(board.status().backends[0].in_flight, 8);
        assert_eq!(board.enter("test", "m").err().unwrap().kind().1, "CONCURRENCY_LIMIT");
        drop(places);
        assert_eq!(board.status().backends[0].in_flight, 0);
        assert!(board.enter("test", "m").is_ok());
    }

    proptest! {
        #[test]
        fn shares_follow_the_weights(weights in proptest::collection::vec(0_u32..1_000, 1..5), turns in 1_u32..2_000) {
            let board = Switchboard::new();
            let backends = weights.iter().zip(0..).map(|(weight, revision)| backend(revision, *weight)).collect();
            serve(&board, 1, backends);
            let total: u32 = weights.iter().sum();
            let table = board.current.load();
            let route = table.route("test", "m").ok().unwrap();
            let mut counts = vec![0_u32; weights.len()];
            for _ in 0..turns {
                let picked = route.pick();
                prop_assert_eq!(picked.is_none(), total == 0);
                if let Some(picked) = picked {
                    counts[picked.backend.revision_id.parse::<usize>().unwrap()] += 1;
                }
            }
            for (weight, count) in weights.iter().zip(&counts) {
                prop_assert!(total == 0 || *weight > 0 || *count == 0, "a weight of 0 takes nothing");
                let share = f64::from(turns) * f64::from(*weight) / f64::from(total.max(1));
                prop_assert!((f64::from(*count) - share).abs() < 8.0, "{count} of {turns}, expected {share}");
            }
        }
    }
}
