//! Manifests, attached documents and keys in the native API.

use super::{self as provenance, keys};
use crate::{
    access::Principal,
    app::App,
    http::{ApiError, ApiJson, ApiPath, ApiQuery, RequestId},
};
use axum::{
    Json,
    extract::{DefaultBodyLimit, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};
use waybill_client::api::{
    AttachReferrer, FoundLockfile, KeyList, Problem, PublicKeyInfo, Referrer, ReferrerList, RegisterKey,
};
use waybill_proof::{Digest, documents::MAX_DOCUMENT_BYTES, media_type};

/// A document at its limit, escaped as JSON.
const ATTACH_MAX_BYTES: usize = 2 * MAX_DOCUMENT_BYTES;

/// Paths below `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_referrers, attach_referrer))
        .layer(DefaultBodyLimit::max(ATTACH_MAX_BYTES))
        .routes(routes!(get_manifest))
        .routes(routes!(find_lockfile))
        .routes(routes!(list_keys, register_key))
}

/// Get the manifest of a frozen version.
///
/// An OCI image manifest after the CNCF ModelPack specification, byte for byte as signed.
#[utoipa::path(
    get, path = "/versions/{uid}/manifest", operation_id = "get_manifest", tag = "proof",
    params(("uid" = String, Path, description = "The version's uid")),
    responses(
        (status = 200, content_type = "application/vnd.oci.image.manifest.v1+json", body = Object),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get_manifest(
    State(app): State<App>,
    _: Principal,
    ApiPath(uid): ApiPath<String>,
) -> Result<Response, ApiError> {
    let (digest, bytes) = provenance::manifest(&app, &uid).await?;
    let headers =
        [(header::CONTENT_TYPE, media_type::MANIFEST.to_owned()), (header::ETAG, format!("\"{digest}\""))];
    Ok((headers, bytes).into_response())
}

/// List what is attached to a frozen version: documents, signatures, statements.
#[utoipa::path(
    get, path = "/versions/{uid}/referrers", operation_id = "list_referrers", tag = "proof",
    params(("uid" = String, Path, description = "The version's uid")),
    responses(
        (status = 200, body = ReferrerList),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list_referrers(
    State(app): State<App>,
    _: Principal,
    ApiPath(uid): ApiPath<String>,
) -> Result<Json<ReferrerList>, ApiError> {
    Ok(Json(ReferrerList { referrers: provenance::referrers(&app, &uid).await? }))
}

/// Attach a lockfile, or a deployer's signature of one, to a frozen version.
///
/// The document is checked before it is kept. Attaching the same again changes nothing.
#[utoipa::path(
    post, path = "/versions/{uid}/referrers", operation_id = "attach_referrer", tag = "proof",
    params(("uid" = String, Path, description = "The version's uid")),
    request_body = AttachReferrer,
    responses(
        (status = 201, body = Referrer),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn attach_referrer(
    State(app): State<App>,
    principal: Principal,
    request_id: RequestId,
    ApiPath(uid): ApiPath<String>,
    ApiJson(request): ApiJson<AttachReferrer>,
) -> Result<(StatusCode, Json<Referrer>), ApiError> {
    let cause = app.cause(&principal, request_id, None);
    let referrer = provenance::attach(&app, cause, &uid, request).await?;
    Ok((StatusCode::CREATED, Json(referrer)))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct LockKey {
    /// Digest of the resolution's inputs, `sha256:<hex>`.
    key: String,
}

/// Find the newest lockfile that was resolved from the same inputs.
#[utoipa::path(
    get, path = "/lockfiles", operation_id = "find_lockfile", tag = "proof", params(LockKey),
    responses(
        (status = 200, body = FoundLockfile),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn find_lockfile(
    State(app): State<App>,
    _: Principal,
    ApiQuery(query): ApiQuery<LockKey>,
) -> Result<Json<FoundLockfile>, ApiError> {
    let key: Digest =
        query.key.parse().map_err(|e| ApiError::invalid("DIGEST_INVALID", format!("key: {e}")))?;
    Ok(Json(provenance::find_lockfile(&app, &key).await?))
}

/// List the public keys that sign for this registry.
///
/// Keys from the registry under test prove integrity only: pin keys from elsewhere to prove origin.
#[utoipa::path(
    get, path = "/keys", operation_id = "list_keys", tag = "proof",
    responses((status = 200, body = KeyList))
)]
async fn list_keys(State(app): State<App>, _: Principal) -> Result<Json<KeyList>, ApiError> {
    Ok(Json(KeyList { keys: keys::list(&app).await? }))
}

/// Make a deployer's public key known.
#[utoipa::path(
    post, path = "/keys", operation_id = "register_key", tag = "proof", request_body = RegisterKey,
    responses(
        (status = 201, body = PublicKeyInfo),
        (status = 400, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn register_key(
    State(app): State<App>,
    principal: Principal,
    request_id: RequestId,
    ApiJson(request): ApiJson<RegisterKey>,
) -> Result<(StatusCode, Json<PublicKeyInfo>), ApiError> {
    let key = keys::register(&app, app.cause(&principal, request_id, None), request).await?;
    Ok((StatusCode::CREATED, Json(key)))
}
