//! The gateway's own paths, below `/.waybill/`.

use super::body::Body;
use super::error::{GatewayError, shown};
use super::routes::RESERVED_SEGMENT;
use super::table::Switchboard;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Response};

/// The answer, or `None` for a path that belongs to a deployment.
pub(super) fn answer(
    method: &Method,
    path: &str,
    switchboard: &Switchboard,
) -> Option<Result<Response<Body>, GatewayError>> {
    let (first, rest) = path.strip_prefix('/')?.split_once('/').unwrap_or((&path[1..], ""));
    if first != RESERVED_SEGMENT {
        return None;
    }
    Some(page(method, path, rest, switchboard))
}

fn page(
    method: &Method,
    path: &str,
    name: &str,
    switchboard: &Switchboard,
) -> Result<Response<Body>, GatewayError> {
    let read = || match *method {
        Method::GET | Method::HEAD => Ok(()),
        _ => Err(GatewayError::MethodNotAllowed { method: shown(method.as_str()) }),
    };
    match name {
        "health" => {
            read()?;
            Ok(text("text/plain; charset=utf-8", "OK"))
        }
        "status" => {
            read()?;
            let json = serde_json::to_vec(&switchboard.status()).unwrap_or_default();
            Ok(text("application/json", json))
        }
        "metrics" => {
            read()?;
            let status = switchboard.status();
            let figures = switchboard.metrics.render(status.generation, &status.backends);
            Ok(text("application/openmetrics-text; version=1.0.0; charset=utf-8", figures))
        }
        _ => Err(GatewayError::NoSuchPath { path: shown(path) }),
    }
}

fn text(content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::from(body.into()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
