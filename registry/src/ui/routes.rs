//! `/` and `/static-files/…`, as MLflow's server has them.

use super::{Asset, NoUi, read};
use crate::{access::Principal, app::App, http::names_etag};
use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};

const PREFIX: &str = "/static-files/";
/// Notebooks show traces in a frame of this page; MLflow lets other origins frame it, and so does
/// this server, for it shows nothing that could be clicked to change anything.
const TRACE_RENDERER: &str = "lib/notebook-trace-renderer/";

/// What the pages may load. No address but this one is ever asked. Parallel coordinates compile
/// functions (`unsafe-eval`); HTML artifacts are shown in frames without this origin's rights, which
/// inherit the policy, and have their scripts in line; previews are `blob:` and `data:`.
const POLICY: &str = "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; \
     style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; \
     media-src 'self' data: blob:; connect-src 'self' data: blob:; worker-src 'self' blob:; \
     frame-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'";

pub fn router() -> Router<App> {
    Router::new().route("/", get(index)).route("/static-files/{*path}", get(file))
}

async fn index(State(app): State<App>, _: Principal, headers: HeaderMap) -> Response {
    match app.ui.folder().await {
        Ok(root) => answer(read(root, "index.html").await, "index.html", &headers),
        Err(why) => explain(why),
    }
}

async fn file(State(app): State<App>, _: Principal, uri: Uri, headers: HeaderMap) -> Response {
    // As the client wrote it: a path that was decoded on the way would hide what is refused.
    let path = uri.path().strip_prefix(PREFIX).unwrap_or_default();
    match app.ui.folder().await {
        Ok(root) => answer(read(root, path).await, path, &headers),
        Err(_) => not_found(),
    }
}

/// What a person reads who opens the server's address in a browser.
fn explain(why: &NoUi) -> Response {
    let text = format!(
        "Waybill {} is running.\n\n{why}\n\nNotebooks use this address as their tracking URI, the native API is \
         below /api/v1.\n",
        env!("CARGO_PKG_VERSION")
    );
    ([(header::CACHE_CONTROL, "no-store")], text).into_response()
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "there is no such file\n").into_response()
}

fn answer(asset: std::io::Result<Option<Asset>>, path: &str, request: &HeaderMap) -> Response {
    let asset = match asset {
        Ok(Some(asset)) => asset,
        Ok(None) => return not_found(),
        Err(error) => {
            tracing::error!(%error, path, "a file of MLflow's web UI cannot be read");
            return (StatusCode::INTERNAL_SERVER_ERROR, "the file cannot be read\n").into_response();
        }
    };
    let known = request.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let mut response = if known.is_some_and(|tags| names_etag(tags, &asset.etag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, asset.content_type)], Body::from(asset.bytes)).into_response()
    };
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(header::CACHE_CONTROL, cache_control(path));
    set(header::REFERRER_POLICY, "same-origin");
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    if !path.starts_with(TRACE_RENDERER) {
        set(header::X_FRAME_OPTIONS, "SAMEORIGIN");
    }
    if let Ok(etag) = HeaderValue::try_from(asset.etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}

/// Files under `static/` are named by their content; all others are asked for again.
fn cache_control(path: &str) -> &'static str {
    if path.starts_with("static/") { "public, max-age=31536000, immutable" } else { "no-cache" }
}
