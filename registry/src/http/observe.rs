//! Request ids, one log line per request, and metrics.

use crate::{db::WriterMetrics, webhooks::DeliveryMetrics};
use axum::{
    extract::{FromRequestParts, MatchedPath, Request, State},
    http::{HeaderValue, Method, StatusCode, request::Parts},
    middleware::Next,
    response::Response,
};
use hyper::ext::ReasonPhrase;
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use std::{convert::Infallible, sync::Arc, time::Instant};
use tracing::Instrument as _;
use uuid::Uuid;

const REQUEST_ID_HEADER: &str = "x-request-id";
/// A caller's own id is kept when it is short and plain, so that logs on both sides meet.
const REQUEST_ID_MAX_CHARS: usize = 64;

tokio::task_local! {
    static REQUEST_ID: String;
}

/// The id of the request being handled, on its own task.
pub fn current_request_id() -> Option<String> {
    REQUEST_ID.try_with(Clone::clone).ok()
}

/// The request's id, for audit events.
#[derive(Debug, Clone)]
pub struct RequestId(pub Option<String>);

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(current_request_id()))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    route: String,
}

/// Prometheus metrics of the service.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    requests: Family<Labels, Counter>,
    duration_seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    pub webhooks: DeliveryMetrics,
}

/// 0.1 ms to 10 s: a cached read to a large upload.
const BUCKETS_SECONDS: [f64; 10] = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 2.0, 10.0];

impl Metrics {
    /// `writer`: of a database with a single writer.
    pub fn new(writer: Option<&WriterMetrics>) -> Self {
        let requests = Family::default();
        let duration_seconds: Family<RouteLabels, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(BUCKETS_SECONDS));
        let in_flight = Gauge::default();
        let mut registry = Registry::with_prefix("waybill");
        registry.register("http_requests", "Requests answered", requests.clone());
        registry.register(
            "http_request_duration_seconds",
            "Time to the response's head",
            duration_seconds.clone(),
        );
        registry.register("http_requests_in_flight", "Requests being handled", in_flight.clone());
        let webhooks = DeliveryMetrics::default();
        webhooks.register(&mut registry);
        if let Some(writer) = writer {
            writer.register(&mut registry);
        }
        Self { registry: Arc::new(registry), requests, duration_seconds, in_flight, webhooks }
    }

    /// The Prometheus text exposition.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

pub async fn observe(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let request_id = request_id(&request);
    let method = method_label(request.method());
    // The route's template: a path with names in it would make a metric per object.
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let path = request.uri().path().to_owned();
    let span = tracing::info_span!("request", id = request_id);
    let started = Instant::now();
    let in_flight = InFlight::enter(&metrics.in_flight);
    let mut response = REQUEST_ID.scope(request_id.clone(), next.run(request)).instrument(span.clone()).await;
    drop(in_flight);
    let elapsed = started.elapsed();
    let status = response.status();
    span.in_scope(|| {
        let duration_ms = elapsed.as_secs_f64() * 1e3;
        if status.is_server_error() {
            tracing::warn!(method, path, status = status.as_u16(), duration_ms, "answered");
        } else if status.is_client_error() {
            // Refusals carry their request id to the caller, who may ask about it.
            tracing::info!(method, path, status = status.as_u16(), duration_ms, "refused");
        } else {
            tracing::debug!(method, path, status = status.as_u16(), duration_ms, "answered");
        }
    });
    metrics
        .duration_seconds
        .get_or_create(&RouteLabels { method, route: route.clone() })
        .observe(elapsed.as_secs_f64());
    metrics.requests.get_or_create(&Labels { method, route, status: status.as_u16() }).inc();
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID_HEADER, value);
    }
    name_status(&mut response);
    response
}

/// A request being handled, until its answer is there or its caller has gone.
struct InFlight(Gauge);

impl InFlight {
    fn enter(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Callers may make up methods; each would be a metric of its own.
fn method_label(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

fn request_id(request: &Request) -> String {
    let plain = |id: &&str| {
        !id.is_empty()
            && id.len() <= REQUEST_ID_MAX_CHARS
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    request
        .headers()
        .get(REQUEST_ID_HEADER)
        .and_then(|v| v.to_str().ok())
        .filter(plain)
        .map_or_else(|| Uuid::now_v7().simple().to_string(), str::to_owned)
}

/// MLflow's clients meet upper-case reason phrases (`BAD REQUEST`), as its Flask server sends.
fn name_status(response: &mut Response) {
    let status = response.status();
    if status == StatusCode::OK {
        return;
    }
    let Some(reason) = status.canonical_reason() else {
        return;
    };
    if let Ok(phrase) = ReasonPhrase::try_from(reason.to_ascii_uppercase().into_bytes()) {
        response.extensions_mut().insert(phrase);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_methods_share_a_label() {
        assert_eq!(method_label(&Method::PATCH), "PATCH");
        for made_up in ["BREW", "get", "X1"] {
            assert_eq!(method_label(&Method::from_bytes(made_up.as_bytes()).unwrap()), "other");
        }
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_is_in_flight_no_more() {
        let metrics = Metrics::new(None);
        let app = axum::Router::new()
            .route("/", axum::routing::get(std::future::pending::<()>))
            .layer(axum::middleware::from_fn_with_state(metrics.clone(), observe));
        let call = tower::ServiceExt::oneshot(app, Request::new(axum::body::Body::empty()));
        tokio::time::timeout(std::time::Duration::from_millis(20), call).await.unwrap_err();
        assert_eq!(metrics.in_flight.get(), 0);
    }
}
