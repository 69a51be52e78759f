//! `/uploads` and `/blobs` of the native API.

pub mod download;
mod range;

use super::{ArtifactError, Body, uploads};
use crate::{
    access::Principal,
    app::App,
    http::{ApiError, ApiJson},
    provenance,
};
use axum::{
    Json,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use std::time::Duration;
use utoipa_axum::{router::OpenApiRouter, routes};
use waybill_client::api::{CreateUpload, Problem, Upload};
use waybill_proof::Digest;

/// Room for the names of 20,000 files.
const CREATE_UPLOAD_MAX_BYTES: usize = 32 << 20;
/// Of a refused body so much is still read, so that its sender gets to read why.
const DRAIN_MAX_BYTES: u64 = 64 << 20;
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Paths below `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create_upload))
        .layer(DefaultBodyLimit::max(CREATE_UPLOAD_MAX_BYTES))
        .routes(routes!(put_upload_blob))
        .routes(routes!(delete_upload))
        .routes(routes!(get_blob))
}

/// Open an upload session.
///
/// Names all files of a model version with their digests. The answer lists the digests that the
/// registry lacks; the others need not be sent. The session stays open for 24 hours.
#[utoipa::path(
    post, path = "/uploads", operation_id = "create_upload", tag = "uploads",
    request_body = CreateUpload,
    responses(
        (status = 201, body = Upload),
        (status = 400, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn create_upload(
    State(app): State<App>,
    _: Principal,
    ApiJson(request): ApiJson<CreateUpload>,
) -> Result<(StatusCode, Json<Upload>), ApiError> {
    Ok((StatusCode::CREATED, Json(uploads::create(&app.content, request).await?)))
}

/// Send a file of an upload session.
///
/// The body is the file's bytes. It is refused with `DIGEST_MISMATCH` or `SIZE_MISMATCH` when it
/// is not what the session named. Sending it again is harmless.
#[utoipa::path(
    put, path = "/uploads/{upload_id}/blobs/{digest}", operation_id = "put_upload_blob", tag = "uploads",
    params(
        ("upload_id" = String, Path, description = "From `create_upload`"),
        ("digest" = String, Path, description = "`sha256:<hex>`, one that the session named"),
    ),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 204, description = "Stored durably"),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 507, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn put_upload_blob(
    State(app): State<App>,
    _: Principal,
    Path((upload_id, digest)): Path<(String, String)>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<StatusCode, ApiError> {
    let mut body = Body::new(body.into_data_stream());
    let put = async {
        let digest = parse_digest(&digest)?;
        Ok::<_, ApiError>(uploads::put(&app.content, &upload_id, digest, &mut body).await?)
    };
    match put.await {
        Ok(_) => Ok(StatusCode::NO_CONTENT),
        Err(error) => {
            drain(&mut body, &headers).await;
            Err(error)
        }
    }
}

/// Give an upload session up.
#[utoipa::path(
    delete, path = "/uploads/{upload_id}", operation_id = "delete_upload", tag = "uploads",
    params(("upload_id" = String, Path, description = "From `create_upload`")),
    responses(
        (status = 204, description = "The session is gone"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn delete_upload(
    State(app): State<App>,
    _: Principal,
    Path(upload_id): Path<String>,
) -> Result<StatusCode, ApiError> {
    if uploads::delete(&app.content, &upload_id).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(ArtifactError::NoUpload { upload_id }.into())
}

/// Get a blob's bytes.
///
/// Verified while they are sent: a damaged blob's response ends early. Takes `Range`, `If-Range`
/// and `If-None-Match`; the `ETag` is the digest.
#[utoipa::path(
    get, path = "/blobs/{digest}", operation_id = "get_blob", tag = "blobs",
    params(("digest" = String, Path, description = "`sha256:<hex>`")),
    responses(
        (status = 200, description = "All of it", content_type = "application/octet-stream", body = Vec<u8>),
        (status = 206, description = "The range", content_type = "application/octet-stream", body = Vec<u8>),
        (status = 304, description = "Not modified"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 416, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get_blob(
    State(app): State<App>,
    _: Principal,
    Path(digest): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let digest = parse_digest(&digest)?;
    let blob = match app.content.find(&digest).await {
        Err(ArtifactError::NoBlob { .. }) => return small_document(&app, &digest).await,
        found => found?,
    };
    let name = blob.digest.hex();
    Ok(download::respond::<ApiError>(&app.content, blob, &name, &headers).await)
}

/// A statement that was signed inside a transaction stands in its row, whole.
async fn small_document(app: &App, digest: &Digest) -> Result<Response, ApiError> {
    let found = provenance::inline_document(app, digest).await?;
    let text = found.ok_or(ArtifactError::NoBlob { digest: *digest })?;
    let headers = [
        (header::ETAG, format!("\"{digest}\"")),
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
    ];
    Ok((headers, text).into_response())
}

fn parse_digest(text: &str) -> Result<Digest, ApiError> {
    text.parse().map_err(|e| ApiError::invalid("DIGEST_INVALID", format!("digest: {e}")))
}

/// Reads what is left of a refused body, within limits: a connection closed on a client that
/// still sends would take the answer with it.
pub async fn drain(body: &mut Body, headers: &HeaderMap) {
    // Such a client sends nothing before it is told to.
    if !headers.contains_key(header::EXPECT) {
        let _ = tokio::time::timeout(DRAIN_MAX, body.drain(DRAIN_MAX_BYTES)).await;
    }
}
