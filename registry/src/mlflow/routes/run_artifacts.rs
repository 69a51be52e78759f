//! Artifacts of runs and logged models, by their id: what MLflow's pages read.

use super::mount;
use crate::{
    access::Principal,
    app::App,
    artifacts::{ArtifactPath, routes::download},
    logged_models,
    mlflow::{
        MlflowError, MlflowJson,
        wire::{
            artifacts::{FileInfo, ListArtifactsResponse, ListLoggedModelArtifacts, RunArtifact},
            run_id,
        },
    },
    runs::{self, RunsError},
};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
    routing::get,
};

pub fn router() -> Router<App> {
    Router::new()
        .merge(mount("/mlflow/artifacts/list", get(list_artifacts)))
        .merge(mount("/mlflow/logged-models/{model_id}/artifacts/directories", get(list_model_artifacts)))
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

async fn artifact_uri(app: &App, id: Option<String>, uuid: Option<String>) -> Result<String, MlflowError> {
    let run_id = run_id(id, uuid)?;
    let run = runs::store::get(&mut app.db.read().await?, &run_id).await?;
    Ok(run.ok_or(RunsError::NoRun(run_id))?.artifact_uri)
}
