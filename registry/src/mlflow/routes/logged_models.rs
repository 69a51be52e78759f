//! `mlflow/logged-models/*`.

use super::mount;
use crate::{
    access::Principal,
    app::App,
    logged_models::{self, NewModel, Status},
    mlflow::{
        MlflowError, MlflowJson,
        extract::MlflowPath,
        wire::{
            Empty,
            logged_models::{
                CreateLoggedModel, FinalizeLoggedModel, GetLoggedModel, LogLoggedModelParamsRequest,
                LoggedModelResponse, SetLoggedModelTags,
            },
            pairs,
        },
    },
    runs,
};
use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::{delete, get, patch, post},
};

pub fn router() -> Router<App> {
    Router::new()
        .merge(mount("/mlflow/logged-models", post(create)))
        .merge(mount("/mlflow/logged-models/{model_id}", get(get_model).patch(finalize).delete(delete_model)))
        .merge(mount("/mlflow/logged-models/{model_id}/params", post(log_params)))
        .merge(mount("/mlflow/logged-models/{model_id}/tags", patch(set_tags)))
        .merge(mount("/mlflow/logged-models/{model_id}/tags/{tag_key}", delete(delete_tag)))
}

async fn create(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<CreateLoggedModel>,
) -> Result<Response, MlflowError> {
    let new = NewModel {
        experiment_id: runs::parse_experiment_id(&request.experiment_id)?,
        name: request.name,
        model_type: request.model_type,
        source_run_id: request.source_run_id,
        params: pairs(request.params),
        tags: pairs(request.tags),
    };
    let model = logged_models::create(&app, new).await?;
    Ok(Json(LoggedModelResponse { model: (&model).into() }).into_response())
}

async fn get_model(
    State(app): State<App>,
    _: Principal,
    MlflowPath(model_id): MlflowPath<String>,
    MlflowJson(request): MlflowJson<GetLoggedModel>,
) -> Result<Response, MlflowError> {
    let model = logged_models::get(&app, &model_id, request.allow_deleted).await?;
    Ok(Json(LoggedModelResponse { model: (&model).into() }).into_response())
}

async fn finalize(
    State(app): State<App>,
    _: Principal,
    MlflowPath(model_id): MlflowPath<String>,
    MlflowJson(request): MlflowJson<FinalizeLoggedModel>,
) -> Result<Response, MlflowError> {
    let status = request.status.pick("status", &Status::ALL, 0, Status::as_str)?;
    let model = logged_models::finalize(&app, model_id, status).await?;
    Ok(Json(LoggedModelResponse { model: (&model).into() }).into_response())
}

async fn delete_model(
    State(app): State<App>,
    _: Principal,
    MlflowPath(model_id): MlflowPath<String>,
) -> Result<Json<Empty>, MlflowError> {
    logged_models::delete(&app, model_id).await?;
    Ok(Json(Empty {}))
}

async fn log_params(
    State(app): State<App>,
    _: Principal,
    MlflowPath(model_id): MlflowPath<String>,
    MlflowJson(request): MlflowJson<LogLoggedModelParamsRequest>,
) -> Result<Json<Empty>, MlflowError> {
    logged_models::log_params(&app, model_id, pairs(request.params)).await?;
    Ok(Json(Empty {}))
}

async fn set_tags(
    State(app): State<App>,
    _: Principal,
    MlflowPath(model_id): MlflowPath<String>,
    MlflowJson(request): MlflowJson<SetLoggedModelTags>,
) -> Result<Json<Empty>, MlflowError> {
    logged_models::set_tags(&app, model_id, pairs(request.tags)).await?;
    Ok(Json(Empty {}))
}

async fn delete_tag(
    State(app): State<App>,
    _: Principal,
    MlflowPath((model_id, key)): MlflowPath<(String, String)>,
) -> Result<Json<Empty>, MlflowError> {
    logged_models::delete_tag(&app, model_id, key).await?;
    Ok(Json(Empty {}))
}
