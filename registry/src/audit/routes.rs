//! The audit trail in the native API.

use crate::{
    access::Principal,
    app::App,
    http::{ApiError, ApiQuery, next_page, number, page},
};
use axum::{Json, extract::State};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};
use waybill_client::api::{AuditPage, PageQuery, Problem};

/// Paths below `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_audit_events))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Events of this subject only, e.g. `iris@3`.
    subject: Option<String>,
    /// Items on the page, 1 to 1,000; 100 when left out.
    limit: Option<u32>,
    /// `next_page_token` of the page before.
    page_token: Option<String>,
}

/// List state changes, newest first.
#[utoipa::path(
    get, path = "/audit", operation_id = "list_audit_events", tag = "audit", params(AuditQuery),
    responses(
        (status = 200, body = AuditPage),
        (status = 400, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list_audit_events(
    State(app): State<App>,
    _: Principal,
    ApiQuery(query): ApiQuery<AuditQuery>,
) -> Result<Json<AuditPage>, ApiError> {
    let asked = PageQuery { limit: query.limit, page_token: query.page_token };
    let (limit, before) = page(&asked)?;
    let before = number(before)?.unwrap_or(i64::MAX);
    let mut conn = app.db.read().await?;
    let mut events = super::list(&mut conn, query.subject, before, limit as i64 + 1).await?;
    let next_page_token = next_page(&mut events, limit, |event| event.event_id.to_string());
    Ok(Json(AuditPage { events, next_page_token }))
}
