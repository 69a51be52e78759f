//! `mlflow/traces/metrics`: the figures of MLflow's overview pages.

use super::{mount_v3, search::experiment_ids};
use crate::{
    access::Principal,
    app::App,
    mlflow::{
        MlflowError, MlflowJson,
        extract::invalid_value,
        filter as grammar,
        wire::trace_metrics::{MetricDataPoint, QueryTraceMetrics, QueryTraceMetricsResponse},
    },
    traces::metrics::{self, Aggregation, Filter, Question, SpanColumn, View},
};
use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};

const POINTS_DEFAULT: i64 = 1000;
const POINTS_MAX: i64 = 10_000;
const FILTERS_MAX: usize = 50;
/// A century.
const INTERVAL_MAX_SECONDS: i64 = 3_155_760_000;

pub fn router() -> Router<App> {
    mount_v3("/mlflow/traces/metrics", post(query))
}

async fn query(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<QueryTraceMetrics>,
) -> Result<Response, MlflowError> {
    let view = request.view_type.pick("view_type", &View::ALL, 1, View::as_str)?;
    let aggregations: Vec<Aggregation> =
        request.aggregations.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
    let (metric, dimensions) =
        metrics::resolve(view, &request.metric_name, &aggregations, &request.dimensions)?;
    let limit = request.max_results.unwrap_or(POINTS_DEFAULT);
    if !(1..=POINTS_MAX).contains(&limit) {
        return Err(invalid_value("max_results", &limit.into()));
    }
    let interval = request.time_interval_seconds.filter(|seconds| *seconds != 0);
    if let Some(seconds) = interval.filter(|seconds| !(1..=INTERVAL_MAX_SECONDS).contains(seconds)) {
        return Err(invalid_value("time_interval_seconds", &seconds.into()));
    }
    if request.filters.len() > FILTERS_MAX {
        return Err(MlflowError::invalid(format!("At most {FILTERS_MAX} filters can be given.")));
    }
    let question = Question {
        experiment_ids: experiment_ids(&request.experiment_ids)?,
        view,
        metric,
        aggregations,
        dimensions,
        filters: request.filters.iter().map(|text| filter(text)).collect::<Result<_, _>>()?,
        interval_ms: interval.map(|seconds| seconds * 1000),
        start_ms: request.start_time_ms,
        end_ms: request.end_time_ms,
        limit,
    };
    let points = metrics::query(&app, &question).await?;
    let data_points = points.iter().map(|point| MetricDataPoint::new(metric.name, point)).collect();
    Ok(Json(QueryTraceMetricsResponse { data_points }).into_response())
}

/// `trace.status = 'OK'`, `trace.tag.team = 'blue'`, `span.name = 'call'` (`SearchTraceMetricsUtils`).
fn filter(text: &str) -> Result<Filter, MlflowError> {
    let (entity, key, value) = grammar::equality(text)?;
    let (field, rest) = key.split_once('.').map_or((key.as_str(), None), |(field, rest)| (field, Some(rest)));
    let keyed = rest.map(str::to_owned);
    Ok(match (entity.as_str(), field, keyed) {
        ("trace", "status", None) => Filter::Status(value),
        ("trace", "tag", Some(key)) => Filter::Tag { key, value },
        ("trace", "metadata", Some(key)) => Filter::Metadata { key, value },
        ("span", "name", None) => Filter::Span { column: SpanColumn::Name, value },
        ("span", "type", None) => Filter::Span { column: SpanColumn::Type, value },
        ("span", "status", None) => Filter::Span { column: SpanColumn::Status, value },
        ("assessment", "name", None) => Filter::AssessmentName(value),
        ("assessment", "type", None) => Filter::AssessmentKind(value),
        _ => {
            let shown: String = text.chars().take(100).collect();
            return Err(MlflowError::invalid(format!(
                "Invalid filter '{shown}'. Columns should be specified as 'trace.status', 'trace.tag.<key>', \
                 'trace.metadata.<key>', 'span.<name, type or status>' or 'assessment.<name or type>'. \
                 (column 1 of filter)"
            )));
        }
    })
}
