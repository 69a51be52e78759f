//! Artifacts of runs and logged models, by their id: what MLflow's pages read.

use super::mount;
use crate::{
    access::Principal,
    app::App,
    artifacts::{ArtifactPath, Body, Expected, routes::download},
    logged_models,
    mlflow::{
        ErrorCode, MlflowError, MlflowJson,
        wire::{
            Empty,
            artifacts::{
                FileInfo, ListArtifactsResponse, ListLoggedModelArtifacts, LoggedModelFile, RunArtifact,
            },
            run_id,
        },
    },
    runs::{self, RunsError},
};
use axum::{
    Json, Router,
    body::to_bytes,
    extract::{Path, Query, State},
    http::HeaderMap,
    response::Response,
    routing::{get, post},
};
use serde::Deserialize;

const UPLOAD_MAX_BYTES: usize = 10 << 20;

/// The query of `upload-artifact`; its body is the file.
#[derive(Debug, Deserialize)]
struct Upload {
    run_uuid: Option<String>,
    path: Option<String>,
}

pub fn router() -> Router<App> {
    Router::new()
        .merge(mount("/mlflow/artifacts/list", get(list_artifacts)))
        .merge(mount("/mlflow/logged-models/{model_id}/artifacts/directories", get(list_model_artifacts)))
        .merge(mount("/mlflow/logged-models/{model_id}/artifacts/files", get(get_model_artifact)))
        .merge(mount("/mlflow/upload-artifact", post(upload_artifact)))
        .route("/get-artifact", get(get_artifact))
        // A client whose tracking URI ends in a slash.
        .route("//get-artifact", get(get_artifact))
        .route("/ajax-api/2.0/mlflow/get-artifact", get(get_artifact))
}

async fn list_artifacts(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<RunArtifact>,
) -> Result<Json<ListArtifactsResponse>, MlflowError> {
    let below = ArtifactPath::parse(request.path.as_deref().unwrap_or_default())?;
    let root_uri = artifact_uri(&app, request.run_id, request.run_uuid).await?;
    list(&app, root_uri, &below).await
}

async fn list_model_artifacts(
    State(app): State<App>,
    _: Principal,
    Path(model_id): Path<String>,
    MlflowJson(request): MlflowJson<ListLoggedModelArtifacts>,
) -> Result<Json<ListArtifactsResponse>, MlflowError> {
    let below = ArtifactPath::parse(request.artifact_directory_path.as_deref().unwrap_or_default())?;
    let model = logged_models::get(&app, &model_id, false).await?;
    list(&app, model.artifact_location, &below).await
}

async fn list(
    app: &App,
    root_uri: String,
    below: &ArtifactPath,
) -> Result<Json<ListArtifactsResponse>, MlflowError> {
    let entries = app.content.list(&ArtifactPath::of_uri(&root_uri)?.join(below)?).await?;
    let files = entries.into_iter().map(|entry| FileInfo::new(entry, below.as_str())).collect();
    Ok(Json(ListArtifactsResponse { root_uri: Some(root_uri), files }))
}

async fn get_artifact(
    State(app): State<App>,
    _: Principal,
    headers: HeaderMap,
    MlflowJson(request): MlflowJson<RunArtifact>,
) -> Result<Response, MlflowError> {
    let below = ArtifactPath::parse_file(request.path.as_deref().unwrap_or_default())?;
    let root_uri = artifact_uri(&app, request.run_id, request.run_uuid).await?;
    let path = ArtifactPath::of_uri(&root_uri)?.join(&below)?;
    let blob = app.content.find_file(&path).await?;
    Ok(download::respond::<MlflowError>(&app.content, blob, path.name(), &headers).await)
}

async fn get_model_artifact(
    State(app): State<App>,
    _: Principal,
    Path(model_id): Path<String>,
    headers: HeaderMap,
    MlflowJson(request): MlflowJson<LoggedModelFile>,
) -> Result<Response, MlflowError> {
    let Some(path) = request.artifact_file_path.filter(|path| !path.is_empty()) else {
        return Err(MlflowError::new(
            ErrorCode::BadRequest,
            "Request must include the \"artifact_file_path\" query parameter.",
        ));
    };
    let below = ArtifactPath::parse_file(&path)?;
    let model = logged_models::get(&app, &model_id, false).await?;
    let path = ArtifactPath::of_uri(&model.artifact_location)?.join(&below)?;
    let blob = app.content.find_file(&path).await?;
    Ok(download::respond::<MlflowError>(&app.content, blob, path.name(), &headers).await)
}

/// A small file from MLflow's pages, in one body.
async fn upload_artifact(
    State(app): State<App>,
    _: Principal,
    Query(request): Query<Upload>,
    body: axum::body::Body,
) -> Result<Json<Empty>, MlflowError> {
    let run_uuid = given(request.run_uuid, "Request must specify run_uuid.")?;
    let path = given(request.path, "Request must specify path.")?;
    let below = ArtifactPath::parse_file(&path)?;
    let bytes = to_bytes(body, UPLOAD_MAX_BYTES)
        .await
        .map_err(|_| MlflowError::invalid("Artifact size is too large. Max size is 10MB."))?;
    if bytes.is_empty() {
        return Err(MlflowError::invalid("Request must specify data."));
    }
    let root_uri = artifact_uri(&app, Some(run_uuid), None).await?;
    let path = ArtifactPath::of_uri(&root_uri)?.join(&below)?;
    let size_bytes = Some(bytes.len() as u64);
    let mut body = Body::new(futures::stream::iter([Ok::<_, std::io::Error>(bytes)]));
    app.content.put_file(&path, &mut body, Expected { digest: None, size_bytes }).await?;
    Ok(Json(Empty {}))
}

fn given(value: Option<String>, message: &'static str) -> Result<String, MlflowError> {
    value.filter(|value| !value.is_empty()).ok_or_else(|| MlflowError::invalid(message))
}

async fn artifact_uri(app: &App, id: Option<String>, uuid: Option<String>) -> Result<String, MlflowError> {
    let run_id = run_id(id, uuid)?;
    let run = runs::store::get(&mut app.db.read().await?, &run_id).await?;
    Ok(run.ok_or(RunsError::NoRun(run_id))?.artifact_uri)
}
