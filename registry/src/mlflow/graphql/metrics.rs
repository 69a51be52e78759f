//! Metrics: of a run, and histories for charts.

use super::scalars::{ApiError, LongString, Texts, finite, texts};
use crate::{mlflow::wire::metrics::GetMetricHistoryBulkInterval, runs::Metric};
use async_graphql::{InputObject, SimpleObject};

#[derive(Debug, Default, InputObject)]
pub struct MlflowGetMetricHistoryBulkIntervalInput {
    run_ids: Texts,
    metric_key: Option<String>,
    start_step: Option<i32>,
    end_step: Option<i32>,
    max_results: Option<i32>,
}

impl From<MlflowGetMetricHistoryBulkIntervalInput> for GetMetricHistoryBulkInterval {
    fn from(input: MlflowGetMetricHistoryBulkIntervalInput) -> Self {
        Self {
            run_ids: texts(input.run_ids),
            metric_key: input.metric_key.unwrap_or_default(),
            start_step: input.start_step.map(i64::from),
            end_step: input.end_step.map(i64::from),
            max_results: input.max_results.map(i64::from),
        }
    }
}

#[derive(Debug, SimpleObject)]
pub struct MlflowGetMetricHistoryBulkIntervalResponse {
    pub metrics: Vec<MlflowMetricWithRunId>,
    pub api_error: Option<ApiError>,
}

#[derive(Debug, SimpleObject)]
pub struct MlflowMetricWithRunId {
    key: String,
    value: Option<f64>,
    timestamp: LongString,
    step: LongString,
    run_id: String,
}

impl MlflowMetricWithRunId {
    pub fn new(run_id: &str, metric: Metric) -> Self {
        Self {
            key: metric.key,
            value: finite(metric.value),
            timestamp: LongString(metric.timestamp_ms),
            step: LongString(metric.step),
            run_id: run_id.to_owned(),
        }
    }
}

/// The last value of a run's metric. The fields that only metrics of logged models have are empty.
#[derive(Debug, SimpleObject)]
pub struct MlflowMetricExtension {
    key: String,
    value: Option<f64>,
    timestamp: LongString,
    step: LongString,
    dataset_name: String,
    dataset_digest: String,
    model_id: String,
    run_id: String,
}

impl From<Metric> for MlflowMetricExtension {
    fn from(metric: Metric) -> Self {
        Self {
            key: metric.key,
            value: finite(metric.value),
            timestamp: LongString(metric.timestamp_ms),
            step: LongString(metric.step),
            dataset_name: String::new(),
            dataset_digest: String::new(),
            model_id: String::new(),
            run_id: String::new(),
        }
    }
}
