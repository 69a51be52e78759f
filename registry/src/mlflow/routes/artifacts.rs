//! The artifact proxy: `mlflow-artifacts:/` locations, through this server.

use super::mount;
use crate::{
    access::Principal,
    app::App,
    artifacts::{
        ArtifactError, ArtifactPath, Body, Expected,
        routes::{download, drain},
    },
    mlflow::{
        MlflowError, MlflowJson,
        wire::{
            Empty,
            artifacts::{FileInfo, ListArtifactsMlflowArtifacts, ListArtifactsResponse},
        },
    },
};
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, Uri, header},
    response::Response,
    routing::get,
};

const ARTIFACTS: &str = "/mlflow-artifacts/artifacts";

pub fn router() -> Router<App> {
    let file = get(download_artifact).put(upload_artifact).delete(delete_artifact);
    Router::new()
        .merge(mount(ARTIFACTS, get(list_artifacts)))
        .merge(mount(&format!("{ARTIFACTS}/{{*path}}"), file))
}

/// The path as the client wrote it: a framework that decodes it once would hide what is refused.
fn path_of(uri: &Uri) -> Result<ArtifactPath, ArtifactError> {
    let (_, path) = uri.path().split_once(ARTIFACTS).ok_or(ArtifactError::UnsafePath)?;
    ArtifactPath::parse_file(path.strip_prefix('/').unwrap_or(path))
}

async fn upload_artifact(
    State(app): State<App>,
    _: Principal,
    uri: Uri,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<Json<Empty>, MlflowError> {
    let mut body = Body::new(body.into_data_stream());
    let size_bytes = size_of(&headers);
    let put = async {
        let path = path_of(&uri)?;
        app.content.put_file(&path, &mut body, Expected { digest: None, size_bytes }).await
    };
    match put.await {
        Ok(_) => Ok(Json(Empty {})),
        Err(error) => {
            drain(&mut body, &headers).await;
            Err(error.into())
        }
    }
}

/// The body's size, where the client tells it.
pub(super) fn size_of(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok())
}

async fn download_artifact(
    State(app): State<App>,
    _: Principal,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, MlflowError> {
    let path = path_of(&uri)?;
    let blob = app.content.find_file(&path).await?;
    Ok(download::respond::<MlflowError>(&app.content, blob, path.name(), &headers).await)
}

/// As MLflow: nothing there to delete is no error.
async fn delete_artifact(State(app): State<App>, _: Principal, uri: Uri) -> Result<Json<Empty>, MlflowError> {
    app.content.remove(&path_of(&uri)?).await?;
    Ok(Json(Empty {}))
}

async fn list_artifacts(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<ListArtifactsMlflowArtifacts>,
) -> Result<Json<ListArtifactsResponse>, MlflowError> {
    let path = ArtifactPath::parse_listed(request.path.as_deref().unwrap_or_default())?;
    let entries = app.content.list(&path).await?;
    // Relative to the directory that was asked for, as MLflow's client joins them to it.
    let files = entries.into_iter().map(|entry| FileInfo::new(entry, "")).collect();
    Ok(Json(ListArtifactsResponse { root_uri: None, files }))
}
