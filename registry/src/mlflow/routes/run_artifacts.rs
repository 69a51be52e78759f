//! Artifacts of runs and logged models, by their id: what MLflow's pages read.

use super::mount;
use crate::{
    access::Principal,
    app::App,
    artifacts::{ArtifactPath, Place, routes::download},
    logged_models,
    mlflow::{
        ErrorCode, MlflowError, MlflowJson,
        extract::{MlflowPath, from_query},
        wire::{
            Empty,
            artifacts::{
                FileInfo, ListArtifactsResponse, ListLoggedModelArtifacts, LoggedModelFile, RunArtifact,
                UploadArtifact,
            },
            run_id,
        },
    },
    runs::{self, RunsError},
};
use axum::{
    Json, Router,
    body::to_bytes,
    extract::State,
    http::{HeaderMap, Uri},
    response::Response,
    routing::{get, post},
};

const UPLOAD_MAX_BYTES: usize = 10 << 20;

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
    Ok(Json(list_of_run(&app, request).await?))
}

/// What lies in a directory of a run's artifacts.
pub async fn list_of_run(app: &App, request: RunArtifact) -> Result<ListArtifactsResponse, MlflowError> {
    let below = ArtifactPath::parse_listed(request.path.as_deref().unwrap_or_default())?;
    let root_uri = artifact_uri(app, request.run_id, request.run_uuid).await?;
    list(app, root_uri, &below).await
}

async fn list_model_artifacts(
    State(app): State<App>,
    _: Principal,
    MlflowPath(model_id): MlflowPath<String>,
    MlflowJson(request): MlflowJson<ListLoggedModelArtifacts>,
) -> Result<Json<ListArtifactsResponse>, MlflowError> {
    let below = ArtifactPath::parse_listed(request.artifact_directory_path.as_deref().unwrap_or_default())?;
    let model = logged_models::get(&app, &model_id, false).await?;
    Ok(Json(list(&app, model.artifact_location, &below).await?))
}

async fn list(
    app: &App,
    root_uri: String,
    below: &ArtifactPath,
) -> Result<ListArtifactsResponse, MlflowError> {
    let entries = place(app, &root_uri, below)?.list(&app.content).await?;
    let files = entries.into_iter().map(|entry| FileInfo::new(entry, below.as_str())).collect();
    Ok(ListArtifactsResponse { root_uri: Some(root_uri), files })
}

async fn get_artifact(
    State(app): State<App>,
    _: Principal,
    headers: HeaderMap,
    MlflowJson(request): MlflowJson<RunArtifact>,
) -> Result<Response, MlflowError> {
    let below = ArtifactPath::parse_file(request.path.as_deref().unwrap_or_default())?;
    let root_uri = artifact_uri(&app, request.run_id, request.run_uuid).await?;
    let place = place(&app, &root_uri, &below)?;
    Ok(download::respond_at::<MlflowError>(&app.content, &place, &headers).await)
}

async fn get_model_artifact(
    State(app): State<App>,
    _: Principal,
    MlflowPath(model_id): MlflowPath<String>,
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
    let place = place(&app, &model.artifact_location, &below)?;
    Ok(download::respond_at::<MlflowError>(&app.content, &place, &headers).await)
}

/// A small file from MLflow's pages, in one body.
async fn upload_artifact(
    State(app): State<App>,
    _: Principal,
    uri: Uri,
    body: axum::body::Body,
) -> Result<Json<Empty>, MlflowError> {
    let request: UploadArtifact = from_query(uri.query().unwrap_or_default())?;
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
    place(&app, &root_uri, &below)?.write(&app.content, bytes).await?;
    Ok(Json(Empty {}))
}

fn place(app: &App, root_uri: &str, below: &ArtifactPath) -> Result<Place, MlflowError> {
    Ok(Place::of(app.config.default_artifact_root.as_deref(), root_uri, below)?)
}

fn given(value: Option<String>, message: &'static str) -> Result<String, MlflowError> {
    value.filter(|value| !value.is_empty()).ok_or_else(|| MlflowError::invalid(message))
}

/// Where the artifacts of a run, or of a logged model, lie.
pub(super) async fn root_uri(
    app: &App,
    run_id: Option<String>,
    model_id: Option<String>,
) -> Result<String, MlflowError> {
    match model_id {
        Some(model_id) => Ok(logged_models::get(app, &model_id, false).await?.artifact_location),
        None => artifact_uri(app, run_id, None).await,
    }
}

async fn artifact_uri(app: &App, id: Option<String>, uuid: Option<String>) -> Result<String, MlflowError> {
    let run_id = run_id(id, uuid)?;
    let run = runs::store::get(&mut app.db.read().await?, &run_id).await?;
    Ok(run.ok_or(RunsError::NoRun(run_id))?.artifact_uri)
}
