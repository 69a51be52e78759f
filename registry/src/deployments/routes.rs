//! Deployments, rollouts, leases and logs in the native API.

use super::{self as deployments};
use crate::{
    access::Principal,
    app::App,
    error::{Failure, log_internal, public_message},
    http::{ApiError, ApiJson, ApiPath, ApiQuery, IdempotencyKey, RequestId},
};
use axum::{
    Json,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Sse, sse},
};
use futures::{Stream, StreamExt as _};
use serde::Deserialize;
use std::{convert::Infallible, time::Duration};
use utoipa_axum::{router::OpenApiRouter, routes};
use waybill_client::api::{
    AcquireLease, AppendLog, Deployment, DeploymentList, DesiredState, Lease, LogPage, Problem,
    ReportRollout, ReportServing, ReportStopped, Rollout,
};

/// Room for 1,000 lines of 8 KiB.
const APPEND_MAX_BYTES: usize = 16 << 20;
/// Shorter than the idle timeout of usual proxies.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Paths below `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get_log, append_log))
        .layer(DefaultBodyLimit::max(APPEND_MAX_BYTES))
        .routes(routes!(follow_log))
        .routes(routes!(list_deployments))
        .routes(routes!(get_deployment))
        .routes(routes!(get_desired_state))
        .routes(routes!(acquire_lease))
        .routes(routes!(get_rollout))
        .routes(routes!(report_rollout))
        .routes(routes!(report_serving))
        .routes(routes!(report_stopped))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ListDeployments {
    /// `test`, `staging` or `production`; all of them when left out.
    environment: Option<String>,
}

/// List deployments by environment and model.
#[utoipa::path(
    get, path = "/deployments", operation_id = "list_deployments", tag = "deployments", params(ListDeployments),
    responses(
        (status = 200, body = DeploymentList),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list_deployments(
    State(app): State<App>,
    _: Principal,
    ApiQuery(query): ApiQuery<ListDeployments>,
) -> Result<Json<DeploymentList>, ApiError> {
    let deployments = deployments::deployments(&app, query.environment.as_deref()).await?;
    Ok(Json(DeploymentList { deployments }))
}

/// Get the deployment of a model in an environment.
#[utoipa::path(
    get, path = "/environments/{environment}/deployments/{model}", operation_id = "get_deployment",
    tag = "deployments",
    params(
        ("environment" = String, Path, description = "`test`, `staging` or `production`"),
        ("model" = String, Path, description = "The model's name"),
    ),
    responses(
        (status = 200, body = Deployment),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get_deployment(
    State(app): State<App>,
    _: Principal,
    ApiPath((environment, model)): ApiPath<(String, String)>,
) -> Result<Json<Deployment>, ApiError> {
    Ok(Json(deployments::deployment(&app, &environment, &model).await?))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Desired {
    /// Answer once the environment's revision is higher than this; at once when left out.
    after_revision: Option<i64>,
    /// Longest wait for that, up to 55,000.
    wait_ms: Option<u64>,
}

/// Tell what an environment desires, and wait for it to change.
#[utoipa::path(
    get, path = "/environments/{environment}/desired", operation_id = "get_desired_state", tag = "deployments",
    params(("environment" = String, Path, description = "`test`, `staging` or `production`"), Desired),
    responses(
        (status = 200, body = DesiredState),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get_desired_state(
    State(app): State<App>,
    _: Principal,
    ApiPath(environment): ApiPath<String>,
    ApiQuery(query): ApiQuery<Desired>,
) -> Result<Json<DesiredState>, ApiError> {
    let wait_ms = query.wait_ms.unwrap_or_default();
    Ok(Json(deployments::desired_state(&app, &environment, query.after_revision, wait_ms).await?))
}

/// Take or renew the lease on an environment.
///
/// On the database's clock. Every report carries the lease's fence; a stale one is refused.
#[utoipa::path(
    post, path = "/environments/{environment}/lease", operation_id = "acquire_lease", tag = "deployments",
    params(("environment" = String, Path, description = "`test`, `staging` or `production`")),
    request_body = AcquireLease,
    responses(
        (status = 200, body = Lease),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn acquire_lease(
    State(app): State<App>,
    _: Principal,
    ApiPath(environment): ApiPath<String>,
    ApiJson(request): ApiJson<AcquireLease>,
) -> Result<Json<Lease>, ApiError> {
    Ok(Json(deployments::acquire_lease(&app, &environment, request).await?))
}

/// Get a rollout.
#[utoipa::path(
    get, path = "/rollouts/{rollout_id}", operation_id = "get_rollout", tag = "deployments",
    params(("rollout_id" = String, Path, description = "The rollout's id")),
    responses(
        (status = 200, body = Rollout),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get_rollout(
    State(app): State<App>,
    _: Principal,
    ApiPath(rollout_id): ApiPath<String>,
) -> Result<Json<Rollout>, ApiError> {
    Ok(Json(deployments::rollout(&app, &rollout_id).await?))
}

/// Report a step of a rollout.
///
/// Phases go forward; a deployer that starts over reports `verifying` again. `draining` closes
/// the serving interval of the version before and opens one for this.
#[utoipa::path(
    post, path = "/rollouts/{rollout_id}/reports", operation_id = "report_rollout", tag = "deployments",
    params(("rollout_id" = String, Path, description = "The rollout's id")),
    request_body = ReportRollout,
    responses(
        (status = 200, body = Rollout),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn report_rollout(
    State(app): State<App>,
    principal: Principal,
    request_id: RequestId,
    ApiPath(rollout_id): ApiPath<String>,
    ApiJson(report): ApiJson<ReportRollout>,
) -> Result<Json<Rollout>, ApiError> {
    let cause = app.cause(&principal, request_id, None);
    Ok(Json(deployments::report_rollout(&app, cause, &rollout_id, report).await?))
}

/// Report what serves outside of rollouts.
///
/// That the revision on record stopped answering or answers again, or that another revision of the
/// same version took its place. A report about what does not serve any more changes nothing.
#[utoipa::path(
    post, path = "/environments/{environment}/deployments/{model}/serving", operation_id = "report_serving",
    tag = "deployments",
    params(
        ("environment" = String, Path, description = "`test`, `staging` or `production`"),
        ("model" = String, Path, description = "The model's name"),
    ),
    request_body = ReportServing,
    responses(
        (status = 204, description = "Recorded"),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn report_serving(
    State(app): State<App>,
    principal: Principal,
    request_id: RequestId,
    ApiPath((environment, model)): ApiPath<(String, String)>,
    ApiJson(report): ApiJson<ReportServing>,
) -> Result<StatusCode, ApiError> {
    let cause = app.cause(&principal, request_id, None);
    deployments::report_serving(&app, cause, &environment, &model, report).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Report that nothing serves any more.
#[utoipa::path(
    post, path = "/environments/{environment}/deployments/{model}/stopped", operation_id = "report_stopped",
    tag = "deployments",
    params(
        ("environment" = String, Path, description = "`test`, `staging` or `production`"),
        ("model" = String, Path, description = "The model's name"),
    ),
    request_body = ReportStopped,
    responses(
        (status = 204, description = "Recorded"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn report_stopped(
    State(app): State<App>,
    principal: Principal,
    request_id: RequestId,
    ApiPath((environment, model)): ApiPath<(String, String)>,
    ApiJson(report): ApiJson<ReportStopped>,
) -> Result<StatusCode, ApiError> {
    let cause = app.cause(&principal, request_id, None);
    deployments::report_stopped(&app, cause, &environment, &model, report).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct LogQuery {
    /// Lines after this position only; 0 or left out: from the first that is kept.
    after_seq: Option<i64>,
    /// Lines on the page, 1 to 1,000; 1,000 when left out.
    limit: Option<u32>,
}

/// Read a page of a deployment's log.
#[utoipa::path(
    get, path = "/environments/{environment}/deployments/{model}/logs", operation_id = "get_log",
    tag = "deployments",
    params(
        ("environment" = String, Path, description = "`test`, `staging` or `production`"),
        ("model" = String, Path, description = "The model's name"),
        LogQuery,
    ),
    responses(
        (status = 200, body = LogPage),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get_log(
    State(app): State<App>,
    _: Principal,
    ApiPath((environment, model)): ApiPath<(String, String)>,
    ApiQuery(query): ApiQuery<LogQuery>,
) -> Result<Json<LogPage>, ApiError> {
    let after = query.after_seq.unwrap_or_default();
    let lines = deployments::log_page(&app, &environment, &model, after, query.limit).await?;
    Ok(Json(LogPage { lines }))
}

/// Append lines to a deployment's log.
#[utoipa::path(
    post, path = "/environments/{environment}/deployments/{model}/logs", operation_id = "append_log",
    tag = "deployments",
    params(
        ("environment" = String, Path, description = "`test`, `staging` or `production`"),
        ("model" = String, Path, description = "The model's name"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a retry of the newest append safe"),
    ),
    request_body = AppendLog,
    responses(
        (status = 204, description = "Appended"),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn append_log(
    State(app): State<App>,
    _: Principal,
    IdempotencyKey(key): IdempotencyKey,
    ApiPath((environment, model)): ApiPath<(String, String)>,
    ApiJson(append): ApiJson<AppendLog>,
) -> Result<StatusCode, ApiError> {
    deployments::append_log(&app, &environment, &model, key, append).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Follow {
    /// Lines after this position only; a `Last-Event-ID` header counts before it.
    after_seq: Option<i64>,
}

/// Follow a deployment's log as server-sent events.
///
/// What was logged comes first, then every new line as it comes; each once, in order. An event's
/// data is a `LogLine`, its id the line's position.
#[utoipa::path(
    get, path = "/environments/{environment}/deployments/{model}/logs/stream", operation_id = "follow_log",
    tag = "deployments",
    params(
        ("environment" = String, Path, description = "`test`, `staging` or `production`"),
        ("model" = String, Path, description = "The model's name"),
        Follow,
    ),
    responses(
        (status = 200, content_type = "text/event-stream", body = String),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn follow_log(
    State(app): State<App>,
    _: Principal,
    ApiPath((environment, model)): ApiPath<(String, String)>,
    ApiQuery(query): ApiQuery<Follow>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, ApiError> {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
    let after = last.or(query.after_seq).unwrap_or_default();
    let lines = deployments::follow_log(app, &environment, &model, after).await?;
    Ok(Sse::new(events(lines)).keep_alive(sse::KeepAlive::new().interval(KEEP_ALIVE)))
}

/// Lines as events. A failure ends the stream; the client asks again from its last position.
fn events<E: Failure>(
    lines: impl Stream<Item = Result<waybill_client::api::LogLine, E>> + Send,
) -> impl Stream<Item = Result<sse::Event, Infallible>> + Send {
    lines.map(|line| {
        Ok(match line {
            Ok(line) => {
                let data = serde_json::to_string(&line).unwrap_or_default();
                sse::Event::default().id(line.seq.to_string()).data(data)
            }
            Err(error) => {
                log_internal(&error);
                sse::Event::default().event("error").data(public_message(&error))
            }
        })
    })
}
