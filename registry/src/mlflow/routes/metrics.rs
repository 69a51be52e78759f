//! `mlflow/runs/log-metric` and `mlflow/metrics/*`.

use super::{metric_history, mount};
use crate::{
    access::Principal,
    app::App,
    mlflow::{
        MlflowError, MlflowJson,
        wire::{
            Empty,
            metrics::{
                GetMetricHistoryBulk, GetMetricHistoryBulkInterval, GetMetricHistoryBulkResponse,
                GetMetricHistoryResponse, LogMetric, Metric,
            },
            run_id,
        },
    },
    runs::{
        self, LoggedMetric,
        histories::{self, OfRun},
        logging,
    },
};
use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::{get, post},
};

/// Runs that one request may name.
const RUNS_MAX: usize = 100;
/// Values of all runs together in one answer.
const VALUES_MAX: i64 = 25_000;
/// What MLflow adds to complaints about a parameter.
const SEE_DOCS: &str = " See the API docs for more information about request parameters.";

pub fn router() -> Router<App> {
    Router::new()
        .merge(mount("/mlflow/runs/log-metric", post(log_metric)))
        .merge(mount("/mlflow/metrics/get-history", get(metric_history::get_history)))
        .merge(mount("/mlflow/metrics/get-history-bulk", get(get_history_bulk)))
        .merge(mount("/mlflow/metrics/get-history-bulk-interval", get(get_history_sampled)))
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

async fn get_history_bulk(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<GetMetricHistoryBulk>,
) -> Result<Response, MlflowError> {
    let count = request.run_id.len();
    if count == 0 {
        return Err(MlflowError::invalid("GetMetricHistoryBulk request must specify at least one run_id."));
    }
    if count > RUNS_MAX {
        return Err(MlflowError::invalid(format!(
            "GetMetricHistoryBulk request cannot specify more than {RUNS_MAX} run_ids. Received {count} run_ids."
        )));
    }
    let Some(key) = request.metric_key else {
        return Err(MlflowError::invalid("GetMetricHistoryBulk request must specify a metric_key."));
    };
    let limit = request.max_results.unwrap_or(VALUES_MAX).clamp(0, VALUES_MAX);
    let histories = histories::whole(&app, request.run_id, &key, limit as usize).await?;
    Ok(Json(GetMetricHistoryBulkResponse { metrics: values(&histories) }).into_response())
}

async fn get_history_sampled(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<GetMetricHistoryBulkInterval>,
) -> Result<Response, MlflowError> {
    let histories = sampled(&app, request).await?;
    let answer = GetMetricHistoryResponse { metrics: values(&histories), next_page_token: None };
    Ok(Json(answer).into_response())
}

/// Histories for a chart.
pub async fn sampled(app: &App, request: GetMetricHistoryBulkInterval) -> Result<Vec<OfRun>, MlflowError> {
    let count = request.run_ids.len();
    if count > RUNS_MAX {
        return Err(MlflowError::invalid(format!(
            "GetMetricHistoryBulkInterval request must specify at most {RUNS_MAX} run_ids. Received {count} run_ids.{SEE_DOCS}"
        )));
    }
    let most = histories::STEPS_MAX;
    let points = usize::try_from(request.max_results.unwrap_or(most as i64)).unwrap_or(0);
    if !(1..=most).contains(&points) {
        return Err(MlflowError::invalid(format!("max_results must be between 1 and {most}.{SEE_DOCS}")));
    }
    let range = match (request.start_step, request.end_step) {
        (Some(start), Some(end)) if start > end => {
            return Err(MlflowError::invalid(format!(
                "end_step must be greater than start_step. Found start_step={start} and end_step={end}."
            )));
        }
        (Some(start), Some(end)) => Some((start, end)),
        (None, None) => None,
        _ => {
            return Err(MlflowError::invalid(
                "If either start step or end step are specified, both must be specified.",
            ));
        }
    };
    Ok(histories::sampled(app, request.run_ids, &request.metric_key, range, points).await?)
}

fn values(histories: &[OfRun]) -> Vec<Metric<'_>> {
    let mut metrics = Vec::new();
    for OfRun { run_id, metrics: found } in histories {
        metrics.extend(found.iter().map(|metric| Metric::of_run(run_id, metric)));
    }
    metrics
}
