use crate::{
    mlflow::extract::{Field, Kind, Message, nonempty, number, opt_text, optional, required},
    runs::{self, LoggedMetric},
};
use serde::{Deserialize, Serialize};

/// A `Metric` of `LogBatch`.
#[derive(Debug, Deserialize)]
pub struct MetricItem {
    #[serde(deserialize_with = "nonempty")]
    key: String,
    #[serde(deserialize_with = "number::float")]
    value: f64,
    #[serde(deserialize_with = "number::int")]
    timestamp: i64,
    #[serde(default, deserialize_with = "number::opt_int")]
    step: Option<i64>,
    #[serde(default, deserialize_with = "opt_text")]
    model_id: Option<String>,
    #[serde(default, deserialize_with = "opt_text")]
    dataset_name: Option<String>,
    #[serde(default, deserialize_with = "opt_text")]
    dataset_digest: Option<String>,
}

pub const METRIC_ITEM: &[Field] = &[
    required("key", Kind::Text),
    required("value", Kind::Float),
    required("timestamp", Kind::Int),
    optional("step", Kind::Int),
    optional("model_id", Kind::Text),
    optional("dataset_name", Kind::Text),
    optional("dataset_digest", Kind::Text),
];

impl From<MetricItem> for LoggedMetric {
    fn from(item: MetricItem) -> Self {
        Self {
            metric: runs::Metric {
                key: item.key,
                value: item.value,
                timestamp_ms: item.timestamp,
                step: item.step.unwrap_or(0),
            },
            model_id: item.model_id,
            dataset_name: item.dataset_name,
            dataset_digest: item.dataset_digest,
        }
    }
}

#[derive(Debug, Deserialize)]
pub struct LogMetric {
    #[serde(default, deserialize_with = "opt_text")]
    pub run_id: Option<String>,
    #[serde(default, deserialize_with = "opt_text")]
    pub run_uuid: Option<String>,
    #[serde(deserialize_with = "nonempty")]
    pub key: String,
    #[serde(deserialize_with = "number::float")]
    pub value: f64,
    #[serde(deserialize_with = "number::int")]
    pub timestamp: i64,
    #[serde(default, deserialize_with = "number::opt_int")]
    pub step: Option<i64>,
    #[serde(default, deserialize_with = "opt_text")]
    pub model_id: Option<String>,
    #[serde(default, deserialize_with = "opt_text")]
    pub dataset_name: Option<String>,
    #[serde(default, deserialize_with = "opt_text")]
    pub dataset_digest: Option<String>,
}

impl Message for LogMetric {
    const FIELDS: &'static [Field] = &[
        required("run_id", Kind::Text),
        optional("run_uuid", Kind::Text),
        required("key", Kind::Text),
        required("value", Kind::Float),
        required("timestamp", Kind::Int),
        optional("step", Kind::Int),
        optional("model_id", Kind::Text),
        optional("dataset_name", Kind::Text),
        optional("dataset_digest", Kind::Text),
    ];
}

#[derive(Debug, Deserialize)]
pub struct GetMetricHistory {
    #[serde(default, deserialize_with = "opt_text")]
    pub run_id: Option<String>,
    #[serde(default, deserialize_with = "opt_text")]
    pub run_uuid: Option<String>,
    #[serde(deserialize_with = "nonempty")]
    pub metric_key: String,
    #[serde(default, deserialize_with = "opt_text")]
    pub page_token: Option<String>,
    #[serde(default, deserialize_with = "number::opt_int")]
    pub max_results: Option<i64>,
}

impl Message for GetMetricHistory {
    const FIELDS: &'static [Field] = &[
        required("run_id", Kind::Text),
        optional("run_uuid", Kind::Text),
        required("metric_key", Kind::Text),
        optional("page_token", Kind::Text),
        optional("max_results", Kind::Int),
    ];
}

/// The query of `metrics/get-history-bulk`, which is no proto: what must be there is checked by hand.
#[derive(Debug, Deserialize)]
pub struct GetMetricHistoryBulk {
    #[serde(default)]
    pub run_id: Vec<String>,
    #[serde(default, deserialize_with = "opt_text")]
    pub metric_key: Option<String>,
    #[serde(default, deserialize_with = "number::opt_int")]
    pub max_results: Option<i64>,
}

impl Message for GetMetricHistoryBulk {
    const FIELDS: &'static [Field] = &[
        optional("run_id", Kind::Texts),
        optional("metric_key", Kind::Text),
        optional("max_results", Kind::Int),
    ];
}

#[derive(Debug, Deserialize)]
pub struct GetMetricHistoryBulkInterval {
    pub run_ids: Vec<String>,
    #[serde(deserialize_with = "nonempty")]
    pub metric_key: String,
    #[serde(default, deserialize_with = "number::opt_int")]
    pub start_step: Option<i64>,
    #[serde(default, deserialize_with = "number::opt_int")]
    pub end_step: Option<i64>,
    #[serde(default, deserialize_with = "number::opt_int")]
    pub max_results: Option<i64>,
}

impl Message for GetMetricHistoryBulkInterval {
    const FIELDS: &'static [Field] = &[
        required("run_ids", Kind::Texts),
        required("metric_key", Kind::Text),
        optional("start_step", Kind::Int),
        optional("end_step", Kind::Int),
        optional("max_results", Kind::Int),
    ];
}

#[derive(Debug, Serialize)]
pub struct GetMetricHistoryBulkResponse<'a> {
    pub metrics: Vec<Metric<'a>>,
}

#[derive(Debug, Serialize)]
pub struct Metric<'a> {
    key: &'a str,
    #[serde(serialize_with = "number::write_float")]
    value: f64,
    timestamp: i64,
    step: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_digest: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<&'a str>,
}

impl<'a> From<&'a runs::Metric> for Metric<'a> {
    fn from(metric: &'a runs::Metric) -> Self {
        Self {
            key: &metric.key,
            value: metric.value,
            timestamp: metric.timestamp_ms,
            step: metric.step,
            dataset_name: None,
            dataset_digest: None,
            model_id: None,
            run_id: None,
        }
    }
}

impl<'a> Metric<'a> {
    /// `MetricWithRunId`
    pub fn of_run(run_id: &'a str, metric: &'a runs::Metric) -> Self {
        Self { run_id: Some(run_id), ..Self::from(metric) }
    }

    /// A metric of a logged model says where it comes from.
    pub fn of_model(model_id: &'a str, metric: &'a crate::logged_models::ModelMetric) -> Self {
        Self {
            dataset_name: metric.dataset_name.as_deref(),
            dataset_digest: metric.dataset_digest.as_deref(),
            model_id: Some(model_id),
            run_id: Some(&metric.run_id),
            ..Self::from(&metric.metric)
        }
    }
}

#[derive(Debug, Serialize)]
pub struct GetMetricHistoryResponse<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}
