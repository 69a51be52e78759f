//! `POST /graphql`: how MLflow's pages ask for a run.

use crate::{
    access::Principal,
    app::App,
    mlflow::{
        MlflowError, MlflowJson,
        extract::{Field, Kind, Message, nonempty, nullable, opt_text, optional, required},
        graphql::{self, Answer},
    },
};
use async_graphql::Variables;
use axum::{Json, Router, extract::State, routing::post};
use serde::Deserialize;
use serde_json::{Map, Value};

pub fn router() -> Router<App> {
    Router::new()
        .route("/graphql", post(execute))
        // A client whose tracking URI ends in a slash.
        .route("//graphql", post(execute))
}

#[derive(Debug, Deserialize)]
struct GraphQlRequest {
    #[serde(deserialize_with = "nonempty")]
    query: String,
    #[serde(default, deserialize_with = "nullable")]
    variables: Map<String, Value>,
    #[serde(default, rename = "operationName", deserialize_with = "opt_text")]
    operation_name: Option<String>,
}

impl Message for GraphQlRequest {
    const FIELDS: &'static [Field] = &[
        required("query", Kind::Text),
        optional("variables", Kind::Message(&[])),
        optional("operationName", Kind::Text),
    ];
}

async fn execute(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<GraphQlRequest>,
) -> Result<Json<Answer>, MlflowError> {
    let variables = Variables::from_json(Value::Object(request.variables));
    graphql::execute(&app, &request.query, request.operation_name, variables).await.map(Json)
}
