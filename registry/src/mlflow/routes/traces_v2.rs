//! `mlflow/traces` as clients before 3.0 use it.

use super::mount;
use crate::{
    access::Principal,
    app::App,
    mlflow::{
        MlflowError, MlflowJson,
        wire::traces_v2::{EndTrace, StartTrace, TraceInfoResponse, pairs, status_name},
    },
    runs,
    traces::{TraceState, lifecycle, read},
};
use axum::{
    Json, Router,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::{get, patch, post},
};

pub fn router() -> Router<App> {
    Router::new()
        .merge(mount("/mlflow/traces", post(start).get(super::search_traces::search_v2)))
        .merge(mount("/mlflow/traces/{trace_id}", patch(end)))
        .merge(mount("/mlflow/traces/{trace_id}/info", get(get_info)))
}

async fn start(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<StartTrace>,
) -> Result<Response, MlflowError> {
    let experiment_id = runs::parse_experiment_id(&request.experiment_id)?;
    let (metadata, tags) = (pairs(request.request_metadata), pairs(request.tags));
    let time_ms = request.timestamp_ms.unwrap_or_default();
    let info = lifecycle::begin(&app, experiment_id, time_ms, metadata, tags).await?;
    Ok(Json(TraceInfoResponse { trace_info: (&info).into() }).into_response())
}

async fn end(
    State(app): State<App>,
    _: Principal,
    Path(trace_id): Path<String>,
    MlflowJson(request): MlflowJson<EndTrace>,
) -> Result<Response, MlflowError> {
    let state = request.status.map(|status| status.pick("status", &TraceState::ALL, 0, status_name));
    let end = lifecycle::End {
        trace_id,
        timestamp_ms: request.timestamp_ms,
        state: state.transpose()?,
        metadata: pairs(request.request_metadata),
        tags: pairs(request.tags),
    };
    let info = lifecycle::end(&app, end).await?;
    Ok(Json(TraceInfoResponse { trace_info: (&info).into() }).into_response())
}

async fn get_info(
    State(app): State<App>,
    _: Principal,
    Path(trace_id): Path<String>,
) -> Result<Response, MlflowError> {
    let info = read::info(&app, &trace_id).await?;
    Ok(Json(TraceInfoResponse { trace_info: (&info).into() }).into_response())
}
