//! Registered models and versions in the native API.

use super::{self as models, Content, ModelsError, Registering};
use crate::{
    access::Principal,
    app::App,
    artifacts::routes::download,
    http::{ApiError, ApiJson, ApiPath, ApiQuery, IdempotencyKey, RequestId, next_page, number, page},
    idempotency::Once,
    provenance::ProvenanceError,
};
use axum::{
    Json,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};
use waybill_client::api::{
    Model, ModelPage, ModelVersion, ModelVersionPage, PageQuery, Problem, RegisterVersion,
};
use waybill_proof::documents::{Document, ExperimentConfig, MAX_DOCUMENT_BYTES};

/// Room for a lockfile and an experiment config, each at its own limit, escaped as JSON.
const REGISTER_MAX_BYTES: usize = 2 * MAX_DOCUMENT_BYTES + (1 << 20);

/// Paths below `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(register_version))
        .layer(DefaultBodyLimit::max(REGISTER_MAX_BYTES))
        .routes(routes!(list_models))
        .routes(routes!(get_model))
        .routes(routes!(list_versions))
        .routes(routes!(get_version))
        .routes(routes!(get_version_by_uid))
        .routes(routes!(get_version_file))
        .routes(routes!(resolve_reference))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ListModels {
    /// Only models whose name contains this, in any case.
    name_contains: Option<String>,
    /// Items on the page, 1 to 1,000; 100 when left out.
    limit: Option<u32>,
    /// `next_page_token` of the page before.
    page_token: Option<String>,
}

/// List models by name.
#[utoipa::path(
    get, path = "/models", operation_id = "list_models", tag = "models", params(ListModels),
    responses(
        (status = 200, body = ModelPage),
        (status = 400, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list_models(
    State(app): State<App>,
    _: Principal,
    ApiQuery(query): ApiQuery<ListModels>,
) -> Result<Json<ModelPage>, ApiError> {
    let asked = PageQuery { limit: query.limit, page_token: query.page_token };
    let (limit, after) = page(&asked)?;
    let (contains, after) = (query.name_contains.as_deref(), after.unwrap_or_default());
    let mut models = models::models_page(&app, contains, &after, limit as i64 + 1).await?;
    let next_page_token = next_page(&mut models, limit, |model| model.name.clone());
    Ok(Json(ModelPage { models, next_page_token }))
}

/// Get a model.
#[utoipa::path(
    get, path = "/models/{name}", operation_id = "get_model", tag = "models",
    params(("name" = String, Path, description = "The model's name")),
    responses(
        (status = 200, body = Model),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get_model(
    State(app): State<App>,
    _: Principal,
    ApiPath(name): ApiPath<String>,
) -> Result<Json<Model>, ApiError> {
    let details = models::model(&app, &name).await?;
    Ok(Json(models::to_api_model(details.model, details.aliases)))
}

/// List a model's versions, newest first.
#[utoipa::path(
    get, path = "/models/{name}/versions", operation_id = "list_versions", tag = "models",
    params(("name" = String, Path, description = "The model's name"), PageQuery),
    responses(
        (status = 200, body = ModelVersionPage),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list_versions(
    State(app): State<App>,
    _: Principal,
    ApiPath(name): ApiPath<String>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<ModelVersionPage>, ApiError> {
    let (limit, before) = page(&query)?;
    let before = number(before)?.unwrap_or(i64::MAX);
    let found = models::versions_page(&app, &name, before, limit as i64 + 1).await?;
    let mut versions: Vec<ModelVersion> = found.into_iter().map(ModelVersion::from).collect();
    let next_page_token = next_page(&mut versions, limit, |version| version.version.to_string());
    Ok(Json(ModelVersionPage { versions, next_page_token }))
}

/// Get a version by its number.
#[utoipa::path(
    get, path = "/models/{name}/versions/{version}", operation_id = "get_version", tag = "models",
    params(
        ("name" = String, Path, description = "The model's name"),
        ("version" = i64, Path, description = "The version's number"),
    ),
    responses(
        (status = 200, body = ModelVersion),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get_version(
    State(app): State<App>,
    _: Principal,
    ApiPath((name, version)): ApiPath<(String, i64)>,
) -> Result<Json<ModelVersion>, ApiError> {
    match models::version(&app, &name, version).await {
        Err(error @ ModelsError::VersionNotFound { .. }) => {
            models::model(&app, &name).await?;
            Err(error.into())
        }
        found => Ok(Json(found?.into())),
    }
}

/// Get a version by its uid.
///
/// A deleted version is still found here: history and evidence name versions by uid for ever.
#[utoipa::path(
    get, path = "/versions/{uid}", operation_id = "get_version_by_uid", tag = "models",
    params(("uid" = String, Path, description = "The version's uid")),
    responses(
        (status = 200, body = ModelVersion),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get_version_by_uid(
    State(app): State<App>,
    _: Principal,
    ApiPath(uid): ApiPath<String>,
) -> Result<Json<ModelVersion>, ApiError> {
    Ok(Json(models::version_by_uid(&app, &uid).await?.into()))
}

/// Get a file of a frozen version.
///
/// Verified while it is sent: a damaged file's response ends early. Takes `Range`, `If-Range` and
/// `If-None-Match`; the `ETag` is the digest.
#[utoipa::path(
    get, path = "/versions/{uid}/files/{*path}", operation_id = "get_version_file", tag = "models",
    params(
        ("uid" = String, Path, description = "The version's uid"),
        ("path" = String, Path, description = "The file's path in the manifest"),
    ),
    responses(
        (status = 200, description = "All of it, of the type that its name tells", content_type = "*/*", body = Vec<u8>),
        (status = 206, description = "The range", content_type = "*/*", body = Vec<u8>),
        (status = 304, description = "Not modified"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 416, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get_version_file(
    State(app): State<App>,
    _: Principal,
    ApiPath((uid, path)): ApiPath<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let blob = app.content.find_version_file(&uid, &path).await?;
    let name = path.rsplit('/').next().unwrap_or_default();
    Ok(download::respond::<ApiError>(&app.content, blob, name, &headers).await)
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Resolve {
    /// `name@3`, `name@alias:champion`, `name@stage:production`, `name@sha256:…`, or `name@word`
    /// where one thing bears the word.
    r#ref: String,
}

/// Find the version that a reference names now.
#[utoipa::path(
    get, path = "/resolve", operation_id = "resolve_reference", tag = "models", params(Resolve),
    responses(
        (status = 200, body = ModelVersion),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn resolve_reference(
    State(app): State<App>,
    _: Principal,
    ApiQuery(query): ApiQuery<Resolve>,
) -> Result<Json<ModelVersion>, ApiError> {
    Ok(Json(models::resolve(&app, &query.r#ref).await?.into()))
}

/// Register the files of a finished upload session as the next version of a model.
///
/// Makes the model when there is none of that name. The files are frozen and signed before this
/// answers; two calls at once get two numbers, the same `Idempotency-Key` again gets the same.
#[utoipa::path(
    post, path = "/models/{name}/versions", operation_id = "register_version", tag = "models",
    params(
        ("name" = String, Path, description = "The model's name"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a retry safe, for 24 hours"),
    ),
    request_body = RegisterVersion,
    responses(
        (status = 201, body = ModelVersion),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn register_version(
    State(app): State<App>,
    principal: Principal,
    request_id: RequestId,
    IdempotencyKey(key): IdempotencyKey,
    ApiPath(name): ApiPath<String>,
    ApiJson(request): ApiJson<RegisterVersion>,
) -> Result<(StatusCode, Json<ModelVersion>), ApiError> {
    let once = Once::new(key, principal.actor(), format!("register {name}"), &request)?;
    let config = request.experiment_config.map(|value| ExperimentConfig::parse(value.to_string().as_bytes()));
    let config = config.transpose().map_err(|e| ModelsError::from(ProvenanceError::ExperimentConfig(e)))?;
    let asked = Registering {
        name,
        from: Content::Upload {
            upload_id: request.upload_id,
            config: config.map(Box::new),
            lockfile: request.lockfile,
        },
        description: request.description,
        make_model: true,
        once,
        ..Registering::default()
    };
    let version = models::register(&app, app.cause(&principal, request_id, None), asked).await?;
    let details = models::version_by_uid(&app, &version.uid).await?;
    Ok((StatusCode::CREATED, Json(details.into())))
}
