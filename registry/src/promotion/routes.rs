//! Promotions, rollbacks and history in the native API.

use super::{self as promotion, Others, PromotionError, Transition};
use crate::{
    access::Principal,
    app::App,
    http::{ApiError, ApiJson, ApiPath, ApiQuery, IdempotencyKey, RequestId},
    idempotency::Once,
    models::check_reference,
};
use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};
use waybill_client::api::{CreatePromotion, CreateRollback, History, Problem, Promotion};

/// Paths below `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create_promotion))
        .routes(routes!(create_rollback))
        .routes(routes!(get_history))
}

/// Move a version to a stage.
///
/// Returns once recorded; the deployment that follows the stage follows by itself, and the rollout
/// tells how that ends. Higher versions in the stage go back to where they came from, so that the
/// stage means this version for MLflow's clients too.
#[utoipa::path(
    post, path = "/models/{name}/versions/{version}/promotions", operation_id = "create_promotion",
    tag = "promotion",
    params(
        ("name" = String, Path, description = "The model's name"),
        ("version" = i64, Path, description = "The version's number"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a retry safe, for 24 hours"),
    ),
    request_body = CreatePromotion,
    responses(
        (status = 201, body = Promotion),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn create_promotion(
    State(app): State<App>,
    principal: Principal,
    request_id: RequestId,
    IdempotencyKey(key): IdempotencyKey,
    ApiPath((name, version)): ApiPath<(String, i64)>,
    ApiJson(request): ApiJson<CreatePromotion>,
) -> Result<(StatusCode, Json<Promotion>), ApiError> {
    check_reason(request.reason.as_deref())?;
    let once = Once::new(key, principal.actor(), format!("promote {name}@{version}"), &request)?;
    let cause = app.cause(&principal, request_id, request.reason);
    let asked = Transition { name, version, to: request.to, others: Others::Yield, once };
    let promotion = promotion::promote(&app, cause, asked).await?;
    Ok((StatusCode::CREATED, Json(promotion)))
}

fn check_reason(reason: Option<&str>) -> Result<(), PromotionError> {
    Ok(check_reference("reason", reason.unwrap_or_default())?)
}

/// Go back to an earlier version in an environment.
///
/// Left to itself, that is the version that served before the one that serves now; where the
/// newest rollout has failed or still runs, the version that serves. The replaced versions leave
/// the stage.
#[utoipa::path(
    post, path = "/models/{name}/rollbacks", operation_id = "create_rollback", tag = "promotion",
    params(
        ("name" = String, Path, description = "The model's name"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a retry safe, for 24 hours"),
    ),
    request_body = CreateRollback,
    responses(
        (status = 201, body = Promotion),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn create_rollback(
    State(app): State<App>,
    principal: Principal,
    request_id: RequestId,
    IdempotencyKey(key): IdempotencyKey,
    ApiPath(name): ApiPath<String>,
    ApiJson(request): ApiJson<CreateRollback>,
) -> Result<(StatusCode, Json<Promotion>), ApiError> {
    check_reason(request.reason.as_deref())?;
    let once = Once::new(key, principal.actor(), format!("roll back {name}"), &request)?;
    let cause = app.cause(&principal, request_id, None);
    let promotion = promotion::rollback(&app, cause, &name, request, once).await?;
    Ok((StatusCode::CREATED, Json(promotion)))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct HistoryQuery {
    /// `test`, `staging` or `production`; all of them when left out.
    environment: Option<String>,
}

/// Tell what really served and what was asked for, newest first.
#[utoipa::path(
    get, path = "/models/{name}/history", operation_id = "get_history", tag = "promotion",
    params(("name" = String, Path, description = "The model's name"), HistoryQuery),
    responses(
        (status = 200, body = History),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get_history(
    State(app): State<App>,
    _: Principal,
    ApiPath(name): ApiPath<String>,
    ApiQuery(query): ApiQuery<HistoryQuery>,
) -> Result<Json<History>, ApiError> {
    Ok(Json(promotion::history(&app, &name, query.environment.as_deref()).await?))
}
