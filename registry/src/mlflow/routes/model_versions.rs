//! `mlflow/model-versions/*`.

use super::{
    mount,
    registered_models::{page_size, read_search},
};
use crate::{
    access::Principal,
    app::App,
    artifacts::{ArtifactPath, Place, VERSIONS, routes::download},
    audit::Cause,
    http::RequestId,
    logged_models,
    mlflow::{
        ErrorCode, MlflowError, MlflowJson,
        filter::{Grammar, INVALID_CLAUSES},
        wire::{
            Empty,
            model_registry::{
                CreateModelVersion, DeleteModelVersionTag, DownloadUriResponse, ModelVersion,
                ModelVersionFile, ModelVersionResponse, ModelVersionsResponse, Numbered, Search,
                SetModelVersionTag, TransitionModelVersionStage, UpdateModelVersion, tags,
            },
        },
    },
    models::{self, Content, ModelsError, Registering, Tagged, stage, store::search},
    promotion::{self, Others, PromotionError, Transition},
    search::Order,
};
use axum::{
    Json, Router,
    extract::State,
    http::HeaderMap,
    response::Response,
    routing::{delete, get, patch, post},
};
use waybill_client::api::{Custody, Stage};

pub const GRAMMAR: Grammar = Grammar {
    entity: &search::VERSIONS,
    complaint: INVALID_CLAUSES,
    entity_types: "Valid entity types are ('attribute', 'tag', 'tags')",
    lists_everywhere: false,
    null_checks: false,
    order_keys: None,
};
const MAX_RESULTS_DEFAULT: i64 = 10_000;
const MAX_RESULTS_MAX: i64 = 200_000;

pub fn router() -> Router<App> {
    Router::new()
        .merge(mount("/mlflow/model-versions/create", post(create)))
        .merge(mount("/mlflow/model-versions/get", get(get_version)))
        .merge(mount("/mlflow/model-versions/update", patch(update)))
        .merge(mount("/mlflow/model-versions/delete", delete(delete_version)))
        .merge(mount("/mlflow/model-versions/search", get(search_versions)))
        .merge(mount("/mlflow/model-versions/get-download-uri", get(get_download_uri)))
        .merge(mount("/mlflow/model-versions/transition-stage", post(transition_stage)))
        .merge(mount("/mlflow/model-versions/set-tag", post(set_tag)))
        .merge(mount("/mlflow/model-versions/delete-tag", delete(delete_tag)))
        .route("/model-versions/get-artifact", get(get_artifact))
        // A client whose tracking URI ends in a slash.
        .route("//model-versions/get-artifact", get(get_artifact))
}

async fn answer(app: &App, name: &str, version: i64) -> Result<Json<ModelVersionResponse>, MlflowError> {
    let model_version = models::version(app, name, version).await?.into();
    Ok(Json(ModelVersionResponse { model_version }))
}

async fn create(
    State(app): State<App>,
    principal: Principal,
    request_id: RequestId,
    MlflowJson(request): MlflowJson<CreateModelVersion>,
) -> Result<Json<ModelVersionResponse>, MlflowError> {
    let tags = tags(request.tags);
    if let Some(model_id) = request.model_id.as_deref().filter(|_| !models::marks_prompt(&tags)) {
        // The version is noted in the logged model, which must be there and not deleted.
        logged_models::get(&app, model_id, false).await?;
    }
    let asked = Registering {
        name: request.name,
        from: Content::Source(request.source),
        description: Some(request.description),
        run_id: request.run_id,
        run_link: request.run_link,
        logged_model_id: request.model_id,
        tags,
        make_model: false,
        once: None,
        imported: None,
    };
    let cause = app.cause(&principal, request_id, None);
    let version = models::register(&app, cause, asked).await.map_err(|error| match error {
        // MLflow raises it without a code, and its clients' tests compare the status.
        ModelsError::Invalid { code: "SOURCE_REMOTE_FILE", message } => {
            MlflowError::new(ErrorCode::InternalError, message)
        }
        ModelsError::AliasNotFound { .. } => MlflowError::invalid(error.to_string()),
        error => error.into(),
    })?;
    answer(&app, &version.name, version.version).await
}

async fn get_version(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<Numbered>,
) -> Result<Json<ModelVersionResponse>, MlflowError> {
    answer(&app, &request.name, models::parse_version(&request.version)?).await
}

async fn update(
    State(app): State<App>,
    principal: Principal,
    request_id: RequestId,
    MlflowJson(request): MlflowJson<UpdateModelVersion>,
) -> Result<Json<ModelVersionResponse>, MlflowError> {
    let version = models::parse_version(&request.version)?;
    let cause = app.cause(&principal, request_id, None);
    models::describe_version(&app, cause, &request.name, version, request.description).await?;
    answer(&app, &request.name, version).await
}

async fn delete_version(
    State(app): State<App>,
    principal: Principal,
    request_id: RequestId,
    MlflowJson(request): MlflowJson<Numbered>,
) -> Result<Json<Empty>, MlflowError> {
    let version = models::parse_version(&request.version)?;
    let cause = app.cause(&principal, request_id, None);
    models::delete_version(&app, cause, &request.name, version).await?;
    Ok(Json(Empty {}))
}

async fn search_versions(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<Search>,
) -> Result<Json<ModelVersionsResponse>, MlflowError> {
    let (model_versions, next_page_token) = find_versions(&app, &request).await?;
    Ok(Json(ModelVersionsResponse { model_versions, next_page_token }))
}

/// A page of versions, and the token of the next one.
pub async fn find_versions(
    app: &App,
    request: &Search,
) -> Result<(Vec<ModelVersion>, Option<String>), MlflowError> {
    let limit = page_size(request.max_results, MAX_RESULTS_DEFAULT, MAX_RESULTS_MAX)?;
    let (mut query, position) = read_search(request, GRAMMAR)?;
    if query.orders.is_empty() {
        query.orders.push(Order {
            field: GRAMMAR.order_field("last_updated_timestamp")?,
            ascending: false,
            dataset: None,
        });
    }
    let id = query.id;
    let page = models::search_versions(app, query, position.as_ref(), limit).await?;
    let model_versions = page.rows.into_iter().map(ModelVersion::without_aliases).collect();
    Ok((model_versions, page.next.map(|next| id.token(&next))))
}

async fn get_download_uri(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<Numbered>,
) -> Result<Json<DownloadUriResponse>, MlflowError> {
    let version = models::parse_version(&request.version)?;
    let artifact_uri = models::download_uri(&app, &request.name, version).await?;
    Ok(Json(DownloadUriResponse { artifact_uri }))
}

async fn transition_stage(
    State(app): State<App>,
    principal: Principal,
    request_id: RequestId,
    MlflowJson(request): MlflowJson<TransitionModelVersionStage>,
) -> Result<Json<ModelVersionResponse>, MlflowError> {
    let to = stage::parse_mlflow(&request.stage)?;
    let version = models::parse_version(&request.version)?;
    if request.archive_existing_versions && !matches!(to, Stage::Staging | Stage::Production) {
        // MLflow raises it without a code: a fault of the server, which its clients try again and again.
        let refusal = PromotionError::ArchiveNeedsActiveStage { stage: request.stage };
        return Err(MlflowError::invalid(refusal.to_string()));
    }
    // A missing model is a missing version here.
    models::version(&app, &request.name, version).await?;
    let others = if request.archive_existing_versions { Others::Archive } else { Others::Stay };
    let cause = Cause {
        reason: Some("MLflow transition-stage".to_owned()),
        ..app.cause(&principal, request_id, None)
    };
    let name = request.name.clone();
    let transition = Transition { name, version, to, others, once: None };
    promotion::promote(&app, cause, transition).await?;
    answer(&app, &request.name, version).await
}

async fn set_tag(
    State(app): State<App>,
    principal: Principal,
    request_id: RequestId,
    MlflowJson(request): MlflowJson<SetModelVersionTag>,
) -> Result<Json<Empty>, MlflowError> {
    let on = Tagged::Version(request.name, models::parse_version(&request.version)?);
    let cause = app.cause(&principal, request_id, None);
    models::set_tag(&app, cause, on, &request.key, &request.value).await?;
    Ok(Json(Empty {}))
}

async fn delete_tag(
    State(app): State<App>,
    principal: Principal,
    request_id: RequestId,
    MlflowJson(request): MlflowJson<DeleteModelVersionTag>,
) -> Result<Json<Empty>, MlflowError> {
    let on = Tagged::Version(request.name, models::parse_version(&request.version)?);
    let cause = app.cause(&principal, request_id, None);
    models::delete_tag(&app, cause, on, &request.key).await?;
    Ok(Json(Empty {}))
}

/// One file of a version, as MLflow's pages fetch it.
async fn get_artifact(
    State(app): State<App>,
    _: Principal,
    headers: HeaderMap,
    MlflowJson(request): MlflowJson<ModelVersionFile>,
) -> Result<Response, MlflowError> {
    let path = ArtifactPath::parse_file(&request.path)?;
    let number = models::parse_version(&request.version)?;
    let version = models::version(&app, &request.name, number).await?.version;
    let place = match version.custody {
        Custody::Frozen => {
            Some(Place::Store(ArtifactPath::parse(&format!("{VERSIONS}/{}", version.uid))?.join(&path)?))
        }
        // In the operator's folder; nothing else outside is read.
        Custody::Pointer => Place::of(app.config.default_artifact_root.as_deref(), &version.location, &path)
            .ok()
            .filter(|place| matches!(place, Place::Local(_))),
        Custody::Prompt => None,
    };
    let place = place.ok_or_else(|| ModelsError::NotFrozen {
        subject: version.subject(),
        custody: stage::custody_text(version.custody),
        source_uri: version.source.clone(),
    })?;
    Ok(download::respond_at::<MlflowError>(&app.content, &place, &headers).await)
}
