//! `mlflow/experiments/*`.

use super::mount;
use crate::{
    access::Principal,
    app::App,
    mlflow::{
        ErrorCode, MlflowError, MlflowJson,
        wire::{
            Empty,
            experiments::{
                CreateExperiment, CreateExperimentResponse, DeleteExperimentTag, ExperimentId,
                ExperimentResponse, GetExperimentByName, SetExperimentTag, UpdateExperiment,
            },
            pairs,
        },
    },
    runs::{self, KeyValue, RunsError, experiments},
};
use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};

pub fn router() -> Router<App> {
    Router::new()
        .merge(mount("/mlflow/experiments/create", post(create)))
        .merge(mount("/mlflow/experiments/get", get(get_by_id)))
        .merge(mount("/mlflow/experiments/get-by-name", get(get_by_name)))
        .merge(mount("/mlflow/experiments/update", post(update)))
        .merge(mount("/mlflow/experiments/delete", post(delete)))
        .merge(mount("/mlflow/experiments/restore", post(restore)))
        .merge(mount("/mlflow/experiments/set-experiment-tag", post(set_tag)))
        .merge(mount("/mlflow/experiments/delete-experiment-tag", post(delete_tag)))
}

async fn create(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<CreateExperiment>,
) -> Result<Json<CreateExperimentResponse>, MlflowError> {
    let new = experiments::NewExperiment {
        name: request.name,
        artifact_location: request.artifact_location,
        tags: pairs(request.tags),
    };
    let experiment_id = experiments::create(&app, new).await?.to_string();
    Ok(Json(CreateExperimentResponse { experiment_id }))
}

async fn get_by_id(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<ExperimentId>,
) -> Result<Response, MlflowError> {
    let experiment = experiments::get(&app, runs::parse_experiment_id(&request.experiment_id)?).await?;
    Ok(Json(ExperimentResponse { experiment: (&experiment).into() }).into_response())
}

async fn get_by_name(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<GetExperimentByName>,
) -> Result<Response, MlflowError> {
    let experiment = experiments::get_by_name(&app, &request.experiment_name).await?;
    Ok(Json(ExperimentResponse { experiment: (&experiment).into() }).into_response())
}

async fn update(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<UpdateExperiment>,
) -> Result<Json<Empty>, MlflowError> {
    let experiment_id = runs::parse_experiment_id(&request.experiment_id)?;
    match experiments::rename(&app, experiment_id, request.new_name).await {
        // MLflow's code comes with status 500, which its clients take for an outage and retry.
        Err(error @ RunsError::RenameDeleted) => Err(MlflowError {
            code: ErrorCode::InvalidState,
            status: StatusCode::CONFLICT,
            message: error.to_string(),
        }),
        other => Ok(other.map(|()| Json(Empty {}))?),
    }
}

async fn delete(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<ExperimentId>,
) -> Result<Json<Empty>, MlflowError> {
    experiments::delete(&app, runs::parse_experiment_id(&request.experiment_id)?).await?;
    Ok(Json(Empty {}))
}

async fn restore(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<ExperimentId>,
) -> Result<Json<Empty>, MlflowError> {
    experiments::restore(&app, runs::parse_experiment_id(&request.experiment_id)?).await?;
    Ok(Json(Empty {}))
}

async fn set_tag(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<SetExperimentTag>,
) -> Result<Json<Empty>, MlflowError> {
    let experiment_id = runs::parse_experiment_id(&request.experiment_id)?;
    let tag = KeyValue { key: request.key, value: request.value };
    experiments::set_tag(&app, experiment_id, tag).await?;
    Ok(Json(Empty {}))
}

async fn delete_tag(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<DeleteExperimentTag>,
) -> Result<Json<Empty>, MlflowError> {
    let experiment_id = runs::parse_experiment_id(&request.experiment_id)?;
    experiments::delete_tag(&app, experiment_id, request.key).await?;
    Ok(Json(Empty {}))
}
