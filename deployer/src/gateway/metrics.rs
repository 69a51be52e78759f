//! Figures of the gateway, in Prometheus text.

use super::routes::BackendStatus;
use http::StatusCode;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// Label `code` of a request: the class of the answer, or that the client went before it came.
const CODES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "aborted"];
const ABORTED: usize = CODES.len() - 1;

type Labels<const N: usize> = [(&'static str, String); N];

pub(super) struct Metrics {
    registry: Registry,
    requests: Family<Labels<3>, Counter>,
    durations: Family<Labels<2>, Histogram, fn() -> Histogram>,
    in_flight: Family<Labels<3>, Gauge>,
    generation: Gauge,
    pub connections: Gauge,
    /// Requests that belong to no route.
    pub unrouted: Arc<RouteMetrics>,
    /// One scrape at a time: each sets `in_flight` anew.
    scrape: Mutex<()>,
}

/// The series of one route, looked up once per route table and not per request.
pub(super) struct RouteMetrics {
    requests: [Counter; CODES.len()],
    duration: Histogram,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("waybill_gateway");
        let requests = Family::default();
        let durations = Family::new_with_constructor(duration_histogram as fn() -> Histogram);
        let in_flight = Family::default();
        let generation = Gauge::default();
        let connections = Gauge::default();
        registry.register("requests", "Requests by class of the answer", requests.clone());
        registry.register_with_unit(
            "request_duration",
            "From the request's head to the end of the answer",
            Unit::Seconds,
            durations.clone(),
        );
        registry.register("in_flight", "Requests whose answers have not ended", in_flight.clone());
        registry.register(
            "route_generation",
            "Generation of the route table that serves",
            generation.clone(),
        );
        registry.register("connections", "Open connections of clients", connections.clone());
        let unrouted = Arc::new(route_metrics(&requests, &durations, "", ""));
        Self {
            registry,
            requests,
            durations,
            in_flight,
            generation,
            connections,
            unrouted,
            scrape: Mutex::default(),
        }
    }

    pub(super) fn route(&self, environment: &str, model: &str) -> Arc<RouteMetrics> {
        Arc::new(route_metrics(&self.requests, &self.durations, environment, model))
    }

    pub(super) fn render(&self, generation: u64, backends: &[BackendStatus]) -> String {
        let _one = self.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        self.generation.set(generation as i64);
        self.in_flight.clear();
        for backend in backends {
            let labels = [
                ("environment", backend.environment.clone()),
                ("model", backend.model.clone()),
                ("revision_id", backend.revision_id.clone()),
            ];
            self.in_flight.get_or_create(&labels).inc_by(backend.in_flight as i64);
        }
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

fn duration_histogram() -> Histogram {
    Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0])
}

fn route_metrics(
    requests: &Family<Labels<3>, Counter>,
    durations: &Family<Labels<2>, Histogram, fn() -> Histogram>,
    environment: &str,
    model: &str,
) -> RouteMetrics {
    let route = || [("environment", environment.to_owned()), ("model", model.to_owned())];
    RouteMetrics {
        requests: CODES.map(|code| {
            let [environment, model] = route();
            requests.get_or_create_owned(&[environment, model, ("code", code.to_owned())])
        }),
        duration: durations.get_or_create_owned(&route()),
    }
}

/// One request, counted when it is dropped.
pub(super) struct Observation {
    metrics: Arc<RouteMetrics>,
    started: Instant,
    code: usize,
}

impl Observation {
    pub(super) fn start(metrics: &Arc<RouteMetrics>) -> Self {
        Self { metrics: Arc::clone(metrics), started: Instant::now(), code: ABORTED }
    }

    /// The request turned out to belong to a route.
    pub(super) fn routed(&mut self, metrics: Arc<RouteMetrics>) {
        self.metrics = metrics;
    }

    pub(super) fn answered(&mut self, status: StatusCode) {
        self.code = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        self.metrics.requests[self.code].inc();
        self.metrics.duration.observe(self.started.elapsed().as_secs_f64());
    }
}
