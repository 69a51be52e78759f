//! MLflow's GraphQL schema (mlflow/server/graphql), which its pages ask for a run with all that
//! belongs to it. Nothing here writes: MLflow's two "mutations" are searches.
//!
//! A field that fails is `null` and its message is in `errors`, a list of texts, as MLflow answers;
//! what MLflow's messages leave unset is `""`, `"0"` or an empty list, never `null`.

mod artifacts;
mod budget;
mod experiments;
mod limits;
mod metrics;
mod query;
mod runs;
mod scalars;
mod versions;

use super::{MlflowError, extract};
use crate::app::App;
use async_graphql::{
    EmptySubscription, Name, Request, Schema, ServerError, Variables,
    parser::{parse_query, types::ExecutableDocument},
};
use budget::Budget;
use query::{Mutation, Query};
use serde::Serialize;
use std::sync::LazyLock;

/// Longest text of a query; long values belong into its variables.
pub const QUERY_MAX_BYTES: usize = 100_000;
/// Longest error that is passed on: a parser's may show the whole query.
const MESSAGE_MAX_CHARS: usize = 2_000;

static SCHEMA: LazyLock<Schema<Query, Mutation, EmptySubscription>> =
    LazyLock::new(|| Schema::build(Query, Mutation, EmptySubscription).finish());

/// An answer in MLflow's shape.
#[derive(Debug, Serialize)]
pub struct Answer {
    data: async_graphql::Value,
    errors: Option<Vec<String>>,
}

/// Answers `query`. What is no GraphQL is an error; what the schema or a resolver refuses is part of
/// the answer.
pub async fn execute(
    app: &App,
    query: &str,
    operation: Option<String>,
    variables: Variables,
) -> Result<Answer, MlflowError> {
    if query.len() > QUERY_MAX_BYTES {
        let message = format!("query: {} bytes, expected at most {QUERY_MAX_BYTES}", query.len());
        return Err(MlflowError::invalid(message));
    }
    // What the escape says in a literal no value may have. Rarely it is part of some other text.
    if query.contains("\\u0000") {
        return Err(extract::nul());
    }
    let mut document = parse_query(query)
        .map_err(|error| MlflowError::invalid(format!("query: {}", shorten(&error.to_string()))))?;
    if let Err(message) = limits::check(&document) {
        return Ok(Answer { data: async_graphql::Value::Null, errors: Some(vec![message]) });
    }
    drop_component(&mut document);
    let mut request =
        Request::new(String::new()).variables(variables).data(app.clone()).data(Budget::default());
    request.set_parsed_query(document);
    if let Some(name) = operation {
        request = request.operation_name(name);
    }
    let response = SCHEMA.execute(request).await;
    let message = |error: &ServerError| shorten(&error.message);
    let errors: Vec<String> = response.errors.iter().map(message).collect();
    Ok(Answer { data: response.data, errors: Some(errors).filter(|errors| !errors.is_empty()) })
}

/// `@component(name: …)` says which page asks. It means nothing here, and the library knows no
/// directives of whole operations.
fn drop_component(document: &mut ExecutableDocument) {
    use async_graphql::parser::types::DocumentOperations::{Multiple, Single};
    let component = Name::new("component");
    let strip = |operation: &mut async_graphql::parser::types::OperationDefinition| {
        operation.directives.retain(|directive| directive.node.name.node != component);
    };
    match &mut document.operations {
        Single(operation) => strip(&mut operation.node),
        Multiple(operations) => operations.values_mut().for_each(|operation| strip(&mut operation.node)),
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(MESSAGE_MAX_CHARS).collect()
}
