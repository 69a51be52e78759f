//! `mlflow/traces/{trace_id}/assessments`.

use super::mount_v3;
use crate::{
    access::Principal,
    app::App,
    mlflow::{
        MlflowError, MlflowJson,
        wire::{
            Empty,
            assessments::{AssessmentResponse, CreateAssessment, UpdateAssessment},
        },
    },
    traces::assessments,
};
use axum::{
    Json, Router,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};

pub fn router() -> Router<App> {
    let one = get(get_one).patch(update).delete(delete);
    Router::new()
        .merge(mount_v3("/mlflow/traces/{trace_id}/assessments", post(create)))
        .merge(mount_v3("/mlflow/traces/{trace_id}/assessments/{assessment_id}", one))
}

async fn create(
    State(app): State<App>,
    _: Principal,
    Path(trace_id): Path<String>,
    MlflowJson(request): MlflowJson<CreateAssessment>,
) -> Result<Response, MlflowError> {
    let made = assessments::create(&app, trace_id, request.assessment.try_into()?).await?;
    Ok(Json(AssessmentResponse { assessment: (&made).into() }).into_response())
}

async fn get_one(
    State(app): State<App>,
    _: Principal,
    Path((trace_id, assessment_id)): Path<(String, String)>,
) -> Result<Response, MlflowError> {
    let found = assessments::get(&app, &trace_id, &assessment_id).await?;
    Ok(Json(AssessmentResponse { assessment: (&found).into() }).into_response())
}

async fn update(
    State(app): State<App>,
    _: Principal,
    Path((trace_id, assessment_id)): Path<(String, String)>,
    MlflowJson(request): MlflowJson<UpdateAssessment>,
) -> Result<Response, MlflowError> {
    let updated = assessments::update(&app, trace_id, assessment_id, request.change()?).await?;
    Ok(Json(AssessmentResponse { assessment: (&updated).into() }).into_response())
}

async fn delete(
    State(app): State<App>,
    _: Principal,
    Path((trace_id, assessment_id)): Path<(String, String)>,
) -> Result<Json<Empty>, MlflowError> {
    assessments::delete(&app, trace_id, assessment_id).await?;
    Ok(Json(Empty {}))
}
