//! `mlflow/metrics/get-history`: all values of one metric, which may be millions.

use crate::{
    access::Principal,
    app::App,
    mlflow::{
        MlflowError, MlflowJson,
        wire::{
            metrics::{GetMetricHistory, GetMetricHistoryResponse, Metric},
            run_id,
        },
    },
    runs::{
        self, RunsError,
        logging::{self, HistoryPage},
        store::HistoryPosition,
    },
    search::QueryId,
};
use axum::{
    Json,
    body::Body,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use futures::{StreamExt as _, stream};
use serde_json::Value;

/// Values that are read at once. A longer answer is written as it is read.
const PAGE: i64 = 10_000;

pub async fn get_history(
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
    let mut reading = Reading {
        app,
        run_id,
        key: request.metric_key,
        query,
        left: request.max_results,
        next: Some(position),
    };
    // Whatever may be refused is refused here, before the answer begins.
    let first = reading.page().await?;
    if reading.more() { Ok(long(reading, &first)) } else { Ok(reading.whole(&first)) }
}

/// What is asked for and not yet read. No connection is kept between pages: a slow reader holds none.
struct Reading {
    app: App,
    run_id: String,
    key: String,
    query: QueryId,
    /// Values still wanted; `None`: all.
    left: Option<i64>,
    /// Where the next page begins; `None`: there is none.
    next: Option<HistoryPosition>,
}

impl Reading {
    fn more(&self) -> bool {
        self.next.is_some() && self.left != Some(0)
    }

    async fn page(&mut self) -> Result<Vec<runs::Metric>, RunsError> {
        let Some(position) = self.next else {
            return Ok(Vec::new());
        };
        let limit = self.left.map_or(PAGE, |left| left.min(PAGE));
        let HistoryPage { metrics, next } =
            logging::history(&self.app, &self.run_id, &self.key, position, limit).await?;
        self.left = self.left.map(|left| left - metrics.len() as i64);
        self.next = next;
        Ok(metrics)
    }

    /// Names what was not asked for.
    fn token(&self) -> Option<String> {
        let at = self.next?;
        Some(self.query.token(&(at.timestamp_ms, at.step, at.value.to_bits(), at.is_nan)))
    }

    fn whole(&self, metrics: &[runs::Metric]) -> Response {
        let answer = GetMetricHistoryResponse {
            metrics: metrics.iter().map(Metric::from).collect(),
            next_page_token: self.token(),
        };
        Json(answer).into_response()
    }
}

/// The answer in pieces; each joins valid JSON to what was written before it. A failure cuts it off,
/// which no client takes for its end.
fn long(reading: Reading, first: &[runs::Metric]) -> Response {
    let begin = format!("{{\"metrics\":[{}", items(first));
    let rest = stream::try_unfold(Some(reading), async |reading| {
        let Some(mut reading) = reading else {
            return Ok::<_, RunsError>(None);
        };
        if reading.more() {
            let metrics = reading.page().await?;
            // The run may have gone meanwhile.
            let joint = if metrics.is_empty() { "" } else { "," };
            return Ok(Some((format!("{joint}{}", items(&metrics)), Some(reading))));
        }
        let token = reading.token().map(|token| format!(",\"next_page_token\":{}", Value::from(token)));
        Ok(Some((format!("]{}}}", token.unwrap_or_default()), None)))
    });
    let body = Body::from_stream(stream::iter([Ok(begin)]).chain(rest));
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Values as the items of a JSON array.
fn items(metrics: &[runs::Metric]) -> String {
    let metrics: Vec<Metric<'_>> = metrics.iter().map(Metric::from).collect();
    let json = serde_json::to_string(&metrics).unwrap_or_default();
    json.trim_start_matches('[').trim_end_matches(']').to_owned()
}
