//! `mlflow/traces` as clients since 3.0 use it.

use super::{mount, mount_v3};
use crate::{
    access::Principal,
    app::App,
    mlflow::{
        MlflowError, MlflowJson,
        wire::{
            Empty,
            trace_requests::{
                BatchGetTraces, DeleteTraceTag, DeleteTraces, DeleteTracesResponse, GetTrace,
                LinkPromptsToTrace, LinkTracesToRun, SetTraceTag,
            },
            traces::{BatchGetTraceInfosResponse, BatchGetTracesResponse, StartTraceV3, TraceResponse},
        },
    },
    runs::{self, KeyValue},
    traces::{lifecycle, links, read, tags},
};
use axum::{
    Json, Router,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::{get, patch, post},
};

pub fn router() -> Router<App> {
    let tags = patch(set_tag).delete(delete_tag);
    Router::new()
        .merge(mount_v3("/mlflow/traces", post(start)))
        .merge(mount_v3("/mlflow/traces/{trace_id}", get(get_info)))
        .merge(mount_v3("/mlflow/traces/get", get(get_trace)))
        .merge(mount_v3("/mlflow/traces/batchGet", get(batch_get)))
        .merge(mount_v3("/mlflow/traces/batchGetInfos", post(batch_get_infos)))
        .merge(mount_v3("/mlflow/traces/delete-traces", post(delete_traces)))
        .merge(mount("/mlflow/traces/delete-traces", post(delete_traces)))
        .merge(mount_v3("/mlflow/traces/{trace_id}/tags", tags.clone()))
        .merge(mount("/mlflow/traces/{trace_id}/tags", tags))
        .merge(mount("/mlflow/traces/link-to-run", post(link_to_run)))
        .merge(mount("/mlflow/traces/link-prompts", post(link_prompts)))
}

async fn start(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<StartTraceV3>,
) -> Result<Response, MlflowError> {
    let info = lifecycle::start(&app, request.try_into()?).await?;
    Ok(Json(TraceResponse { trace: (&info).into() }).into_response())
}

async fn get_info(
    State(app): State<App>,
    _: Principal,
    Path(trace_id): Path<String>,
) -> Result<Response, MlflowError> {
    let info = read::info(&app, &trace_id).await?;
    Ok(Json(TraceResponse { trace: (&info).into() }).into_response())
}

async fn get_trace(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<GetTrace>,
) -> Result<Response, MlflowError> {
    let trace = read::get(&app, &request.trace_id, request.allow_partial).await?;
    Ok(Json(TraceResponse { trace: (&trace).into() }).into_response())
}

async fn batch_get(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<BatchGetTraces>,
) -> Result<Response, MlflowError> {
    let experiments = experiment_ids(request.experiment_ids.as_deref())?;
    let traces = read::many(&app, request.trace_ids, experiments).await?;
    let answer = BatchGetTracesResponse { traces: traces.iter().map(Into::into).collect() };
    Ok(Json(answer).into_response())
}

async fn batch_get_infos(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<BatchGetTraces>,
) -> Result<Response, MlflowError> {
    let experiments = experiment_ids(request.experiment_ids.as_deref())?;
    let infos = read::infos(&app, request.trace_ids, experiments).await?;
    let answer = BatchGetTraceInfosResponse { trace_infos: infos.iter().map(Into::into).collect() };
    Ok(Json(answer).into_response())
}

fn experiment_ids(texts: Option<&[String]>) -> Result<Option<Vec<i64>>, MlflowError> {
    texts.map(super::search::experiment_ids).transpose()
}

async fn delete_traces(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<DeleteTraces>,
) -> Result<Json<DeleteTracesResponse>, MlflowError> {
    let experiment_id = runs::parse_experiment_id(&request.experiment_id)?;
    let (until_ms, limit) = (request.max_timestamp_millis, request.max_traces);
    let traces_deleted = lifecycle::delete(&app, experiment_id, until_ms, limit, request.request_ids).await?;
    Ok(Json(DeleteTracesResponse { traces_deleted }))
}

async fn set_tag(
    State(app): State<App>,
    _: Principal,
    Path(trace_id): Path<String>,
    MlflowJson(request): MlflowJson<SetTraceTag>,
) -> Result<Json<Empty>, MlflowError> {
    tags::set(&app, trace_id, KeyValue { key: request.key, value: request.value }).await?;
    Ok(Json(Empty {}))
}

async fn delete_tag(
    State(app): State<App>,
    _: Principal,
    Path(trace_id): Path<String>,
    MlflowJson(request): MlflowJson<DeleteTraceTag>,
) -> Result<Json<Empty>, MlflowError> {
    tags::delete(&app, trace_id, request.key).await?;
    Ok(Json(Empty {}))
}

async fn link_to_run(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<LinkTracesToRun>,
) -> Result<Json<Empty>, MlflowError> {
    links::traces_to_run(&app, request.trace_ids, request.run_id).await?;
    Ok(Json(Empty {}))
}

async fn link_prompts(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<LinkPromptsToTrace>,
) -> Result<Json<Empty>, MlflowError> {
    let mut prompts = Vec::new();
    for (i, prompt) in request.prompt_versions.into_iter().enumerate() {
        let version = prompt.version.trim().parse().map_err(|_| {
            let shown: String = prompt.version.chars().take(100).collect();
            MlflowError::invalid(format!(
                "Invalid value '{shown}' for parameter 'prompt_versions[{i}].version' supplied: an integer is expected."
            ))
        })?;
        prompts.push((prompt.name, version));
    }
    links::prompts_to_trace(&app, request.trace_id, prompts).await?;
    Ok(Json(Empty {}))
}
