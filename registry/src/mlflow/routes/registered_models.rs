//! `mlflow/registered-models/*`.

use super::mount;
use crate::{
    access::Principal,
    app::App,
    http::RequestId,
    mlflow::{
        ErrorCode, MlflowError, MlflowJson,
        extract::invalid_value,
        filter::{Grammar, INVALID_CLAUSES},
        wire::{
            Empty,
            model_registry::{
                CreateRegisteredModel, DeleteRegisteredModelTag, GetLatestVersions, ModelVersion,
                ModelVersionResponse, ModelVersionsResponse, Named, NamedAlias, RegisteredModel,
                RegisteredModelResponse, RegisteredModelsResponse, RenameRegisteredModel, Search,
                SetRegisteredModelAlias, SetRegisteredModelTag, UpdateRegisteredModel, tags,
            },
        },
    },
    models::{self, ModelsError, Tagged, stage, store::search::MODELS},
    search::{Position, Query, QueryId},
};
use axum::{
    Json, Router,
    extract::State,
    routing::{delete, get, patch, post},
};

pub const GRAMMAR: Grammar = Grammar {
    entity: &MODELS,
    complaint: INVALID_CLAUSES,
    entity_types: "Valid entity types are ('attribute', 'tag', 'tags')",
    lists_everywhere: false,
    null_checks: false,
    order_keys: Some("{'name', 'timestamp'}"),
};
const MAX_RESULTS_DEFAULT: i64 = 100;
const MAX_RESULTS_MAX: i64 = 1_000;

pub fn router() -> Router<App> {
    Router::new()
        .merge(mount("/mlflow/registered-models/create", post(create)))
        .merge(mount("/mlflow/registered-models/get", get(get_model)))
        .merge(mount("/mlflow/registered-models/update", patch(update)))
        .merge(mount("/mlflow/registered-models/rename", post(rename)))
        .merge(mount("/mlflow/registered-models/delete", delete(delete_model)))
        .merge(mount("/mlflow/registered-models/search", get(search_models)))
        .merge(mount(
            "/mlflow/registered-models/get-latest-versions",
            post(get_latest_versions).get(get_latest_versions),
        ))
        .merge(mount("/mlflow/registered-models/set-tag", post(set_tag)))
        .merge(mount("/mlflow/registered-models/delete-tag", delete(delete_tag)))
        .merge(mount(
            "/mlflow/registered-models/alias",
            post(set_alias).delete(delete_alias).get(get_by_alias),
        ))
}

async fn answer(app: &App, name: &str) -> Result<Json<RegisteredModelResponse>, MlflowError> {
    let registered_model = models::model(app, name).await?.into();
    Ok(Json(RegisteredModelResponse { registered_model }))
}

async fn create(
    State(app): State<App>,
    principal: Principal,
    request_id: RequestId,
    MlflowJson(request): MlflowJson<CreateRegisteredModel>,
) -> Result<Json<RegisteredModelResponse>, MlflowError> {
    let cause = app.cause(&principal, request_id, None);
    let tags = tags(request.tags);
    models::create_model(&app, cause, &request.name, request.description, tags).await?;
    answer(&app, &request.name).await
}

async fn get_model(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<Named>,
) -> Result<Json<RegisteredModelResponse>, MlflowError> {
    answer(&app, &request.name).await
}

async fn update(
    State(app): State<App>,
    principal: Principal,
    request_id: RequestId,
    MlflowJson(request): MlflowJson<UpdateRegisteredModel>,
) -> Result<Json<RegisteredModelResponse>, MlflowError> {
    let cause = app.cause(&principal, request_id, None);
    models::describe_model(&app, cause, &request.name, Some(request.description)).await?;
    answer(&app, &request.name).await
}

async fn rename(
    State(app): State<App>,
    principal: Principal,
    request_id: RequestId,
    MlflowJson(request): MlflowJson<RenameRegisteredModel>,
) -> Result<Json<RegisteredModelResponse>, MlflowError> {
    let cause = app.cause(&principal, request_id, None);
    models::rename_model(&app, cause, &request.name, &request.new_name).await?;
    answer(&app, &request.new_name).await
}

async fn delete_model(
    State(app): State<App>,
    principal: Principal,
    request_id: RequestId,
    MlflowJson(request): MlflowJson<Named>,
) -> Result<Json<Empty>, MlflowError> {
    models::delete_model(&app, app.cause(&principal, request_id, None), &request.name).await?;
    Ok(Json(Empty {}))
}

async fn search_models(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<Search>,
) -> Result<Json<RegisteredModelsResponse>, MlflowError> {
    let limit = page_size(request.max_results, MAX_RESULTS_DEFAULT, MAX_RESULTS_MAX)?;
    let (query, position) = read_search(&request, GRAMMAR)?;
    let id = query.id;
    let page = models::search_models(&app, query, position.as_ref(), limit).await?;
    Ok(Json(RegisteredModelsResponse {
        registered_models: page.rows.into_iter().map(RegisteredModel::from).collect(),
        next_page_token: page.next.map(|next| id.token(&next)),
    }))
}

/// Rows of a page.
pub(super) fn page_size(asked: Option<i64>, default: i64, max: i64) -> Result<usize, MlflowError> {
    let limit = asked.unwrap_or(default);
    if limit > max {
        return Err(invalid_value("max_results", &limit.to_string().into()));
    }
    if limit < 1 {
        return Err(MlflowError::invalid(format!(
            "Invalid value for max_results. It must be a positive integer, but got {limit}"
        )));
    }
    Ok(limit as usize)
}

/// The search, and where its page begins.
pub(super) fn read_search(
    request: &Search,
    grammar: Grammar,
) -> Result<(Query, Option<Position>), MlflowError> {
    let fixed = [grammar.entity.name, request.filter.as_str()];
    let id = QueryId::of(fixed.into_iter().chain(request.order_by.iter().map(String::as_str)));
    let query = Query {
        conditions: grammar.filter(Some(&request.filter))?,
        orders: grammar.orders(&request.order_by)?,
        id,
        ..Query::default()
    };
    let token = request.page_token.as_deref();
    let position = token.map(|token| id.position(token)).transpose();
    let position = position.map_err(|error| MlflowError::invalid(error.to_string()))?;
    Ok((query, position))
}

async fn get_latest_versions(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<GetLatestVersions>,
) -> Result<Json<ModelVersionsResponse>, MlflowError> {
    let stages = request.stages.iter().map(|text| stage::parse_mlflow(text));
    let stages = stages.collect::<Result<Vec<_>, ModelsError>>()?;
    let found = models::latest_versions(&app, &request.name, &stages).await?;
    let model_versions = found.into_iter().map(ModelVersion::from).collect();
    Ok(Json(ModelVersionsResponse { model_versions, next_page_token: None }))
}

async fn set_tag(
    State(app): State<App>,
    principal: Principal,
    request_id: RequestId,
    MlflowJson(request): MlflowJson<SetRegisteredModelTag>,
) -> Result<Json<Empty>, MlflowError> {
    let cause = app.cause(&principal, request_id, None);
    models::set_tag(&app, cause, Tagged::Model(request.name), &request.key, &request.value).await?;
    Ok(Json(Empty {}))
}

async fn delete_tag(
    State(app): State<App>,
    principal: Principal,
    request_id: RequestId,
    MlflowJson(request): MlflowJson<DeleteRegisteredModelTag>,
) -> Result<Json<Empty>, MlflowError> {
    let cause = app.cause(&principal, request_id, None);
    models::delete_tag(&app, cause, Tagged::Model(request.name), &request.key).await?;
    Ok(Json(Empty {}))
}

async fn set_alias(
    State(app): State<App>,
    principal: Principal,
    request_id: RequestId,
    MlflowJson(request): MlflowJson<SetRegisteredModelAlias>,
) -> Result<Json<Empty>, MlflowError> {
    models::check_new_alias(&request.alias)?;
    let version = models::parse_version(&request.version)?;
    let cause = app.cause(&principal, request_id, None);
    models::set_alias(&app, cause, &request.name, &request.alias, version).await?;
    Ok(Json(Empty {}))
}

async fn delete_alias(
    State(app): State<App>,
    principal: Principal,
    request_id: RequestId,
    MlflowJson(request): MlflowJson<NamedAlias>,
) -> Result<Json<Empty>, MlflowError> {
    let cause = app.cause(&principal, request_id, None);
    models::delete_alias(&app, cause, &request.name, &request.alias).await?;
    Ok(Json(Empty {}))
}

async fn get_by_alias(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<NamedAlias>,
) -> Result<Json<ModelVersionResponse>, MlflowError> {
    match models::version_by_alias(&app, &request.name, &request.alias).await {
        Ok(details) => Ok(Json(ModelVersionResponse { model_version: details.into() })),
        // MLflow takes an unknown alias for a bad parameter.
        Err(error @ ModelsError::AliasNotFound { .. }) => {
            Err(MlflowError::new(ErrorCode::InvalidParameterValue, error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}
