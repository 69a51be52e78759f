//! One request from its head to its answer's head.

use super::access::AllowedHosts;
use super::admin;
use super::backend::{Backend, InFlight};
use super::body::{Body, BodyProgress, ClientFault, Lease, RequestBody};
use super::error::{GatewayError, shown};
use super::headers::{self, Forwarded};
use super::metrics::Observation;
use super::path;
use super::pool::{self, Connection};
use super::table::Switchboard;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::{Body as _, Incoming};
use std::net::IpAddr;
use std::pin::pin;
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

/// How an exchange with a container failed.
enum Failure {
    /// No byte was sent, or the method may be repeated: the request, for another attempt.
    Again(Box<Request<RequestBody>>, GatewayError),
    Final(GatewayError),
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
        let answer = self.answer(request, client, &request_id, &mut observation).await;
        let mut response = answer.unwrap_or_else(|error| {
            log(&error, &request_id);
            let mut response = error.into_response(&request_id);
            response.headers_mut().insert(headers::X_REQUEST_ID, request_id);
            response
        });
        observation.answered(response.status());
        response.body_mut().observe(observation);
        response
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        client: &ClientConnection,
        request_id: &HeaderValue,
        observation: &mut Observation,
    ) -> Result<Response<Body>, GatewayError> {
        let (mut parts, body) = request.into_parts();
        let host =
            self.allowed_hosts.check(&parts.method, &parts.uri, &parts.headers, client.local)?.to_owned();
        if let Some(answer) = admin::answer(&parts.method, parts.uri.path(), &self.switchboard) {
            return answer;
        }
        let uri = std::mem::take(&mut parts.uri);
        let target = path::split(uri.path())?;
        observation.routed(self.switchboard.route_metrics(&target.environment, &target.model)?);
        let body = self.bounded(body)?;
        parts.uri = upstream_uri(target.rest, &uri)?;
        headers::prepare_request(
            &mut parts.headers,
            &Forwarded { peer: &client.peer, host: &host, prefix: target.prefix, request_id },
        );
        set_length(&mut parts.headers, &parts.method, &body);
        let request = Request::from_parts(parts, body);
        self.relay(request, &target.environment, &target.model, request_id).await
    }

    fn bounded(&self, body: Incoming) -> Result<RequestBody, GatewayError> {
        let limit_bytes = self.limits.max_body_bytes;
        let announced = body.size_hint().lower();
        if announced > limit_bytes {
            return Err(GatewayError::BodyTooLarge { limit_bytes });
        }
        Ok(RequestBody::new(body, limit_bytes, self.limits.body_timeout))
    }

    /// Sends the request to a container, a second time only where that cannot do anything twice.
    async fn relay(
        &self,
        request: Request<RequestBody>,
        environment: &str,
        model: &str,
        request_id: &HeaderValue,
    ) -> Result<Response<Body>, GatewayError> {
        let first = self.attempt(request, environment, model, true).await;
        let answer = match first {
            Err(Failure::Again(request, _)) => self.attempt(*request, environment, model, false).await,
            done => done,
        };
        match answer {
            Ok(mut response) => {
                headers::prepare_response(response.headers_mut(), request_id);
                Ok(response)
            }
            Err(Failure::Again(_, error) | Failure::Final(error)) => Err(error),
        }
    }

    /// One attempt: takes a place, a connection (an idle one if `reuse`), and waits for the answer.
    async fn attempt(
        &self,
        mut request: Request<RequestBody>,
        environment: &str,
        model: &str,
        reuse: bool,
    ) -> Result<Response<Body>, Failure> {
        let in_flight = self.switchboard.enter(environment, model).map_err(Failure::Final)?;
        let backend = in_flight.backend();
        let idle = if reuse { backend.pool.take(self.limits.upstream_idle) } else { None };
        let connection = match idle {
            Some(connection) => connection,
            None => match pool::connect(&backend.host, backend.port, self.limits.connect_timeout).await {
                Ok(connection) => connection,
                Err(error) => {
                    let error = unreachable(backend, &error);
                    return Err(Failure::Again(Box::new(request), error));
                }
            },
        };
        request.headers_mut().insert(HOST, backend.host_header.clone());
        self.exchange(request, connection, in_flight).await
    }

    async fn exchange(
        &self,
        request: Request<RequestBody>,
        mut connection: Connection,
        in_flight: InFlight,
    ) -> Result<Response<Body>, Failure> {
        let backend = in_flight.backend();
        let progress = request.body().progress();
        let copy = (connection.reused && request.body().is_empty() && request.method().is_idempotent())
            .then(|| copy_of(&request));
        let sending = connection.sender.try_send_request(request);
        let Some(sent) = self.wait(sending, &progress).await else {
            return Err(Failure::Final(GatewayError::UpstreamTimeout {
                environment: backend.environment.clone(),
                model: backend.model.clone(),
                revision_id: backend.revision_id.clone(),
                limit_ms: self.limits.response_timeout.as_millis() as u64,
            }));
        };
        match sent {
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                Err(Failure::Final(failed(backend, "it switched protocols unasked")))
            }
            Ok(response) => {
                let (parts, incoming) = response.into_parts();
                let lease = Lease { connection, in_flight, observation: None };
                let mut response =
                    Response::new(Body::upstream(incoming, self.limits.response_timeout, lease));
                *response.status_mut() = parts.status;
                *response.headers_mut() = parts.headers;
                Ok(response)
            }
            Err(mut error) => {
                let unsent = error.take_message().or(copy);
                let error = self.blame(backend, &progress, &error.into_error());
                Err(match unsent {
                    Some(request) => Failure::Again(Box::new(request), error),
                    None => Failure::Final(error),
                })
            }
        }
    }

    /// `None` when neither a byte of the body went out nor the answer came for the time limit.
    async fn wait<T>(&self, sending: impl Future<Output = T>, progress: &BodyProgress) -> Option<T> {
        let mut sending = pin!(sending);
        loop {
            let frames = progress.frames();
            match tokio::time::timeout(self.limits.response_timeout, sending.as_mut()).await {
                Ok(sent) => return Some(sent),
                Err(_) if progress.frames() > frames => {}
                Err(_) => return None,
            }
        }
    }

    /// A request that broke off because of its client is the client's fault.
    fn blame(&self, backend: &Backend, progress: &BodyProgress, error: &hyper::Error) -> GatewayError {
        match progress.fault() {
            ClientFault::TooLarge => GatewayError::BodyTooLarge { limit_bytes: self.limits.max_body_bytes },
            ClientFault::Silent => {
                GatewayError::BodyTimeout { silence_ms: self.limits.body_timeout.as_millis() as u64 }
            }
            ClientFault::Broken => GatewayError::BodyIncomplete,
            ClientFault::None => failed(backend, &describe(error)),
        }
    }
}

fn copy_of(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
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
fn set_length(headers: &mut HeaderMap, method: &Method, body: &RequestBody) {
    if body.is_empty() {
        if matches!(*method, Method::POST | Method::PUT | Method::PATCH) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
    } else if body.size_hint().exact().is_none() {
        // Otherwise it drops the body of a GET.
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

fn unreachable(backend: &Backend, error: &std::io::Error) -> GatewayError {
    GatewayError::UpstreamUnreachable {
        environment: backend.environment.clone(),
        model: backend.model.clone(),
        revision_id: backend.revision_id.clone(),
        cause: error.to_string(),
    }
}

fn failed(backend: &Backend, cause: &str) -> GatewayError {
    GatewayError::UpstreamFailed {
        environment: backend.environment.clone(),
        model: backend.model.clone(),
        revision_id: backend.revision_id.clone(),
        cause: cause.to_owned(),
    }
}

/// The error and what lies under it: hyper names only the layer.
fn describe(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
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
