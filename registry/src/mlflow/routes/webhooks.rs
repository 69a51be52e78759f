//! `mlflow/webhooks/*`.

use super::mount;
use crate::{
    access::Principal,
    app::App,
    http::RequestId,
    mlflow::{
        MlflowError, MlflowJson,
        extract::MlflowPath,
        wire::{
            Empty,
            webhooks::{
                CreateWebhook, ListWebhooks, ListWebhooksResponse, TestWebhook, TestWebhookResponse,
                UpdateWebhook, Webhook, WebhookResponse,
            },
        },
    },
    search::QueryId,
    webhooks,
};
use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};

const MAX_RESULTS_DEFAULT: i64 = 100;
const MAX_RESULTS_MAX: i64 = 1_000;

pub fn router() -> Router<App> {
    Router::new()
        .merge(mount("/mlflow/webhooks", post(create).get(list)))
        .merge(mount("/mlflow/webhooks/{webhook_id}", get(get_webhook).patch(update).delete(delete)))
        .merge(mount("/mlflow/webhooks/{webhook_id}/test", post(test)))
}

async fn create(
    State(app): State<App>,
    principal: Principal,
    request_id: RequestId,
    MlflowJson(request): MlflowJson<CreateWebhook>,
) -> Result<Json<WebhookResponse>, MlflowError> {
    let cause = app.cause(&principal, request_id, None);
    let webhook = webhooks::create(&app, cause, request.try_into()?).await?.into();
    Ok(Json(WebhookResponse { webhook }))
}

async fn list(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<ListWebhooks>,
) -> Result<Json<ListWebhooksResponse>, MlflowError> {
    let limit = request.max_results.filter(|limit| *limit != 0).unwrap_or(MAX_RESULTS_DEFAULT);
    if !(1..=MAX_RESULTS_MAX).contains(&limit) {
        return Err(MlflowError::invalid("max_results must be between 1 and 1000."));
    }
    let id = QueryId::of(["webhooks"]);
    let before = request.page_token.map(|token| id.position(&token)).transpose();
    let before = before.map_err(|error| MlflowError::invalid(error.to_string()))?;
    let mut found = webhooks::webhooks(&app, before, limit + 1).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let last = found.last().filter(|_| more);
    let next_page_token = last.map(|last| id.token(&(last.created_at_ms, last.id)));
    Ok(Json(ListWebhooksResponse {
        webhooks: found.into_iter().map(Webhook::from).collect(),
        next_page_token,
    }))
}

async fn get_webhook(
    State(app): State<App>,
    _: Principal,
    MlflowPath(webhook_id): MlflowPath<String>,
) -> Result<Json<WebhookResponse>, MlflowError> {
    let webhook = webhooks::webhook(&app, &webhook_id).await?.into();
    Ok(Json(WebhookResponse { webhook }))
}

async fn update(
    State(app): State<App>,
    principal: Principal,
    request_id: RequestId,
    MlflowPath(webhook_id): MlflowPath<String>,
    MlflowJson(request): MlflowJson<UpdateWebhook>,
) -> Result<Json<WebhookResponse>, MlflowError> {
    let cause = app.cause(&principal, request_id, None);
    let webhook = webhooks::update(&app, cause, &webhook_id, request.try_into()?).await?.into();
    Ok(Json(WebhookResponse { webhook }))
}

async fn delete(
    State(app): State<App>,
    principal: Principal,
    request_id: RequestId,
    MlflowPath(webhook_id): MlflowPath<String>,
) -> Result<Json<Empty>, MlflowError> {
    webhooks::delete(&app, app.cause(&principal, request_id, None), &webhook_id).await?;
    Ok(Json(Empty {}))
}

async fn test(
    State(app): State<App>,
    _: Principal,
    MlflowPath(webhook_id): MlflowPath<String>,
    MlflowJson(request): MlflowJson<TestWebhook>,
) -> Result<Json<TestWebhookResponse>, MlflowError> {
    let kind = request.event.map(|event| event.read("event")).transpose()?;
    let result = webhooks::try_out(&app, &webhook_id, kind).await?.into();
    Ok(Json(TestWebhookResponse { result }))
}
