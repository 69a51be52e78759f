//! `get-trace-artifact`: a trace's spans, or what was attached to it, as a file.

use crate::{
    access::Principal,
    app::App,
    artifacts::{ArtifactPath, Place, routes::download},
    mlflow::{
        ErrorCode, MlflowError, MlflowJson,
        extract::{Field, Kind, Message, opt_text, optional},
    },
    traces::artifacts::{self, DATA_FILE, Data},
};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;

pub fn router() -> Router<App> {
    Router::new()
        .route("/ajax-api/2.0/mlflow/get-trace-artifact", get(get_artifact))
        .route("/ajax-api/3.0/mlflow/get-trace-artifact", get(get_artifact))
}

/// The query of `get-trace-artifact`.
#[derive(Debug, Deserialize)]
struct TraceArtifact {
    #[serde(default, deserialize_with = "opt_text")]
    request_id: Option<String>,
    /// Of an attachment; without one it is the spans.
    #[serde(default, deserialize_with = "opt_text")]
    path: Option<String>,
}

impl Message for TraceArtifact {
    const FIELDS: &'static [Field] = &[optional("request_id", Kind::Text), optional("path", Kind::Text)];
}

async fn get_artifact(
    State(app): State<App>,
    _: Principal,
    headers: HeaderMap,
    MlflowJson(request): MlflowJson<TraceArtifact>,
) -> Result<Response, MlflowError> {
    let Some(trace_id) = request.request_id else {
        let text = "Request must include the \"request_id\" query parameter.";
        return Err(MlflowError::new(ErrorCode::BadRequest, text));
    };
    let (location, below) = match request.path {
        Some(path) => {
            let below = ArtifactPath::parse("attachments")?.join(&ArtifactPath::parse_file(&path)?)?;
            (artifacts::location_of(&app, &trace_id).await?, below)
        }
        None => match artifacts::data(&app, &trace_id).await? {
            Data::Stored(file) => return Ok(file_of_spans(file)),
            Data::Artifact(location) => (location, ArtifactPath::parse_file(DATA_FILE)?),
        },
    };
    let place = Place::of(app.config.default_artifact_root.as_deref(), &location, &below)?;
    Ok(download::respond_at::<MlflowError>(&app.content, &place, &headers).await)
}

fn file_of_spans(file: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CONTENT_DISPOSITION, "attachment; filename=traces.json"),
    ];
    (headers, file).into_response()
}
