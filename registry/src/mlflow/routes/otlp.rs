//! `POST /v1/traces`: spans of OpenTelemetry, of MLflow's own client or of any exporter
//! (mlflow/server/otel_api.py).

use crate::{
    access::Principal,
    app::App,
    mlflow::{MlflowError, extract::BODY_MAX_BYTES},
    runs::{self, RunsError},
    traces::{
        TracesError, ingest,
        otlp::{self, Encoding, Format, OtlpError, Received},
    },
};
use axum::{
    Json, Router,
    body::{Body, Bytes, to_bytes},
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::json;

const EXPERIMENT: &str = "x-mlflow-experiment-id";
const RUN: &str = "x-mlflow-run-id";

pub fn router() -> Router<App> {
    Router::new().route("/v1/traces", post(export))
}

/// A refusal, in the shape of this one route: `{"detail": …}`, unless it comes from what MLflow keeps.
enum Refusal {
    Detail(StatusCode, serde_json::Value),
    Mlflow(MlflowError),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Detail(status, detail) => (status, Json(json!({"detail": detail}))).into_response(),
            Self::Mlflow(error) => error.into_response(),
        }
    }
}

impl From<OtlpError> for Refusal {
    fn from(error: OtlpError) -> Self {
        let status = match error {
            OtlpError::Span => StatusCode::UNPROCESSABLE_ENTITY,
            OtlpError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::Detail(status, error.to_string().into())
    }
}

impl From<TracesError> for Refusal {
    fn from(error: TracesError) -> Self {
        Self::Mlflow(error.into())
    }
}

impl From<RunsError> for Refusal {
    fn from(error: RunsError) -> Self {
        Self::Mlflow(error.into())
    }
}

async fn export(
    State(app): State<App>,
    _: Principal,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(experiment) = text(EXPERIMENT) else {
        let missing = json!([{"type": "missing", "loc": ["header", EXPERIMENT], "msg": "Field required", "input": null}]);
        return Err(Refusal::Detail(StatusCode::UNPROCESSABLE_ENTITY, missing));
    };
    let format = format(text(header::CONTENT_TYPE.as_str()))?;
    let encoding = encoding(text(header::CONTENT_ENCODING.as_str()))?;
    let body = read(body).await?;
    let received = decode(format, encoding, body).await?;
    let experiment_id = runs::parse_experiment_id(experiment)?;
    let complete = ingest::log_spans(&app, experiment_id, received).await?;
    if let Some(run_id) = text(RUN)
        && !complete.is_empty()
        && let Err(error) = ingest::link(&app, complete, run_id).await
    {
        // The spans are kept: the exporter must not send them again.
        tracing::warn!(%error, run_id, "traces were not linked to their run");
    }
    // An `ExportTraceServiceResponse` that says nothing.
    Ok(([(header::CONTENT_TYPE, "application/x-protobuf")], Bytes::new()).into_response())
}

fn format(content_type: Option<&str>) -> Result<Format, Refusal> {
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    match essence {
        "application/x-protobuf" => Ok(Format::Protobuf),
        "application/json" => Ok(Format::Json),
        _ => {
            let shown: String = content_type.unwrap_or("None").chars().take(100).collect();
            let detail = format!(
                "Invalid Content-Type: {shown}. Expected: application/x-protobuf or application/json"
            );
            Err(Refusal::Detail(StatusCode::BAD_REQUEST, detail.into()))
        }
    }
}

fn encoding(content_encoding: Option<&str>) -> Result<Encoding, Refusal> {
    Encoding::parse(content_encoding).ok_or_else(|| {
        let shown: String = content_encoding.unwrap_or_default().chars().take(100).collect();
        Refusal::Detail(StatusCode::BAD_REQUEST, format!("Unsupported Content-Encoding: {shown}").into())
    })
}

async fn read(body: Body) -> Result<Bytes, Refusal> {
    to_bytes(body, BODY_MAX_BYTES).await.map_err(|_| OtlpError::TooLarge(BODY_MAX_BYTES).into())
}

/// Unpacking and reading megabytes takes its time, which other requests need not wait for.
async fn decode(format: Format, encoding: Encoding, body: Bytes) -> Result<Vec<Received>, Refusal> {
    const SMALL_BYTES: usize = 64 << 10;
    let small = encoding == Encoding::Identity && body.len() <= SMALL_BYTES;
    let work = move || {
        let body = otlp::unpack(encoding, &body, BODY_MAX_BYTES)?;
        otlp::decode(format, &body)
    };
    if small {
        return Ok(work()?);
    }
    Ok(tokio::task::spawn_blocking(work).await.unwrap_or(Err(OtlpError::Format))?)
}
