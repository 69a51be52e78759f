//! Sending a request to a container, and a second time only where that cannot do anything twice.

use super::backend::{Backend, InFlight};
use super::body::{Body, BodyProgress, ClientFault, Lease, RequestBody};
use super::error::GatewayError;
use super::pool;
use super::proxy::Proxy;
use http::header::HOST;
use http::{Request, Response, StatusCode};
use std::pin::pin;

impl Proxy {
    /// Sends the request held to one of the route's containers. A request that is held afterwards
    /// reached none.
    pub(super) async fn relay(
        &self,
        held: &mut Option<Request<RequestBody>>,
        environment: &str,
        model: &str,
    ) -> Result<Response<Body>, GatewayError> {
        let place = self.switchboard.enter(environment, model)?;
        match self.attempt(held, place, true).await {
            // The second attempt may find another container, and takes a new connection.
            Err(_) if held.is_some() => {
                let place = self.switchboard.enter(environment, model)?;
                self.attempt(held, place, false).await
            }
            done => done,
        }
    }

    /// Takes a connection, an idle one if `reuse`, sends the request and waits for the answer. Puts
    /// the request back if no byte was sent, or if it may be repeated.
    async fn attempt(
        &self,
        held: &mut Option<Request<RequestBody>>,
        in_flight: InFlight,
        reuse: bool,
    ) -> Result<Response<Body>, GatewayError> {
        let backend = in_flight.backend();
        let idle = if reuse { backend.pool.take(self.limits.upstream_idle) } else { None };
        let mut connection = match idle {
            Some(connection) => connection,
            None => pool::connect(&backend.host, backend.port, self.limits.connect_timeout)
                .await
                .map_err(|error| unreachable(backend, &error))?,
        };
        let Some(mut request) = held.take() else {
            return Err(GatewayError::BodyIncomplete);
        };
        request.headers_mut().insert(HOST, backend.host_header.clone());
        let progress = request.body().progress();
        let repeatable = connection.reused && request.body().is_empty() && request.method().is_idempotent();
        let copy = repeatable.then(|| copy_of(&request));
        let sending = connection.sender.try_send_request(request);
        let sent = self.wait(sending, &progress).await.ok_or_else(|| self.timed_out(backend))?;
        match sent {
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                Err(failed(backend, "it switched protocols unasked"))
            }
            Ok(response) if !backend.answers(response.headers()) => Err(GatewayError::UpstreamStranger {
                environment: backend.environment.clone(),
                model: backend.model.clone(),
                revision_id: backend.revision_id.clone(),
            }),
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
                *held = error.take_message().or(copy);
                Err(self.blame(backend, &progress, &error.into_error()))
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

    fn timed_out(&self, backend: &Backend) -> GatewayError {
        GatewayError::UpstreamTimeout {
            environment: backend.environment.clone(),
            model: backend.model.clone(),
            revision_id: backend.revision_id.clone(),
            limit_ms: self.limits.response_timeout.as_millis() as u64,
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
