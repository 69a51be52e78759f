//! Figures over many traces: what MLflow's overview pages show
//! (mlflow/store/tracking/utils/sql_trace_metrics_utils.py).

use super::{TracesError, store};
use crate::app::App;
use std::fmt;

/// Rows whose values are aggregated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    Traces,
    Spans,
    Assessments,
}

impl View {
    /// In the order of MLflow's enum numbers, which begin at 1.
    pub const ALL: [Self; 3] = [Self::Traces, Self::Spans, Self::Assessments];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Spans => "SPANS",
            Self::Assessments => "ASSESSMENTS",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aggregation {
    Count,
    Sum,
    Avg,
    /// 0 to 100; between two values it is interpolated.
    Percentile(f64),
    Min,
    Max,
}

impl Aggregation {
    /// The name without its parameter, as MLflow has it.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Count => "COUNT",
            Self::Sum => "SUM",
            Self::Avg => "AVG",
            Self::Percentile(_) => "PERCENTILE",
            Self::Min => "MIN",
            Self::Max => "MAX",
        }
    }
}

impl fmt::Display for Aggregation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percentile(value) => write!(f, "P{value:?}"),
            other => f.write_str(other.kind()),
        }
    }
}

/// A figure that can be asked for.
#[derive(Debug, PartialEq)]
pub struct Metric {
    pub name: &'static str,
    /// What is aggregated.
    pub column: &'static str,
    kinds: &'static [&'static str],
    dimensions: &'static [Dimension],
}

/// What figures are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dimension {
    pub name: &'static str,
    pub column: &'static str,
}

const COUNT: &[&str] = &["COUNT"];
const SPREAD: &[&str] = &["AVG", "MIN", "MAX", "PERCENTILE"];
const SUMS: &[&str] = &["SUM", "AVG", "MIN", "MAX", "PERCENTILE"];

const ONE: &str = "CAST(1 AS DOUBLE PRECISION)";
/// The session of a trace, where it has one.
pub const SESSION_COUNT: &str = "session_count";
pub const TRACE_NAME: Dimension = Dimension { name: "trace_name", column: "n.value" };
const TRACE_STATUS: Dimension = Dimension { name: "trace_status", column: "t.state" };
const SPAN_NAME: Dimension = Dimension { name: "span_name", column: "s.name" };
const SPAN_TYPE: Dimension = Dimension { name: "span_type", column: "s.type" };
const SPAN_STATUS: Dimension = Dimension { name: "span_status", column: "s.status" };
const MODEL: Dimension = Dimension { name: "span_model_name", column: "s.model_name" };
const PROVIDER: Dimension = Dimension { name: "span_model_provider", column: "s.model_provider" };
const ASSESSMENT_NAME: Dimension = Dimension { name: "assessment_name", column: "a.name" };
const ASSESSMENT_VALUE: Dimension = Dimension { name: "assessment_value", column: "a.value_json" };

const fn metric(
    name: &'static str,
    column: &'static str,
    kinds: &'static [&'static str],
    dimensions: &'static [Dimension],
) -> Metric {
    Metric { name, column, kinds, dimensions }
}

static TRACES: [Metric; 8] = [
    metric("trace_count", ONE, COUNT, &[TRACE_NAME, TRACE_STATUS]),
    metric(SESSION_COUNT, ONE, COUNT, &[]),
    metric("latency", "t.execution_time_ms", SPREAD, &[TRACE_NAME]),
    metric("input_tokens", "t.input_tokens", SUMS, &[TRACE_NAME]),
    metric("output_tokens", "t.output_tokens", SUMS, &[TRACE_NAME]),
    metric("total_tokens", "t.total_tokens", SUMS, &[TRACE_NAME]),
    metric("cache_read_input_tokens", "t.cache_read_input_tokens", SUMS, &[TRACE_NAME]),
    metric("cache_creation_input_tokens", "t.cache_creation_input_tokens", SUMS, &[TRACE_NAME]),
];

static SPANS: [Metric; 5] = [
    metric("span_count", ONE, COUNT, &[SPAN_NAME, SPAN_TYPE, SPAN_STATUS, MODEL, PROVIDER]),
    metric(
        "latency",
        "CASE WHEN s.end_time_ns > 0 THEN (s.end_time_ns - s.start_time_ns) / 1000000 END",
        SPREAD,
        &[SPAN_NAME, SPAN_STATUS],
    ),
    metric("input_cost", "s.input_cost", SUMS, &[MODEL, PROVIDER]),
    metric("output_cost", "s.output_cost", SUMS, &[MODEL, PROVIDER]),
    metric("total_cost", "s.total_cost", SUMS, &[MODEL, PROVIDER]),
];

static ASSESSMENTS: [Metric; 2] = [
    metric("assessment_count", ONE, COUNT, &[ASSESSMENT_NAME, ASSESSMENT_VALUE]),
    metric("assessment_value", "a.number", SPREAD, &[ASSESSMENT_NAME]),
];

/// What rows must be; all must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    Status(String),
    Tag { key: String, value: String },
    Metadata { key: String, value: String },
    Span { column: SpanColumn, value: String },
    AssessmentName(String),
    AssessmentKind(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanColumn {
    Name,
    Type,
    Status,
}

#[derive(Debug, Clone)]
pub struct Question {
    pub experiment_ids: Vec<i64>,
    pub view: View,
    pub metric: &'static Metric,
    pub aggregations: Vec<Aggregation>,
    pub dimensions: Vec<Dimension>,
    pub filters: Vec<Filter>,
    /// Figures of each interval of this length, instead of one.
    pub interval_ms: Option<i64>,
    /// Both ends are included.
    pub start_ms: Option<i64>,
    pub end_ms: Option<i64>,
    pub limit: i64,
}

/// Figures of one group.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// When the interval begins.
    pub bucket_ms: Option<i64>,
    /// In the order asked for.
    pub dimensions: Vec<(&'static str, String)>,
    pub values: Vec<(String, f64)>,
}

/// The metric of that name, if it takes these aggregations and dimensions.
pub fn resolve(
    view: View,
    name: &str,
    aggregations: &[Aggregation],
    dimensions: &[String],
) -> Result<(&'static Metric, Vec<Dimension>), TracesError> {
    let metrics: &'static [Metric] = match view {
        View::Traces => &TRACES,
        View::Spans => &SPANS,
        View::Assessments => &ASSESSMENTS,
    };
    let short = |text: &str| text.chars().take(100).collect::<String>();
    let Some(metric) = metrics.iter().find(|metric| metric.name == name) else {
        let names = quoted(metrics.iter().map(|metric| metric.name));
        let text = format!("metric_name must be one of [{names}], got '{}'", short(name));
        return Err(TracesError::Invalid(text));
    };
    if let Some(wrong) = aggregations.iter().find(|aggregation| !metric.kinds.contains(&aggregation.kind())) {
        return Err(TracesError::Invalid(format!(
            "Found invalid aggregation_type(s): ['{}']. Supported aggregation types: [{}]",
            wrong.kind(),
            quoted(metric.kinds.iter().copied())
        )));
    }
    let percentiles = aggregations.iter().filter(|a| matches!(a, Aggregation::Percentile(_))).count();
    if percentiles > store::PERCENTILES_MAX {
        let text = format!("At most {} percentiles can be asked for at once.", store::PERCENTILES_MAX);
        return Err(TracesError::Invalid(text));
    }
    let mut found = Vec::new();
    for wanted in dimensions {
        match metric.dimensions.iter().find(|dimension| dimension.name == wanted) {
            Some(dimension) if !found.contains(dimension) => found.push(*dimension),
            Some(_) => {}
            None => {
                let names = quoted(metric.dimensions.iter().map(|dimension| dimension.name));
                return Err(TracesError::Invalid(format!(
                    "Found invalid dimension(s): ['{}']. Supported dimensions: [{names}]",
                    short(wanted)
                )));
            }
        }
    }
    Ok((metric, found))
}

fn quoted<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let mut names: Vec<String> = names.map(|name| format!("'{name}'")).collect();
    names.sort();
    names.join(", ")
}

/// Figures in the order of their interval, then of their dimensions.
pub async fn query(app: &App, question: &Question) -> Result<Vec<Point>, TracesError> {
    if question.interval_ms.is_some() && (question.start_ms.is_none() || question.end_ms.is_none()) {
        return Err(TracesError::Invalid(
            "start_time_ms and end_time_ms are required if time_interval_seconds is set".to_owned(),
        ));
    }
    for filter in &question.filters {
        let (wanted, name) = match filter {
            Filter::Span { .. } => (View::Spans, "span"),
            Filter::AssessmentName(_) | Filter::AssessmentKind(_) => (View::Assessments, "assessment"),
            _ => continue,
        };
        if question.view != wanted {
            return Err(TracesError::Invalid(format!(
                "Filtering by {name} is only supported for {} view type, got {}",
                wanted.as_str(),
                question.view.as_str()
            )));
        }
    }
    let mut conn = app.db.snapshot().await?;
    let rows = store::metrics(&mut conn, question).await?;
    Ok(rows.iter().map(|row| point(question, row)).filter(|point| !point.values.is_empty()).collect())
}

fn point(question: &Question, row: &store::MetricRow) -> Point {
    let mut percentiles = row.percentiles().into_iter();
    let dimensions = row.dimensions();
    let values = question.aggregations.iter().filter_map(|aggregation| {
        let value = match aggregation {
            Aggregation::Count => Some(row.number as f64),
            Aggregation::Sum => row.total,
            Aggregation::Avg => row.mean,
            Aggregation::Min => row.smallest,
            Aggregation::Max => row.largest,
            Aggregation::Percentile(_) => percentiles.next().flatten(),
        };
        Some((aggregation.to_string(), value?))
    });
    Point {
        bucket_ms: row.bucket,
        values: values.collect(),
        dimensions: question
            .dimensions
            .iter()
            .zip(dimensions)
            .map(|(dimension, value)| (dimension.name, value.unwrap_or_default()))
            .collect(),
    }
}
