//! `mlflow-artifacts/mpu/*` and presigned downloads: files in parts, and URLs that carry their own
//! permission.
//!
//! MLflow's client sends parts and ranges straight to the URLs that it is given, without its
//! credentials: where the store is a bucket of the server's own, MLflow hands out the bucket's.
//! These here lead back to this server, which hashes what passes.

use super::{artifacts::size_of, mount};
use crate::{
    access::Principal,
    app::App,
    artifacts::{
        ArtifactError, ArtifactPath, Body,
        multipart::{self, SentPart},
        routes::{download, drain},
        signed::{self, Permission},
    },
    mlflow::{
        ErrorCode, MlflowError, MlflowJson,
        wire::{
            Empty,
            artifacts::{
                AbortMultipartUpload, CompleteMultipartUpload, CreateMultipartUpload,
                CreateMultipartUploadResponse, CreatePresignedUrl, GetPresignedDownloadUrlResponse,
                MultipartUploadCredential, SignedQuery,
            },
        },
    },
};
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, HeaderName, Uri, header},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};

const API: &str = "/api/2.0";
const CREATE: &str = "/mlflow-artifacts/mpu/create";
const COMPLETE: &str = "/mlflow-artifacts/mpu/complete";
const ABORT: &str = "/mlflow-artifacts/mpu/abort";
const PART: &str = "/mlflow-artifacts/mpu/part";
const PRESIGNED: &str = "/mlflow-artifacts/presigned";
const SIGNED: &str = "/mlflow-artifacts/signed";
/// How long a download URL is good (MLflow's `MLFLOW_PRESIGNED_DOWNLOAD_URL_TTL_SECONDS`).
const DOWNLOAD_MS: i64 = 300_000;
/// A reverse proxy that ends TLS says so here.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

pub fn router() -> Router<App> {
    Router::new()
        .merge(mount(&format!("{CREATE}/{{*path}}"), post(create)))
        .merge(mount(&format!("{COMPLETE}/{{*path}}"), post(complete)))
        .merge(mount(&format!("{ABORT}/{{*path}}"), post(abort)))
        .merge(mount(&format!("{PART}/{{upload_id}}/{{part_number}}"), put(put_part)))
        .merge(mount(&format!("{PRESIGNED}/{{*path}}"), get(presigned_download)))
        .merge(mount(&format!("{SIGNED}/{{*path}}"), get(signed_download)))
        .merge(mount("/mlflow/artifacts/presigned-upload-url", post(presigned_upload_url)))
        .merge(mount("/mlflow/artifacts/presigned-download-url", post(presigned_download_url)))
}

/// The path behind `prefix` as the client wrote it.
fn path_of(uri: &Uri, prefix: &str) -> Result<ArtifactPath, ArtifactError> {
    let (_, path) = uri.path().split_once(prefix).ok_or(ArtifactError::UnsafePath)?;
    ArtifactPath::parse_file(path.strip_prefix('/').unwrap_or(path))
}

/// The file that an upload makes: in the directory of the URL, under the last name of the client's
/// own path, as MLflow's stores have it.
fn target(uri: &Uri, prefix: &str, local_file: &str) -> Result<ArtifactPath, ArtifactError> {
    let name = local_file.rsplit(['/', '\\']).next().unwrap_or_default();
    path_of(uri, prefix)?.join(&ArtifactPath::parse_file(name)?)
}

/// A URL of this server, under the name by which the caller reached it; the guard has checked that
/// this name is ours.
fn own_url(uri: &Uri, headers: &HeaderMap, path: &str) -> String {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = if text(FORWARDED_PROTO) == Some("https") { "https" } else { "http" };
    let host = uri.authority().map(|authority| authority.as_str()).or_else(|| text(header::HOST));
    format!("{scheme}://{}{API}{path}", host.unwrap_or("localhost"))
}

async fn create(
    State(app): State<App>,
    _: Principal,
    uri: Uri,
    headers: HeaderMap,
    MlflowJson(request): MlflowJson<CreateMultipartUpload>,
) -> Result<Response, MlflowError> {
    let path = target(&uri, CREATE, &request.path)?;
    let num_parts = request.num_parts.unwrap_or(1);
    let opened = multipart::create(&app.content, path, num_parts).await?;
    let key = signed::key(&app.content).await?;
    let upload_id = opened.upload_id;
    let credential = |part_number| {
        let permission = Permission::PutPart { upload_id: &upload_id, part_number };
        let query = key.query(permission, opened.expires_at_ms);
        let url = own_url(&uri, &headers, &format!("{PART}/{upload_id}/{part_number}?{query}"));
        MultipartUploadCredential { url, part_number }
    };
    let credentials = (1..=num_parts).map(credential).collect();
    Ok(Json(CreateMultipartUploadResponse { upload_id: &upload_id, credentials }).into_response())
}

/// `…/<upload id>/<part number>`, neither of which ever needs an encoding.
fn part_of(uri: &Uri) -> Option<(&str, i64)> {
    let (_, rest) = uri.path().split_once(PART)?;
    let (upload_id, part_number) = rest.strip_prefix('/')?.split_once('/')?;
    Some((upload_id, part_number.parse().ok()?))
}

/// Its URL is its permission.
async fn put_part(
    State(app): State<App>,
    uri: Uri,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<Response, MlflowError> {
    let mut body = Body::new(body.into_data_stream());
    let put = async {
        let (upload_id, part_number) = part_of(&uri).ok_or(ArtifactError::Signature)?;
        check(&app, Permission::PutPart { upload_id, part_number }, &uri).await?;
        multipart::put_part(&app.content, upload_id, part_number, &mut body, size_of(&headers)).await
    };
    match put.await {
        Ok(digest) => Ok(([(header::ETAG, format!("\"{}\"", digest.hex()))], Json(Empty {})).into_response()),
        Err(error) => {
            drain(&mut body, &headers).await;
            Err(error.into())
        }
    }
}

async fn complete(
    State(app): State<App>,
    _: Principal,
    uri: Uri,
    MlflowJson(request): MlflowJson<CompleteMultipartUpload>,
) -> Result<Json<Empty>, MlflowError> {
    let path = target(&uri, COMPLETE, &request.path)?;
    let parts = request.parts.into_iter();
    let parts =
        parts.map(|part| SentPart { part_number: part.part_number, etag: part.etag.unwrap_or_default() });
    multipart::complete(&app.content, &request.upload_id, &path, parts.collect()).await?;
    Ok(Json(Empty {}))
}

async fn abort(
    State(app): State<App>,
    _: Principal,
    uri: Uri,
    MlflowJson(request): MlflowJson<AbortMultipartUpload>,
) -> Result<Json<Empty>, MlflowError> {
    let path = target(&uri, ABORT, &request.path)?;
    multipart::abort(&app.content, &request.upload_id, &path).await?;
    Ok(Json(Empty {}))
}

async fn presigned_download(
    State(app): State<App>,
    _: Principal,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<GetPresignedDownloadUrlResponse>, MlflowError> {
    let path = path_of(&uri, PRESIGNED)?;
    let file_size = app.content.find_file(&path).await?.size_bytes;
    let key = signed::key(&app.content).await?;
    let query = key.query(Permission::Get { path: path.as_str() }, app.clock.now_ms() + DOWNLOAD_MS);
    let encoded = path.as_str().split('/').map(encode).collect::<Vec<_>>().join("/");
    let url = own_url(&uri, &headers, &format!("{SIGNED}/{encoded}?{query}"));
    Ok(Json(GetPresignedDownloadUrlResponse { url, headers: Empty {}, file_size }))
}

fn encode(segment: &str) -> String {
    percent_encoding::utf8_percent_encode(segment, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Its URL is its permission.
async fn signed_download(
    State(app): State<App>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, MlflowError> {
    let path = path_of(&uri, SIGNED)?;
    check(&app, Permission::Get { path: path.as_str() }, &uri).await?;
    let blob = app.content.find_file(&path).await?;
    Ok(download::respond::<MlflowError>(&app.content, blob, path.name(), &headers).await)
}

async fn check(app: &App, permission: Permission<'_>, uri: &Uri) -> Result<(), ArtifactError> {
    let query = SignedQuery::read(uri.query().unwrap_or_default());
    let key = signed::key(&app.content).await?;
    key.check(permission, query.expires.as_deref(), query.signature.as_deref(), app.clock.now_ms())
}

async fn presigned_upload_url(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<CreatePresignedUrl>,
) -> Result<Json<Empty>, MlflowError> {
    if request.run_id.is_some() == request.model_id.is_some() {
        return Err(MlflowError::invalid("Exactly one of run_id and model_id must be provided."));
    }
    Err(direct_only(&app, request, "upload", "for proxied artifact storage", "a").await?)
}

async fn presigned_download_url(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<CreatePresignedUrl>,
) -> Result<Json<Empty>, MlflowError> {
    const EXPIRATION_MAX_SECONDS: i64 = 604_800;
    if request.run_id.is_none() {
        return Err(crate::mlflow::extract::missing_value("run_id"));
    }
    if let Some(given) = request.expiration.filter(|s| !(1..=EXPIRATION_MAX_SECONDS).contains(s)) {
        return Err(MlflowError::invalid(format!(
            "expiration must be between 1 and {EXPIRATION_MAX_SECONDS} seconds (got {given})."
        )));
    }
    let request = CreatePresignedUrl { model_id: None, ..request };
    let whose = "for runs with proxied artifact storage";
    Err(direct_only(&app, request, "download", whose, "a run with a").await?)
}

/// Why there is no URL of somebody else's storage: ours has its own endpoints, and of others this
/// server holds no credentials.
async fn direct_only(
    app: &App,
    request: CreatePresignedUrl,
    what: &str,
    whose: &str,
    needs: &str,
) -> Result<MlflowError, MlflowError> {
    ArtifactPath::parse_file(&request.path)?;
    let root_uri = super::run_artifacts::root_uri(app, request.run_id, request.model_id).await?;
    let scheme = root_uri.split_once(':').map_or("", |(scheme, _)| scheme);
    if scheme == "mlflow-artifacts" {
        return Ok(MlflowError::invalid(format!(
            "Presigned {what} is not supported {whose} (artifact URI scheme: {scheme}). This endpoint \
             requires {needs} direct cloud storage artifact URI."
        )));
    }
    Ok(MlflowError::new(
        ErrorCode::NotImplemented,
        format!("Presigned {what} is not supported for the current artifact repository"),
    ))
}
