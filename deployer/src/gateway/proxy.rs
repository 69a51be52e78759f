//! One request: what is checked, where it goes, and what its client gets when it goes nowhere.

use super::access::AllowedHosts;
use super::admin;
use super::body::{Body, RequestBody};
use super::error::{GatewayError, shown};
use super::headers::{self, Forwarded};
use super::metrics::Observation;
use super::path;
use super::table::Switchboard;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::{Body as _, Incoming};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What a client's connection adds to each of its requests.
pub(super) struct ClientConnection {
    pub peer: HeaderValue,
    pub local: IpAddr,
}

pub(super) struct Limits {
    pub max_body_bytes: u64,
    pub connect_timeout: Duration,
    pub response_timeout: Duration,
    pub body_timeout: Duration,
    pub upstream_idle: Duration,
}

pub(super) struct Proxy {
    pub switchboard: Arc<Switchboard>,
    pub allowed_hosts: AllowedHosts,
    pub limits: Limits,
}

impl Proxy {
    /// Answers a request; never fails.
    pub(super) async fn handle(
        &self,
        request: Request<Incoming>,
        client: &ClientConnection,
    ) -> Response<Body> {
        let request_id = headers::request_id(request.headers());
        let mut observation = Observation::start(&self.switchboard.metrics.unrouted);
        let waits_for_100 = request.headers().contains_key(EXPECT);
        let request =
            request.map(|body| RequestBody::new(body, self.limits.max_body_bytes, self.limits.body_timeout));
        let bodiless = request.body().is_empty();
        let mut held = Some(request);
        let answer = self.answer(&mut held, client, &request_id, &mut observation).await;
        let mut response = match answer {
            Ok(response) => response,
            Err(error) => {
                log(&error, &request_id);
                let body_read = match held {
                    Some(_) if waits_for_100 => bodiless,
                    Some(unsent) => unsent.into_body().discard().await,
                    None => bodiless,
                };
                refusal(error, request_id, body_read)
            }
        };
        observation.answered(response.status());
        response.body_mut().observe(observation);
        response
    }

    /// Takes the request out of `held` when it goes to a container; what stays there was not read.
    async fn answer(
        &self,
        held: &mut Option<Request<RequestBody>>,
        client: &ClientConnection,
        request_id: &HeaderValue,
        observation: &mut Observation,
    ) -> Result<Response<Body>, GatewayError> {
        let Some(request) = held else {
            return Err(GatewayError::BodyIncomplete);
        };
        let host = self
            .allowed_hosts
            .check(request.method(), request.uri(), request.headers(), client.local)?
            .to_owned();
        if let Some(answer) = admin::answer(request.method(), request.uri().path(), &self.switchboard) {
            return answer;
        }
        let uri = std::mem::take(request.uri_mut());
        let target = path::split(uri.path())?;
        observation.routed(self.switchboard.route_metrics(&target.environment, &target.model)?);
        let limit_bytes = self.limits.max_body_bytes;
        if request.body().size_hint().lower() > limit_bytes {
            return Err(GatewayError::BodyTooLarge { limit_bytes });
        }
        *request.uri_mut() = upstream_uri(target.rest, &uri)?;
        let from = Forwarded { peer: &client.peer, host: &host, prefix: target.prefix, request_id };
        headers::prepare_request(request.headers_mut(), &from);
        set_length(request);
        let mut response = self.relay(held, &target.environment, &target.model).await?;
        headers::prepare_response(response.headers_mut(), request_id);
        Ok(response)
    }
}

/// The problem as an answer. Without `body_read`, the connection may hold a rest of the request.
fn refusal(error: GatewayError, request_id: HeaderValue, body_read: bool) -> Response<Body> {
    let mut response = error.into_response(&request_id);
    let headers = response.headers_mut();
    headers.insert(headers::X_REQUEST_ID, request_id);
    if !body_read {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn upstream_uri(rest: &str, uri: &Uri) -> Result<Uri, GatewayError> {
    let path = if rest.is_empty() { "/" } else { rest };
    let target = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    target.map(Uri::from).map_err(|_| GatewayError::InvalidPath {
        path: shown(uri.path()),
        problem: "a character that no path may hold",
    })
}

/// hyper takes the length from the body where it knows it; the two cases that it gets wrong for a
/// proxy are set here.
fn set_length(request: &mut Request<RequestBody>) {
    if request.body().is_empty() {
        if matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH) {
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
    } else if request.body().size_hint().exact().is_none() {
        // Otherwise it drops the body of a GET.
        request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

fn log(error: &GatewayError, request_id: &HeaderValue) {
    let request_id = request_id.to_str().unwrap_or_default();
    let (status, code) = error.kind();
    if matches!(status, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT) {
        tracing::warn!(request_id, code, %error, "request failed");
    } else {
        tracing::debug!(request_id, code, %error, "request refused");
    }
}
