//! MLflow's routes, one file per group of endpoints.

mod artifacts;
mod datasets;
mod experiments;
mod logged_models;
mod metrics;
mod model_versions;
mod registered_models;
mod run_artifacts;
mod runs;
mod search;
mod server_info;

use super::{ErrorCode, MlflowError};
use crate::app::App;
use axum::{
    Router,
    http::{Method, StatusCode, Uri},
    routing::{MethodRouter, any},
};

/// All of MLflow's paths. Whatever else is asked for under its prefixes is not offered.
pub fn router() -> Router<App> {
    let not_offered = any(not_offered);
    Router::new()
        .merge(artifacts::router())
        .merge(datasets::router())
        .merge(experiments::router())
        .merge(logged_models::router())
        .merge(metrics::router())
        .merge(model_versions::router())
        .merge(registered_models::router())
        .merge(run_artifacts::router())
        .merge(runs::router())
        .merge(search::router())
        .merge(server_info::router())
        .merge(mount("/{*path}", not_offered.clone()))
        .merge(mount_v3("/{*path}", not_offered))
        .method_not_allowed_fallback(method_not_offered)
}

/// One endpoint as MLflow serves it: under `/api/2.0` for clients and `/ajax-api/2.0` for its
/// pages. `path` begins with `/mlflow/…` or `/mlflow-artifacts/…`.
pub fn mount(path: &str, methods: MethodRouter<App>) -> Router<App> {
    twice("2.0", path, methods)
}

/// The same for the endpoints that MLflow introduced with version 3 (`/api/3.0/…`).
pub fn mount_v3(path: &str, methods: MethodRouter<App>) -> Router<App> {
    twice("3.0", path, methods)
}

fn twice(version: &str, path: &str, methods: MethodRouter<App>) -> Router<App> {
    Router::new()
        .route(&format!("/api/{version}{path}"), methods.clone())
        .route(&format!("/ajax-api/{version}{path}"), methods)
}

async fn not_offered(method: Method, uri: Uri) -> MlflowError {
    let path: String = uri.path().chars().take(200).collect();
    MlflowError::new(
        ErrorCode::EndpointNotFound,
        format!("{method} {path} is not offered by Waybill {}.", env!("CARGO_PKG_VERSION")),
    )
}

async fn method_not_offered(method: Method, uri: Uri) -> MlflowError {
    MlflowError { status: StatusCode::METHOD_NOT_ALLOWED, ..not_offered(method, uri).await }
}
