//! `mlflow/runs/*`: runs, and what is logged to them in any form but single metrics.

use super::mount;
use crate::{
    access::Principal,
    app::App,
    mlflow::{
        MlflowError, MlflowJson,
        wire::{
            Empty, pairs, run_id,
            run_inputs::{LogInputs, LogOutputs},
            runs::{
                CreateRun, DeleteTag, LogBatch, LogModel, RunId, RunKeyValue, RunResponse, UpdateRun,
                UpdateRunResponse,
            },
        },
    },
    runs::{self, KeyValue, RunStatus, inputs, lifecycle, logging},
};
use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::{get, post},
};

pub fn router() -> Router<App> {
    Router::new()
        .merge(mount("/mlflow/runs/create", post(create)))
        .merge(mount("/mlflow/runs/get", get(get_run)))
        .merge(mount("/mlflow/runs/update", post(update)))
        .merge(mount("/mlflow/runs/delete", post(delete)))
        .merge(mount("/mlflow/runs/restore", post(restore)))
        .merge(mount("/mlflow/runs/set-tag", post(set_tag)))
        .merge(mount("/mlflow/runs/delete-tag", post(delete_tag)))
        .merge(mount("/mlflow/runs/log-parameter", post(log_param)))
        .merge(mount("/mlflow/runs/log-batch", post(log_batch)))
        .merge(mount("/mlflow/runs/log-inputs", post(log_inputs)))
        .merge(mount("/mlflow/runs/outputs", post(log_outputs)))
        .merge(mount("/mlflow/runs/log-model", post(log_model)))
}

async fn create(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<CreateRun>,
) -> Result<Response, MlflowError> {
    // No experiment: the default one.
    let experiment_id = request.experiment_id.as_deref().unwrap_or("0");
    let start = lifecycle::StartRun {
        experiment_id: runs::parse_experiment_id(experiment_id)?,
        user_id: request.user_id,
        start_time_ms: request.start_time.unwrap_or(0),
        name: request.run_name,
        tags: pairs(request.tags),
    };
    let details = lifecycle::start(&app, start).await?;
    Ok(Json(RunResponse { run: (&details).into() }).into_response())
}

async fn get_run(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<RunId>,
) -> Result<Response, MlflowError> {
    let details = lifecycle::get(&app, &run_id(request.run_id, request.run_uuid)?).await?;
    Ok(Json(RunResponse { run: (&details).into() }).into_response())
}

async fn update(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<UpdateRun>,
) -> Result<Response, MlflowError> {
    let pick =
        |status: crate::mlflow::wire::EnumValue| status.pick("status", &RunStatus::ALL, 1, RunStatus::as_str);
    let change = lifecycle::Update {
        status: request.status.map(pick).transpose()?,
        end_time_ms: request.end_time,
        name: request.run_name,
    };
    let run = lifecycle::update(&app, run_id(request.run_id, request.run_uuid)?, change).await?;
    Ok(Json(UpdateRunResponse { run_info: (&run).into() }).into_response())
}

async fn delete(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<RunId>,
) -> Result<Json<Empty>, MlflowError> {
    lifecycle::delete(&app, run_id(request.run_id, request.run_uuid)?).await?;
    Ok(Json(Empty {}))
}

async fn restore(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<RunId>,
) -> Result<Json<Empty>, MlflowError> {
    lifecycle::restore(&app, run_id(request.run_id, request.run_uuid)?).await?;
    Ok(Json(Empty {}))
}

async fn set_tag(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<RunKeyValue>,
) -> Result<Json<Empty>, MlflowError> {
    let tag = KeyValue { key: request.key, value: request.value };
    logging::tag(&app, run_id(request.run_id, request.run_uuid)?, tag).await?;
    Ok(Json(Empty {}))
}

async fn delete_tag(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<DeleteTag>,
) -> Result<Json<Empty>, MlflowError> {
    logging::delete_tag(&app, request.run_id, request.key).await?;
    Ok(Json(Empty {}))
}

async fn log_param(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<RunKeyValue>,
) -> Result<Json<Empty>, MlflowError> {
    let param = KeyValue { key: request.key, value: request.value };
    logging::param(&app, run_id(request.run_id, request.run_uuid)?, param).await?;
    Ok(Json(Empty {}))
}

async fn log_batch(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<LogBatch>,
) -> Result<Json<Empty>, MlflowError> {
    let batch = logging::Batch {
        run_id: request.run_id,
        metrics: request.metrics.into_iter().map(Into::into).collect(),
        params: pairs(request.params),
        tags: pairs(request.tags),
    };
    logging::batch(&app, batch).await?;
    Ok(Json(Empty {}))
}

async fn log_inputs(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<LogInputs>,
) -> Result<Json<Empty>, MlflowError> {
    let datasets = request.datasets.into_iter().map(Into::into).collect();
    let models = request.models.into_iter().map(|model| model.model_id).collect();
    inputs::log_inputs(&app, request.run_id, datasets, models).await?;
    Ok(Json(Empty {}))
}

async fn log_outputs(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<LogOutputs>,
) -> Result<Json<Empty>, MlflowError> {
    let outputs = request.models.into_iter().map(Into::into).collect();
    inputs::log_outputs(&app, request.run_id, outputs).await?;
    Ok(Json(Empty {}))
}

/// What clients older than logged models tell of a model: noted in a tag of the run.
async fn log_model(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<LogModel>,
) -> Result<Json<Empty>, MlflowError> {
    const FIELDS: [&str; 4] = ["artifact_path", "flavors", "run_id", "utc_time_created"];
    let Ok(serde_json::Value::Object(mut model)) = serde_json::from_str(&request.model_json) else {
        let shown: String = request.model_json.chars().take(500).collect();
        return Err(MlflowError::invalid(format!(
            "Malformed model info. \n {shown} \n is not a valid JSON."
        )));
    };
    let missing: Vec<&str> = FIELDS.into_iter().filter(|field| !model.contains_key(*field)).collect();
    if !missing.is_empty() {
        let list = missing.iter().map(|field| format!("'{field}'")).collect::<Vec<_>>().join(", ");
        return Err(MlflowError::invalid(format!("Model json is missing mandatory fields: {{{list}}}")));
    }
    model.retain(|key, _| FIELDS.contains(&key.as_str()) || key == "model_uuid");
    if let Some(serde_json::Value::Object(flavors)) = model.get_mut("flavors") {
        for flavor in flavors.values_mut().filter_map(serde_json::Value::as_object_mut) {
            flavor.remove("config");
        }
    }
    inputs::log_model_history(&app, request.run_id, model.into()).await?;
    Ok(Json(Empty {}))
}
