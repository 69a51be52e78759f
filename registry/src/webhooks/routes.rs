//! Webhooks and their deliveries in the native API.

use super::{self as webhooks, Delivery, DeliveryState, Status, Webhook};
use crate::{
    access::Principal,
    app::App,
    http::{ApiError, ApiPath, ApiQuery, IdempotencyKey, RequestId, next_page, number, page},
    idempotency::Once,
};
use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};
use waybill_client::api::{
    self, PageQuery, Problem, WebhookDelivery, WebhookDeliveryPage, WebhookDeliveryState, WebhookPage,
    WebhookStatus,
};

/// Paths below `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_webhooks))
        .routes(routes!(list_webhook_deliveries))
        .routes(routes!(get_webhook_delivery))
        .routes(routes!(replay_webhook_delivery))
}

/// List webhooks, newest first.
///
/// MLflow's API makes and changes them: `/api/2.0/mlflow/webhooks`.
#[utoipa::path(
    get, path = "/webhooks", operation_id = "list_webhooks", tag = "webhooks", params(PageQuery),
    responses(
        (status = 200, body = WebhookPage),
        (status = 400, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list_webhooks(
    State(app): State<App>,
    _: Principal,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<WebhookPage>, ApiError> {
    let (limit, before) = page(&query)?;
    let before = before.map(|text| position(&text)).transpose()?;
    let mut found = webhooks::webhooks(&app, before, limit as i64 + 1).await?;
    let next_page_token = next_page(&mut found, limit, |last| format!("{} {}", last.created_at_ms, last.id));
    Ok(Json(WebhookPage { webhooks: found.into_iter().map(api::Webhook::from).collect(), next_page_token }))
}

/// Time and number of a webhook.
fn position(text: &str) -> Result<(i64, i64), ApiError> {
    let parts = text.split_once(' ').and_then(|(at_ms, id)| Some((at_ms.parse().ok()?, id.parse().ok()?)));
    parts.ok_or_else(|| ApiError::invalid("PAGE_TOKEN_INVALID", "page_token: it is of another list"))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct DeliveriesQuery {
    /// Deliveries in this state only: `pending`, `delivered`, `failed` or `cancelled`.
    state: Option<WebhookDeliveryState>,
    /// Items on the page, 1 to 1,000; 100 when left out.
    limit: Option<u32>,
    /// `next_page_token` of the page before.
    page_token: Option<String>,
}

/// List a webhook's deliveries, newest first.
///
/// Those that ended are kept for 30 days, and at most 10,000 of them.
#[utoipa::path(
    get, path = "/webhooks/{webhook_id}/deliveries", operation_id = "list_webhook_deliveries",
    tag = "webhooks",
    params(("webhook_id" = String, Path, description = "The webhook's id"), DeliveriesQuery),
    responses(
        (status = 200, body = WebhookDeliveryPage),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list_webhook_deliveries(
    State(app): State<App>,
    _: Principal,
    ApiPath(webhook_id): ApiPath<String>,
    ApiQuery(query): ApiQuery<DeliveriesQuery>,
) -> Result<Json<WebhookDeliveryPage>, ApiError> {
    let asked = PageQuery { limit: query.limit, page_token: query.page_token };
    let (limit, before) = page(&asked)?;
    let state = query.state.map(DeliveryState::from);
    let mut found = webhooks::history(&app, &webhook_id, state, number(before)?, limit as i64 + 1).await?;
    let next_page_token = next_page(&mut found, limit, |last| last.id.to_string());
    let deliveries = found.into_iter().map(WebhookDelivery::from).collect();
    Ok(Json(WebhookDeliveryPage { deliveries, next_page_token }))
}

/// Get a delivery with the body that it sends.
#[utoipa::path(
    get, path = "/webhook-deliveries/{delivery_id}", operation_id = "get_webhook_delivery", tag = "webhooks",
    params(("delivery_id" = String, Path, description = "The delivery's id")),
    responses(
        (status = 200, body = WebhookDelivery),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get_webhook_delivery(
    State(app): State<App>,
    _: Principal,
    ApiPath(delivery_id): ApiPath<String>,
) -> Result<Json<WebhookDelivery>, ApiError> {
    let (delivery, body) = webhooks::delivery(&app, &delivery_id).await?;
    Ok(Json(WebhookDelivery { body: Some(body), ..delivery.into() }))
}

/// Send what an ended delivery sent once more.
///
/// The replay is a delivery of its own, to where its webhook leads now. Returns once it is in the
/// outbox.
#[utoipa::path(
    post, path = "/webhook-deliveries/{delivery_id}/replays", operation_id = "replay_webhook_delivery",
    tag = "webhooks",
    params(
        ("delivery_id" = String, Path, description = "The delivery's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a retry safe, for 24 hours"),
    ),
    responses(
        (status = 201, body = WebhookDelivery),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn replay_webhook_delivery(
    State(app): State<App>,
    principal: Principal,
    request_id: RequestId,
    IdempotencyKey(key): IdempotencyKey,
    ApiPath(delivery_id): ApiPath<String>,
) -> Result<(StatusCode, Json<WebhookDelivery>), ApiError> {
    let once = Once::new(key, principal.actor(), format!("replay {delivery_id}"), &())?;
    let cause = app.cause(&principal, request_id, None);
    let made = webhooks::replay(&app, cause, &delivery_id, once).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

impl From<Webhook> for api::Webhook {
    fn from(webhook: Webhook) -> Self {
        Self {
            webhook_id: webhook.webhook_id,
            name: webhook.name,
            description: webhook.description,
            url: webhook.url,
            events: webhook.events.iter().map(ToString::to_string).collect(),
            status: match webhook.status {
                Status::Active => WebhookStatus::Active,
                Status::Disabled => WebhookStatus::Disabled,
            },
            signed: webhook.sealed_secret.is_some(),
            created_at_ms: webhook.created_at_ms,
            updated_at_ms: webhook.updated_at_ms,
        }
    }
}

impl From<WebhookDeliveryState> for DeliveryState {
    fn from(state: WebhookDeliveryState) -> Self {
        match state {
            WebhookDeliveryState::Pending => Self::Pending,
            WebhookDeliveryState::Delivered => Self::Delivered,
            WebhookDeliveryState::Failed => Self::Failed,
            WebhookDeliveryState::Cancelled => Self::Cancelled,
        }
    }
}

impl From<Delivery> for WebhookDelivery {
    fn from(delivery: Delivery) -> Self {
        let state = match delivery.state {
            DeliveryState::Pending => WebhookDeliveryState::Pending,
            DeliveryState::Delivered => WebhookDeliveryState::Delivered,
            DeliveryState::Failed => WebhookDeliveryState::Failed,
            DeliveryState::Cancelled => WebhookDeliveryState::Cancelled,
        };
        Self {
            delivery_id: delivery.delivery_id,
            webhook_id: delivery.webhook_id,
            event: delivery.event.to_string(),
            state,
            attempts: delivery.attempts,
            created_at_ms: delivery.created_at_ms,
            next_attempt_at_ms: (delivery.state == DeliveryState::Pending).then_some(delivery.due_at_ms),
            ended_at_ms: delivery.ended_at_ms,
            response_status: delivery.response_status,
            response_body: delivery.response_body,
            error: delivery.error,
            duration_ms: delivery.duration_ms,
            replay_of: delivery.replay_of,
            body: None,
        }
    }
}
