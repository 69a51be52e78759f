//! What the gateway answers by itself, as RFC 9457 problems with a stable code.

use super::body::Body;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use waybill_client::api::Problem;

/// Longest part of a caller's input that an answer or a log line repeats, in characters.
const SHOWN_CHARS: usize = 100;

/// Why a request was answered by the gateway and not by a container.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error("the request has {found}, expected exactly one Host header with host[:port]")]
    InvalidHost { found: &'static str },
    #[error("Host {host:?} is not served here; add it with --allowed-host if it is yours")]
    HostNotAllowed { host: String },
    #[error("a page from {origin:?} may not write here")]
    OriginNotAllowed { origin: String },
    #[error("path {path:?} has {problem}")]
    InvalidPath { path: String, problem: &'static str },
    #[error("path {path:?} is not /{{environment}}/{{model}}/…")]
    NoSuchPath { path: String },
    #[error("no deployment of model {model:?} in environment {environment:?}")]
    RouteNotFound { environment: String, model: String },
    #[error("{method} is not allowed here, expected GET or HEAD")]
    MethodNotAllowed { method: String },
    #[error("the gateway has no route table yet; the deployer writes it when it starts")]
    NoRoutes,
    #[error("model {model:?} in environment {environment:?} has no ready revision")]
    NoReadyRevision { environment: String, model: String },
    #[error(
        "revision {revision_id} of model {model:?} in environment {environment:?} answers \
         {max_concurrent} requests already, which is its limit"
    )]
    ConcurrencyLimit { environment: String, model: String, revision_id: String, max_concurrent: u32 },
    #[error("the request body is larger than {limit_bytes} bytes")]
    BodyTooLarge { limit_bytes: u64 },
    #[error("no byte of the request body came for {silence_ms} ms")]
    BodyTimeout { silence_ms: u64 },
    #[error("the request body ended early")]
    BodyIncomplete,
    #[error(
        "revision {revision_id} of model {model:?} in environment {environment:?} cannot be reached: {cause}"
    )]
    UpstreamUnreachable { environment: String, model: String, revision_id: String, cause: String },
    #[error("revision {revision_id} of model {model:?} in environment {environment:?} broke off: {cause}")]
    UpstreamFailed { environment: String, model: String, revision_id: String, cause: String },
    #[error(
        "what answered at the address of revision {revision_id} of model {model:?} in environment \
         {environment:?} is not that revision"
    )]
    UpstreamStranger { environment: String, model: String, revision_id: String },
    #[error(
        "revision {revision_id} of model {model:?} in environment {environment:?} did not answer \
         within {limit_ms} ms"
    )]
    UpstreamTimeout { environment: String, model: String, revision_id: String, limit_ms: u64 },
}

impl GatewayError {
    /// Status and stable code.
    pub fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::InvalidHost { .. } => (StatusCode::BAD_REQUEST, "INVALID_HOST"),
            Self::HostNotAllowed { .. } => (StatusCode::FORBIDDEN, "HOST_NOT_ALLOWED"),
            Self::OriginNotAllowed { .. } => (StatusCode::FORBIDDEN, "ORIGIN_NOT_ALLOWED"),
            Self::InvalidPath { .. } => (StatusCode::BAD_REQUEST, "INVALID_PATH"),
            Self::NoSuchPath { .. } => (StatusCode::NOT_FOUND, "NO_SUCH_PATH"),
            Self::RouteNotFound { .. } => (StatusCode::NOT_FOUND, "ROUTE_NOT_FOUND"),
            Self::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"),
            Self::NoRoutes => (StatusCode::SERVICE_UNAVAILABLE, "NO_ROUTES"),
            Self::NoReadyRevision { .. } => (StatusCode::SERVICE_UNAVAILABLE, "NO_READY_REVISION"),
            Self::ConcurrencyLimit { .. } => (StatusCode::SERVICE_UNAVAILABLE, "CONCURRENCY_LIMIT"),
            Self::BodyTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE"),
            Self::BodyTimeout { .. } => (StatusCode::REQUEST_TIMEOUT, "BODY_TIMEOUT"),
            Self::BodyIncomplete => (StatusCode::BAD_REQUEST, "BODY_INCOMPLETE"),
            Self::UpstreamUnreachable { .. } => (StatusCode::BAD_GATEWAY, "UPSTREAM_UNREACHABLE"),
            Self::UpstreamFailed { .. } => (StatusCode::BAD_GATEWAY, "UPSTREAM_FAILED"),
            Self::UpstreamStranger { .. } => (StatusCode::BAD_GATEWAY, "UPSTREAM_STRANGER"),
            Self::UpstreamTimeout { .. } => (StatusCode::GATEWAY_TIMEOUT, "UPSTREAM_TIMEOUT"),
        }
    }

    /// Seconds after which the same request may do better.
    fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::ConcurrencyLimit { .. } => Some(1),
            Self::NoRoutes | Self::NoReadyRevision { .. } => Some(5),
            _ => None,
        }
    }

    /// The problem document as a response.
    pub fn into_response(self, request_id: &HeaderValue) -> Response<Body> {
        let (status, code) = self.kind();
        let problem = Problem {
            type_uri: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: self.to_string(),
            code: code.to_owned(),
            request_id: request_id.to_str().ok().map(str::to_owned),
        };
        let json = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = Response::new(Body::from(Bytes::from(json)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_s() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if matches!(self, Self::MethodNotAllowed { .. }) {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }
}

/// A caller's text, cut to what an answer may repeat.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}
