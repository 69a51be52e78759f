//! The native API, `/api/v1`: put together from the capabilities, described as OpenAPI.

use crate::{
    access::Principal, app::App, artifacts, audit, deployments, http::ApiError, imports, models, promotion,
    provenance, webhooks,
};
use axum::{Json, Router, extract::State, http::Uri};
use utoipa::{
    OpenApi,
    openapi::{Content, Ref, RefOr, ResponseBuilder},
};
use utoipa_axum::{router::OpenApiRouter, routes};
use waybill_client::api::{Problem, ServerInfo};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Waybill",
        description = "The native API of the Waybill model registry. Times are epoch milliseconds, sizes are \
                       bytes, digests are `sha256:<hex>`. Errors are RFC 9457 problems with a stable `code`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(Problem)),
    tags(
        (name = "models", description = "Registered models and their immutable versions"),
        (name = "proof", description = "Manifests, signatures, statements, documents, keys"),
        (name = "promotion", description = "Stages, rollbacks, history"),
        (name = "deployments", description = "What environments desire, what serves, logs"),
        (name = "uploads", description = "How a plain directory becomes a version"),
        (name = "blobs", description = "Bytes by digest"),
        (name = "imports", description = "Moving in from another registry"),
        (name = "audit", description = "Who changed what, when and why"),
        (name = "webhooks", description = "Who is told of changes, and what became of it"),
        (name = "server", description = "The server itself"),
    )
)]
struct Description;

fn router() -> OpenApiRouter<App> {
    let api = OpenApiRouter::new()
        .routes(routes!(get_info))
        .merge(artifacts::routes::routes())
        .merge(audit::routes::routes())
        .merge(deployments::routes::routes())
        .merge(imports::routes::routes())
        .merge(models::routes::routes())
        .merge(promotion::routes::routes())
        .merge(provenance::routes::routes())
        .merge(webhooks::routes::routes());
    OpenApiRouter::with_openapi(Description::openapi()).nest("/api/v1", api)
}

/// The paths of the native API. What it does not offer answers with a problem.
pub fn routes() -> Router<App> {
    let (router, _) = router().split_for_parts();
    router.route("/api/v1/{*path}", axum::routing::any(not_offered))
}

/// The OpenAPI description, as YAML.
pub fn openapi() -> String {
    describe().to_yaml().expect("a description of plain data can be written")
}

pub fn openapi_json() -> String {
    describe().to_pretty_json().expect("a description of plain data can be written")
}

/// The description with what holds for every operation: any refusal is a problem. Wildcards are
/// written as OpenAPI knows path parameters.
fn describe() -> utoipa::openapi::OpenApi {
    let (_, mut description) = router().split_for_parts();
    let paths = std::mem::take(&mut description.paths.paths);
    for (path, mut item) in paths {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for operation in operations.into_iter().flatten() {
            let refusal = ResponseBuilder::new()
                .description("Refused, with the reason and a stable code")
                .content("application/problem+json", Content::new(Some(Ref::from_schema_name("Problem"))))
                .build();
            operation.responses.responses.insert("default".to_owned(), refusal.into());
            for (status, response) in &mut operation.responses.responses {
                if let RefOr::T(response) = response
                    && response.description.is_empty()
                {
                    // OpenAPI asks for one everywhere; the code's says enough where there is none.
                    let good = status.starts_with('2');
                    let text = if good { "Done" } else { "Refused, see the problem" };
                    text.clone_into(&mut response.description);
                }
            }
        }
        description.paths.paths.insert(path.replace("{*", "{"), item);
    }
    description
}

async fn not_offered(uri: Uri) -> ApiError {
    let path: String = uri.path().chars().take(200).collect();
    ApiError::not_found("ENDPOINT_NOT_FOUND", format!("{path} is not offered; see openapi.yaml"))
}

/// Tell what this server is.
#[utoipa::path(
    get, path = "/info", operation_id = "get_info", tag = "server",
    responses((status = 200, body = ServerInfo))
)]
async fn get_info(State(app): State<App>, _: Principal) -> Json<ServerInfo> {
    let artifacts_url = app.config.artifacts_url.as_deref().unwrap_or_default();
    Json(ServerInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        registry_id: app.registry_id.clone(),
        database: app.db.engine().name().to_owned(),
        artifacts: if artifacts_url.starts_with("s3:") { "s3" } else { "file" }.to_owned(),
        deployer: app.config.deployer_mode.clone(),
        gateway_url: app.config.gateway_url.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Set to write the file anew.
    const REGENERATE: &str = "WAYBILL_REGENERATE";

    #[test]
    fn openapi_yaml_is_what_the_code_says() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi.yaml");
        let made = openapi();
        if std::env::var_os(REGENERATE).is_some() {
            std::fs::write(&path, &made).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == made, "openapi.yaml is not what the code says: run the test with {REGENERATE}=1");
    }

    #[test]
    fn operations_have_names_of_their_own() {
        let mut names = Vec::new();
        for (path, item) in describe().paths.paths {
            for operation in [item.get, item.put, item.post, item.delete, item.patch].into_iter().flatten() {
                names.push(
                    operation.operation_id.unwrap_or_else(|| panic!("{path} has an unnamed operation")),
                );
            }
        }
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all, "{names:?}");
        assert!(all >= 30, "{all} operations");
    }
}
