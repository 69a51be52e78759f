//! Areas that are left out, as MLflow's pages see them: their lists are empty, so that a page shows
//! its empty state instead of an error. Only under the pages' prefix, and where the pages are served; a
//! client that asks for one of these areas learns that it is not part of Waybill.

use super::not_offered;
use crate::{access::Principal, app::App, ui::Source};
use axum::{
    Router,
    extract::State,
    http::{Method, Uri, header},
    response::{IntoResponse, Response},
    routing::{MethodFilter, get, on},
};

/// Paths below `/ajax-api`, with what MLflow's server answers where it has nothing.
const LISTS: [(MethodFilter, &str, &str); 10] = [
    (MethodFilter::GET, "/2.0/mlflow/gateway-proxy", r#"{"endpoints":[]}"#),
    (MethodFilter::GET, "/3.0/mlflow/gateway/endpoints/list", "{}"),
    (MethodFilter::GET, "/3.0/mlflow/gateway/endpoints/bindings/list", "{}"),
    (MethodFilter::GET, "/3.0/mlflow/gateway/secrets/list", "{}"),
    (MethodFilter::GET, "/3.0/mlflow/scorers/list", "{}"),
    (MethodFilter::GET, "/3.0/mlflow/review-queues/list", r#"{"review_queues":[],"next_page_token":""}"#),
    (MethodFilter::GET, "/3.0/mlflow/label-schemas/list", r#"{"label_schemas":[],"next_page_token":""}"#),
    (MethodFilter::GET, "/3.0/mlflow/mcp-servers", r#"{"mcp_servers":[],"next_page_token":null}"#),
    (MethodFilter::POST, "/3.0/mlflow/datasets/search", "{}"),
    (MethodFilter::POST, "/3.0/mlflow/issues/search", r#"{"next_page_token":""}"#),
];

/// What pages hear that ask whether to report how they are used, and when they do it all the same.
const NO_TELEMETRY: &str =
    r#"{"disable_ui_telemetry":true,"disable_ui_events":[],"ui_rollout_percentage":0}"#;
const NOT_WANTED: &str = r#"{"status":"disabled"}"#;

pub fn router() -> Router<App> {
    let telemetry = get(async |_: Principal, page: Page| answer(page, NO_TELEMETRY).await)
        .post(async |_: Principal, page: Page| answer(page, NOT_WANTED).await);
    let router = Router::new().route("/ajax-api/3.0/mlflow/ui-telemetry", telemetry);
    LISTS.into_iter().fold(router, |router, (method, path, nothing)| {
        let list = async move |_: Principal, page: Page| answer(page, nothing).await;
        router.route(&format!("/ajax-api{path}"), on(method, list).fallback(not_offered))
    })
}

/// What a page asks for.
type Page = (State<App>, Method, Uri);

async fn answer((State(app), method, uri): Page, json: &'static str) -> Response {
    if matches!(app.ui.source(), Source::Off) {
        return not_offered(method, uri).await.into_response();
    }
    ([(header::CONTENT_TYPE, "application/json")], json).into_response()
}
