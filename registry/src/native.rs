//! The native API, `/api/v1`: put together from the capabilities, described as OpenAPI.

use crate::{
    access::Principal, app::App, artifacts, audit, deployments, http::ApiError, models, promotion, provenance,
};
use axum::{Json, Router, extract::State, http::Uri};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};
use waybill_client::api::ServerInfo;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Waybill",
        description = "The native API of the Waybill model registry. Times are epoch milliseconds, sizes are \
                       bytes, digests are `sha256:<hex>`. Errors are RFC 9457 problems with a stable `code`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "models", description = "Registered models and their immutable versions"),
        (name = "proof", description = "Manifests, signatures, statements, documents, keys"),
        (name = "promotion", description = "Stages, rollbacks, history"),
        (name = "deployments", description = "What environments desire, what serves, logs"),
        (name = "uploads", description = "How a plain directory becomes a version"),
        (name = "blobs", description = "Bytes by digest"),
        (name = "audit", description = "Who changed what, when and why"),
        (name = "server", description = "The server itself"),
    )
)]
struct Description;

fn router() -> OpenApiRouter<App> {
    let api = OpenApiRouter::new()
        .routes(routes!(get_info))
        .merge(artifacts::routes::routes())
        .merge(audit::routes::routes())
        .merge(deployments::routes::routes())
        .merge(models::routes::routes())
        .merge(promotion::routes::routes())
        .merge(provenance::routes::routes());
    OpenApiRouter::with_openapi(Description::openapi()).nest("/api/v1", api)
}

/// The paths of the native API. What it does not offer answers with a problem.
pub fn routes() -> Router<App> {
    let (router, _) = router().split_for_parts();
    router.route("/api/v1/{*path}", axum::routing::any(not_offered))
}

/// The OpenAPI description, as YAML.
pub fn openapi() -> String {
    let (_, description) = router().split_for_parts();
    description.to_yaml().expect("a description of plain data can be written")
}

async fn not_offered(uri: Uri) -> ApiError {
    let path: String = uri.path().chars().take(200).collect();
    ApiError::not_found("ENDPOINT_NOT_FOUND", format!("{path} is not offered; see openapi.yaml"))
}

/// Tell what this server is.
#[utoipa::path(
    get, path = "/info", operation_id = "get_info", tag = "server",
    responses((status = 200, body = ServerInfo))
)]
async fn get_info(State(app): State<App>, _: Principal) -> Json<ServerInfo> {
    let artifacts_url = app.config.artifacts_url.as_deref().unwrap_or_default();
    Json(ServerInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        database: app.db.engine().name().to_owned(),
        artifacts: if artifacts_url.starts_with("s3:") { "s3" } else { "file" }.to_owned(),
        deployer: app.config.deployer_mode.clone(),
        gateway_url: app.config.gateway_url.clone(),
    })
}
