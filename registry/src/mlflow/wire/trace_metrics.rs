//! `QueryTraceMetrics`.

use super::{EnumValue, time};
use crate::{
    mlflow::{
        MlflowError,
        extract::{
            Field, Kind, Message, invalid_value, missing_value, nonempty, nullable, number, optional,
            required,
        },
    },
    traces::metrics::{Aggregation, Point},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
pub struct QueryTraceMetrics {
    pub experiment_ids: Vec<String>,
    pub view_type: EnumValue,
    #[serde(deserialize_with = "nonempty")]
    pub metric_name: String,
    pub aggregations: Vec<MetricAggregation>,
    #[serde(default, deserialize_with = "nullable")]
    pub dimensions: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub filters: Vec<String>,
    #[serde(default, deserialize_with = "number::opt_int")]
    pub time_interval_seconds: Option<i64>,
    #[serde(default, deserialize_with = "number::opt_int")]
    pub start_time_ms: Option<i64>,
    #[serde(default, deserialize_with = "number::opt_int")]
    pub end_time_ms: Option<i64>,
    #[serde(default, deserialize_with = "number::opt_int")]
    pub max_results: Option<i64>,
}

impl Message for QueryTraceMetrics {
    const FIELDS: &'static [Field] = &[
        required("experiment_ids", Kind::Texts),
        required("view_type", Kind::Enum),
        required("metric_name", Kind::Text),
        required(
            "aggregations",
            Kind::Messages(&[
                required("aggregation_type", Kind::Enum),
                optional("percentile_value", Kind::Float),
            ]),
        ),
        optional("dimensions", Kind::Texts),
        optional("filters", Kind::Texts),
        optional("time_interval_seconds", Kind::Int),
        optional("start_time_ms", Kind::Int),
        optional("end_time_ms", Kind::Int),
        optional("max_results", Kind::Int),
        // All figures come in one page.
        optional("page_token", Kind::Text),
    ];
}

#[derive(Debug, Deserialize)]
pub struct MetricAggregation {
    aggregation_type: EnumValue,
    #[serde(default)]
    percentile_value: Option<f64>,
}

/// In the order of MLflow's enum numbers, which begin at 1.
const KINDS: [Aggregation; 6] = [
    Aggregation::Count,
    Aggregation::Sum,
    Aggregation::Avg,
    Aggregation::Percentile(0.0),
    Aggregation::Min,
    Aggregation::Max,
];

impl TryFrom<MetricAggregation> for Aggregation {
    type Error = MlflowError;

    fn try_from(wanted: MetricAggregation) -> Result<Self, MlflowError> {
        const VALUE: &str = "aggregations.percentile_value";
        let kind = wanted.aggregation_type.pick("aggregations.aggregation_type", &KINDS, 1, Self::kind)?;
        match (kind, wanted.percentile_value) {
            (Self::Percentile(_), None) => Err(missing_value(VALUE)),
            (Self::Percentile(_), Some(value)) if (0.0..=100.0).contains(&value) => {
                Ok(Self::Percentile(value))
            }
            (_, Some(value)) => Err(invalid_value(VALUE, &value.into())),
            (kind, None) => Ok(kind),
        }
    }
}

#[derive(Debug, Serialize)]
pub struct QueryTraceMetricsResponse<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data_points: Vec<MetricDataPoint<'a>>,
}

#[derive(Debug, Serialize)]
pub struct MetricDataPoint<'a> {
    metric_name: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    dimensions: BTreeMap<&'a str, String>,
    values: BTreeMap<&'a str, f64>,
}

impl<'a> MetricDataPoint<'a> {
    pub fn new(metric_name: &'a str, point: &'a Point) -> Self {
        let mut dimensions: BTreeMap<&str, String> =
            point.dimensions.iter().map(|(name, value)| (*name, value.clone())).collect();
        if let Some(bucket_ms) = point.bucket_ms {
            // As Python writes it.
            let shown = time::timestamp(bucket_ms).replace('Z', "+00:00");
            dimensions.insert("time_bucket", shown);
        }
        let values = point.values.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        Self { metric_name, dimensions, values }
    }
}
