//! A service made from a function, and answers for it.

use ::http::{Request, Response, StatusCode};
use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::BodyExt;
use serde::Serialize;
use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};
use tower::util::BoxCloneSyncService;
use waybill_client::{
    Client,
    transport::{self, Body},
};

/// What a request was, once read whole.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    pub headers: ::http::HeaderMap,
    pub body: Bytes,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub type Log = Arc<Mutex<Vec<Seen>>>;

/// A client whose requests `answer` answers; `answer` gets each with its number, from 0.
pub fn client(answer: impl Fn(usize, &Seen) -> Response<Body> + Send + Sync + 'static) -> (Client, Log) {
    let log = Log::default();
    let (seen_log, answer) = (Arc::clone(&log), Arc::new(answer));
    let service = tower::service_fn(move |request: Request<Body>| -> BoxFuture<'static, _> {
        let (log, answer) = (Arc::clone(&seen_log), Arc::clone(&answer));
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let seen = Seen {
                method: parts.method.to_string(),
                target: parts.uri.to_string(),
                headers: parts.headers,
                body: body.collect().await.map(|body| body.to_bytes()).unwrap_or_default(),
            };
            let number = {
                let mut log = log.lock().unwrap();
                log.push(seen.clone());
                log.len() - 1
            };
            Ok::<_, Infallible>(answer(number, &seen))
        })
    });
    (Client::in_memory(BoxCloneSyncService::new(service)), log)
}

pub fn json(value: &impl Serialize) -> Response<Body> {
    Response::new(transport::full(serde_json::to_vec(value).unwrap()))
}

pub fn bytes(bytes: impl Into<Bytes>) -> Response<Body> {
    Response::new(transport::full(bytes))
}

pub fn status(status: u16, body: &'static str) -> Response<Body> {
    let mut response = Response::new(transport::full(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

pub fn problem(code: u16, name: &str, detail: &str) -> Response<Body> {
    let problem = waybill_client::api::Problem {
        type_uri: "about:blank".into(),
        title: name.into(),
        status: code,
        detail: detail.into(),
        code: name.into(),
        request_id: Some("req-1".into()),
    };
    let mut response = json(&problem);
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}

/// A body that yields `parts` and then breaks, when told to.
pub fn stream(parts: Vec<Bytes>, breaks: bool) -> Response<Body> {
    let frames = parts.into_iter().map(|part| Ok(::http_body::Frame::data(part)));
    let end = breaks.then(|| Err(std::io::Error::other("connection reset by peer")));
    let frames = futures::stream::iter(frames.chain(end));
    Response::new(transport::body(http_body_util::StreamBody::new(frames)))
}
