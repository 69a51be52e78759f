//! `mlflow/runs/log-metric` and `mlflow/metrics/*`.

use super::mount;
use crate::{
    access::Principal,
    app::App,
    mlflow::{
        MlflowError, MlflowJson,
        wire::{
            Empty,
            metrics::{GetMetricHistory, GetMetricHistoryResponse, LogMetric, Metric},
            run_id,
        },
    },
    runs::{self, LoggedMetric, RunsError, logging, store::HistoryPosition},
    search::QueryId,
};
use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::{get, post},
};

pub fn router() -> Router<App> {
    Router::new()
        .merge(mount("/mlflow/runs/log-metric", post(log_metric)))
        .merge(mount("/mlflow/metrics/get-history", get(get_history)))
}

async fn log_metric(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<LogMetric>,
) -> Result<Json<Empty>, MlflowError> {
    let logged = LoggedMetric {
        metric: runs::Metric {
            key: request.key,
            value: request.value,
            timestamp_ms: request.timestamp,
            step: request.step.unwrap_or(0),
        },
        model_id: request.model_id,
        dataset_name: request.dataset_name,
        dataset_digest: request.dataset_digest,
    };
    logging::metric(&app, run_id(request.run_id, request.run_uuid)?, logged).await?;
    Ok(Json(Empty {}))
}

async fn get_history(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<GetMetricHistory>,
) -> Result<Response, MlflowError> {
    if let Some(given) = request.max_results.filter(|max| *max <= 0) {
        return Err(MlflowError::invalid(format!(
            "Invalid value {given} for parameter 'max_results' supplied. It must be a positive integer."
        )));
    }
    let run_id = run_id(request.run_id, request.run_uuid)?;
    let query = QueryId::of(["metric history", &run_id, &request.metric_key]);
    let position = match &request.page_token {
        Some(token) => {
            let (timestamp_ms, step, bits, is_nan) = query.position(token).map_err(RunsError::from)?;
            HistoryPosition { timestamp_ms, step, value: f64::from_bits(bits), is_nan }
        }
        None => HistoryPosition::START,
    };
    let page = logging::history(&app, &run_id, &request.metric_key, position, request.max_results).await?;
    let token = |at: HistoryPosition| query.token(&(at.timestamp_ms, at.step, at.value.to_bits(), at.is_nan));
    let answer = GetMetricHistoryResponse {
        metrics: page.metrics.iter().map(Metric::from).collect(),
        next_page_token: page.next.map(token),
    };
    Ok(Json(answer).into_response())
}
