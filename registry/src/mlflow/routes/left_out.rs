//! Areas that are not offered, as MLflow's pages see them: their lists are empty, so that a page
//! shows its empty state instead of an error. Only under the pages' prefix; clients that ask for
//! these areas learn that they are not offered.

use crate::{access::Principal, app::App};
use axum::{
    Router,
    http::header,
    response::{IntoResponse, Response},
    routing::{get, post},
};

/// Paths below `/ajax-api`, with what MLflow's server answers where it has nothing.
const READ: [(&str, &str); 8] = [
    ("/2.0/mlflow/gateway-proxy", r#"{"endpoints":[]}"#),
    ("/3.0/mlflow/gateway/endpoints/list", "{}"),
    ("/3.0/mlflow/gateway/endpoints/bindings/list", "{}"),
    ("/3.0/mlflow/gateway/secrets/list", "{}"),
    ("/3.0/mlflow/scorers/list", "{}"),
    ("/3.0/mlflow/review-queues/list", r#"{"review_queues":[],"next_page_token":""}"#),
    ("/3.0/mlflow/label-schemas/list", r#"{"label_schemas":[],"next_page_token":""}"#),
    ("/3.0/mlflow/mcp-servers", r#"{"mcp_servers":[],"next_page_token":null}"#),
];
const SEARCHED: [(&str, &str); 2] =
    [("/3.0/mlflow/datasets/search", "{}"), ("/3.0/mlflow/issues/search", r#"{"next_page_token":""}"#)];

pub fn router() -> Router<App> {
    let mut router = Router::new();
    for (path, nothing) in READ {
        router = router.route(&format!("/ajax-api{path}"), get(async move |_: Principal| answer(nothing)));
    }
    for (path, nothing) in SEARCHED {
        router = router.route(&format!("/ajax-api{path}"), post(async move |_: Principal| answer(nothing)));
    }
    router
}

fn answer(nothing: &'static str) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], nothing).into_response()
}
