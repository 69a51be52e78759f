//! `/imports` of the native API.

use crate::{
    access::Principal,
    app::App,
    http::{ApiError, ApiJson, ApiPath, ApiQuery, RequestId, next_page, number, page},
    imports,
};
use axum::{
    Json,
    extract::{DefaultBodyLimit, State},
};
use utoipa_axum::{router::OpenApiRouter, routes};
use waybill_client::api::{
    CreateImport, IMPORT_BATCH_MAX_BYTES, Import, ImportArtifacts, ImportBatch, ImportOutcome,
    ImportOutcomes, ImportPage, ImportVersion, ImportedObjects, LookUpImported, PageQuery, Problem,
};

/// Paths below `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(import_batch))
        .routes(routes!(import_artifacts))
        .layer(DefaultBodyLimit::max(IMPORT_BATCH_MAX_BYTES))
        .routes(routes!(create_import))
        .routes(routes!(list_imports))
        .routes(routes!(get_import))
        .routes(routes!(look_up_imported))
        .routes(routes!(import_version))
}

/// Begin an import, or go on with the one of the same source.
#[utoipa::path(
    post, path = "/imports", operation_id = "create_import", tag = "imports",
    request_body = CreateImport,
    responses(
        (status = 200, body = Import),
        (status = 400, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn create_import(
    State(app): State<App>,
    principal: Principal,
    request_id: RequestId,
    ApiJson(request): ApiJson<CreateImport>,
) -> Result<Json<Import>, ApiError> {
    let cause = app.cause(&principal, request_id, None);
    Ok(Json(imports::create(&app, cause, request).await?))
}

/// List imports, the newest first.
#[utoipa::path(
    get, path = "/imports", operation_id = "list_imports", tag = "imports", params(PageQuery),
    responses(
        (status = 200, body = ImportPage),
        (status = 400, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list_imports(
    State(app): State<App>,
    _: Principal,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<ImportPage>, ApiError> {
    let (limit, before) = page(&query)?;
    let before = number(before)?.unwrap_or(i64::MAX);
    let mut found = imports::list(&app, before, limit as i64 + 1).await?;
    let next_page_token = next_page(&mut found, limit, |(key, _)| key.to_string());
    Ok(Json(ImportPage { imports: found.into_iter().map(|(_, import)| import).collect(), next_page_token }))
}

/// Get an import and how much of it is here.
#[utoipa::path(
    get, path = "/imports/{import_id}", operation_id = "get_import", tag = "imports",
    params(("import_id" = String, Path, description = "From `create_import`")),
    responses(
        (status = 200, body = Import),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get_import(
    State(app): State<App>,
    _: Principal,
    ApiPath(import_id): ApiPath<String>,
) -> Result<Json<Import>, ApiError> {
    Ok(Json(imports::get(&app, &import_id).await?))
}

/// Ask which objects of the source are here already.
#[utoipa::path(
    post, path = "/imports/{import_id}/lookups", operation_id = "look_up_imported", tag = "imports",
    params(("import_id" = String, Path, description = "From `create_import`")),
    request_body = LookUpImported,
    responses(
        (status = 200, body = ImportedObjects),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn look_up_imported(
    State(app): State<App>,
    _: Principal,
    ApiPath(import_id): ApiPath<String>,
    ApiJson(request): ApiJson<LookUpImported>,
) -> Result<Json<ImportedObjects>, ApiError> {
    Ok(Json(ImportedObjects { objects: imports::look_up(&app, &import_id, &request).await? }))
}

/// Write objects of the source together.
///
/// In one transaction. An object that is refused writes nothing, and its outcome says why; sending
/// a batch again is harmless.
#[utoipa::path(
    post, path = "/imports/{import_id}/batches", operation_id = "import_batch", tag = "imports",
    params(("import_id" = String, Path, description = "From `create_import`")),
    request_body = ImportBatch,
    responses(
        (status = 200, body = ImportOutcomes),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 413, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn import_batch(
    State(app): State<App>,
    principal: Principal,
    request_id: RequestId,
    ApiPath(import_id): ApiPath<String>,
    ApiJson(request): ApiJson<ImportBatch>,
) -> Result<Json<ImportOutcomes>, ApiError> {
    let cause = app.cause(&principal, request_id, None);
    let outcomes = imports::write_batch(&app, cause, &import_id, request.objects).await?;
    Ok(Json(ImportOutcomes { outcomes }))
}

/// Register a version under the number that it had at the source.
///
/// Its files, where this server holds them, are frozen and signed; the registration statement and
/// the provenance say that it was imported. Where they are not here it becomes a pointer to its source,
/// which is frozen and signed when it is sent again and they are. To send a frozen one again is harmless.
#[utoipa::path(
    post, path = "/imports/{import_id}/versions", operation_id = "import_version", tag = "imports",
    params(("import_id" = String, Path, description = "From `create_import`")),
    request_body = ImportVersion,
    responses(
        (status = 200, body = ImportOutcome),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn import_version(
    State(app): State<App>,
    principal: Principal,
    request_id: RequestId,
    ApiPath(import_id): ApiPath<String>,
    ApiJson(request): ApiJson<ImportVersion>,
) -> Result<Json<ImportOutcome>, ApiError> {
    let cause = app.cause(&principal, request_id, None);
    Ok(Json(imports::write_version(&app, cause, &import_id, request).await?))
}

/// Bind the files of an upload session to artifact paths.
///
/// All of them or none. Content that this server holds of its own is not replaced.
#[utoipa::path(
    post, path = "/imports/{import_id}/artifacts", operation_id = "import_artifacts", tag = "imports",
    params(("import_id" = String, Path, description = "From `create_import`")),
    request_body = ImportArtifacts,
    responses(
        (status = 200, body = ImportOutcome),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn import_artifacts(
    State(app): State<App>,
    principal: Principal,
    request_id: RequestId,
    ApiPath(import_id): ApiPath<String>,
    ApiJson(request): ApiJson<ImportArtifacts>,
) -> Result<Json<ImportOutcome>, ApiError> {
    let cause = app.cause(&principal, request_id, None);
    Ok(Json(imports::bind(&app, cause, &import_id, request).await?))
}
