//! How requests reach a registry: over HTTP, or straight into a service in the same process.

use crate::error::ClientError;
use bytes::Bytes;
use futures::{FutureExt, TryStreamExt, future::BoxFuture};
use http_body_util::{BodyExt, BodyStream, Empty, Full, combinators::UnsyncBoxBody};
use std::{convert::Infallible, time::Duration};
use tower::{ServiceExt, util::BoxCloneSyncService};
use url::Url;

/// Any error of a body's producer.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body that broke off. A type of its own, because futures over a body whose error is a trait
/// object cannot be shown to be `Send` (rust-lang/rust#102211), and no caller could spawn a call.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct BodyError(#[from] BoxError);

/// A request's or response's body, streamed.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// A registry inside this process. An axum router becomes one by
/// `BoxCloneSyncService::new(router.map_request(|r: Request<Body>| r.map(axum::body::Body::new)).map_response(|r| r.map(body)))`.
pub type Service = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Infallible>;

/// A TCP connection to a server that is up takes far less; one to a wrong address should fail soon.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Boxes anything that yields bytes.
pub fn body<B>(inner: B) -> Body
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    inner.map_err(|error| BodyError(error.into())).boxed_unsync()
}

/// A body without bytes.
pub fn empty() -> Body {
    body(Empty::new())
}

/// A body of bytes in memory.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    body(Full::new(bytes.into()))
}

#[derive(Clone)]
pub(crate) enum Transport {
    Http(reqwest::Client),
    InMemory(Service),
}

impl Transport {
    pub fn http() -> Result<Self, ClientError> {
        crate::tls::use_ring();
        let client = reqwest::Client::builder()
            .user_agent(concat!("waybill/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            // A redirected write would arrive as a GET, and no Waybill redirects.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| ClientError::Setup { message: chain(&error) })?;
        Ok(Self::Http(client))
    }

    /// Sends one request; ready as soon as the response's head is there.
    pub fn send(
        &self,
        url: &Url,
        request: http::Request<Body>,
    ) -> BoxFuture<'static, Result<http::Response<Body>, ClientError>> {
        match self {
            Self::InMemory(service) => {
                let answer = service.clone().oneshot(request);
                async { Ok(answer.await.unwrap_or_else(|never| match never {})) }.boxed()
            }
            Self::Http(client) => {
                let answer = outgoing(client, url.clone(), request).send();
                let url = url.clone();
                async move {
                    let response = answer.await.map_err(|error| ClientError::from_reqwest(&url, &error))?;
                    Ok(http::Response::from(response).map(body))
                }
                .boxed()
            }
        }
    }
}

fn outgoing(client: &reqwest::Client, url: Url, request: http::Request<Body>) -> reqwest::RequestBuilder {
    let (parts, sent) = request.into_parts();
    let builder = client.request(parts.method, url).headers(parts.headers);
    // A body of known length zero must not turn into a chunked one.
    if http_body::Body::size_hint(&sent).exact() == Some(0) {
        return builder;
    }
    let chunks = BodyStream::new(sent).try_filter_map(|frame| std::future::ready(Ok(frame.into_data().ok())));
    builder.body(reqwest::Body::wrap_stream(chunks))
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        // Wrappers often repeat their cause's text.
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        cause = error.source();
    }
    text
}
