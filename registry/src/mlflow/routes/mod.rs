//! MLflow's routes, one file per group of endpoints.

mod artifacts;
mod assessments;
pub(super) mod datasets;
mod experiments;
mod graphql;
mod left_out;
mod logged_models;
mod metric_history;
pub(super) mod metrics;
pub mod model_versions;
mod multipart;
mod otlp;
pub mod registered_models;
pub(super) mod run_artifacts;
mod runs;
pub mod search;
pub mod search_traces;
mod server_info;
mod trace_artifacts;
mod trace_metrics;
mod traces;
mod traces_v2;
mod webhooks;

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
        .merge(assessments::router())
        .merge(datasets::router())
        .merge(experiments::router())
        .merge(graphql::router())
        .merge(left_out::router())
        .merge(logged_models::router())
        .merge(metrics::router())
        .merge(model_versions::router())
        .merge(multipart::router())
        .merge(otlp::router())
        .merge(registered_models::router())
        .merge(run_artifacts::router())
        .merge(runs::router())
        .merge(search::router())
        .merge(search_traces::router())
        .merge(server_info::router())
        .merge(trace_artifacts::router())
        .merge(trace_metrics::router())
        .merge(traces::router())
        .merge(traces_v2::router())
        .merge(webhooks::router())
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

/// What MLflow's server does beside tracking and registry, by the first name of its paths.
const LEFT_OUT: [(&str, &str); 18] = [
    ("gateway", "The AI gateway"),
    ("gateway-proxy", "The AI gateway"),
    ("scorers", "Scoring traces on the server"),
    ("scorer", "Scoring traces on the server"),
    ("genai", "Evaluating on the server"),
    ("datasets", "Keeping the records of evaluation datasets"),
    ("prompt-optimization", "Prompt optimisation"),
    ("issues", "Finding issues in traces"),
    ("jobs", "Running jobs"),
    ("label-schemas", "Labelling traces"),
    ("review-queues", "Reviewing traces"),
    ("mcp-servers", "The registry of MCP servers"),
    ("workspaces", "Dividing the server into workspaces"),
    ("demo", "Demo data"),
    ("ui-telemetry", "Telemetry"),
    ("get-online-trace-details", "Databricks' online traces"),
    ("unified-traces", "Databricks' unified traces"),
    ("promptlab", "Prompt engineering in the pages"),
];

/// The area that a path belongs to, when Waybill leaves it out.
fn left_out(path: &str) -> Option<&'static str> {
    let (_, rest) = path.split_once("/mlflow/")?;
    let first = if rest == "runs/create-promptlab-run" { "promptlab" } else { rest.split('/').next()? };
    LEFT_OUT.iter().find(|(name, _)| *name == first).map(|(_, area)| *area)
}

async fn not_offered(method: Method, uri: Uri) -> MlflowError {
    let message = match left_out(uri.path()) {
        Some(area) => format!("{area} is not part of Waybill."),
        None => {
            let path: String = uri.path().chars().take(200).collect();
            format!("{method} {path} is not offered by Waybill {}.", env!("CARGO_PKG_VERSION"))
        }
    };
    MlflowError::new(ErrorCode::EndpointNotFound, message)
}

async fn method_not_offered(method: Method, uri: Uri) -> MlflowError {
    MlflowError { status: StatusCode::METHOD_NOT_ALLOWED, ..not_offered(method, uri).await }
}
