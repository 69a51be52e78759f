//! `…/search` of experiments, runs and logged models.

use super::mount;
use crate::{
    access::Principal,
    app::App,
    logged_models,
    mlflow::{
        MlflowError, MlflowJson,
        extract::invalid_value,
        filter::{Grammar, INVALID_CLAUSES},
        wire::{
            experiments::{SearchExperiments, SearchExperimentsResponse, view_type},
            logged_models::{SearchLoggedModels, SearchLoggedModelsResponse},
            runs::{SearchRuns, SearchRunsResponse},
        },
    },
    runs::{self, RunDetails, RunsError, ViewType, experiments, lifecycle},
    search::{DatasetScope, Field, Order, Position, Query, QueryId},
};
use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::{get, post},
};

pub const EXPERIMENTS: Grammar = Grammar {
    entity: &runs::store::EXPERIMENTS,
    complaint: INVALID_CLAUSES,
    entity_types: "Valid entity types are ('attribute', 'tag', 'tags')",
    lists_everywhere: false,
    null_checks: true,
    order_keys: None,
};
pub const RUNS: Grammar = Grammar {
    entity: &runs::store::RUNS,
    complaint: INVALID_CLAUSES,
    entity_types: "Valid values are ['metric', 'parameter', 'tag', 'attribute', 'dataset']",
    lists_everywhere: false,
    null_checks: true,
    order_keys: None,
};
pub const LOGGED_MODELS: Grammar = Grammar {
    entity: &logged_models::store::LOGGED_MODELS,
    complaint: "Invalid filter string",
    entity_types: "Expected one of ['attributes', 'metrics', 'params', 'tags']",
    lists_everywhere: true,
    null_checks: false,
    order_keys: None,
};

/// Largest page of any search (`SEARCH_MAX_RESULTS_THRESHOLD`).
const PAGE_MAX: i64 = 50_000;
/// Experiments that one search may name.
const EXPERIMENTS_MAX: usize = 10_000;

pub fn router() -> Router<App> {
    Router::new()
        .merge(mount("/mlflow/experiments/search", get(search_experiments).post(search_experiments)))
        .merge(mount("/mlflow/runs/search", post(search_runs)))
        .merge(mount("/mlflow/logged-models/search", post(search_logged_models)))
}

async fn search_experiments(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<SearchExperiments>,
) -> Result<Response, MlflowError> {
    let limit = page_size(request.max_results, 0)?;
    let view = view_type("view_type", request.view_type.as_ref())?;
    let id = query_id(EXPERIMENTS, view, &[], request.filter.as_deref(), &request.order_by);
    let query = Query {
        conditions: EXPERIMENTS.filter(request.filter.as_deref())?,
        orders: EXPERIMENTS.orders(&request.order_by)?,
        id,
        ..Query::default()
    };
    let position = position(id, request.page_token.as_deref())?;
    let page = experiments::search(&app, &query, view, position.as_ref(), limit).await?;
    let answer = SearchExperimentsResponse {
        experiments: page.rows.iter().map(Into::into).collect(),
        next_page_token: page.next.map(|next| id.token(&next)),
    };
    Ok(Json(answer).into_response())
}

async fn search_runs(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<SearchRuns>,
) -> Result<Response, MlflowError> {
    let (rows, next_page_token) = find_runs(&app, &request).await?;
    Ok(Json(SearchRunsResponse { runs: rows.iter().map(Into::into).collect(), next_page_token })
        .into_response())
}

/// A page of runs, and the token of the next one.
pub async fn find_runs(
    app: &App,
    request: &SearchRuns,
) -> Result<(Vec<RunDetails>, Option<String>), MlflowError> {
    if let Some(max) = request.max_results.filter(|max| *max > PAGE_MAX) {
        return Err(invalid_value("max_results", &max.into()));
    }
    let limit = page_size(request.max_results, 1000)?;
    let view = view_type("run_view_type", request.run_view_type.as_ref())?;
    let id = query_id(RUNS, view, &request.experiment_ids, request.filter.as_deref(), &request.order_by);
    let query = Query {
        conditions: RUNS.filter(request.filter.as_deref())?,
        orders: RUNS.orders(&request.order_by)?,
        experiment_ids: experiment_ids(&request.experiment_ids)?,
        id,
        ..Query::default()
    };
    let position = position(id, request.page_token.as_deref())?;
    let page = lifecycle::search(app, &query, view, position.as_ref(), limit).await?;
    Ok((page.rows, page.next.map(|next| id.token(&next))))
}

async fn search_logged_models(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<SearchLoggedModels>,
) -> Result<Response, MlflowError> {
    let limit = page_size(request.max_results.filter(|max| *max != 0), 100)?;
    let mut orders = Vec::new();
    let mut described = Vec::new();
    for item in &request.order_by {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let dataset = DatasetScope { name: given(&item.dataset_name), digest: given(&item.dataset_digest) };
        let dataset = Some(dataset).filter(|dataset| dataset.name.is_some() || dataset.digest.is_some());
        let ascending = item.ascending.unwrap_or(true);
        described.push(format!("{} {ascending} {dataset:?}", item.field_name));
        let field = LOGGED_MODELS.order_field(&item.field_name)?;
        if matches!(field, Field::Param(_) | Field::Tag(_)) {
            return Err(MlflowError::invalid(format!(
                "Invalid order by field name: {}. Only metrics are supported.",
                item.field_name
            )));
        }
        orders.push(Order { field, ascending, dataset });
    }
    let datasets: Vec<DatasetScope> = request
        .datasets
        .into_iter()
        .map(|item| DatasetScope { name: Some(item.dataset_name), digest: item.dataset_digest })
        .collect();
    described.push(format!("{datasets:?}"));
    let filter = request.filter.as_deref();
    let id = query_id(LOGGED_MODELS, ViewType::ActiveOnly, &request.experiment_ids, filter, &described);
    let query = Query {
        conditions: LOGGED_MODELS.filter(filter)?,
        orders,
        experiment_ids: experiment_ids(&request.experiment_ids)?,
        datasets,
        id,
    };
    let position = position(id, request.page_token.as_deref())?;
    let page = logged_models::search(&app, &query, position.as_ref(), limit).await?;
    let answer = SearchLoggedModelsResponse {
        models: page.rows.iter().map(Into::into).collect(),
        next_page_token: page.next.map(|next| id.token(&next)),
    };
    Ok(Json(answer).into_response())
}

/// The size of a page; absent is `default`, where 0 is what MLflow's proto gives.
fn page_size(max_results: Option<i64>, default: i64) -> Result<usize, MlflowError> {
    let max = max_results.unwrap_or(default);
    if max < 1 {
        return Err(MlflowError::invalid(format!(
            "Invalid value {max} for parameter 'max_results' supplied. It must be a positive integer"
        )));
    }
    if max > PAGE_MAX {
        return Err(MlflowError::invalid(format!(
            "Invalid value {max} for parameter 'max_results' supplied. It must be at most {PAGE_MAX}"
        )));
    }
    Ok(usize::try_from(max).unwrap_or(usize::MAX))
}

pub(super) fn experiment_ids(texts: &[String]) -> Result<Vec<i64>, MlflowError> {
    if texts.len() > EXPERIMENTS_MAX {
        return Err(MlflowError::invalid(format!(
            "A search can name at most {EXPERIMENTS_MAX} experiments."
        )));
    }
    let mut ids =
        texts.iter().map(|text| runs::parse_experiment_id(text)).collect::<Result<Vec<i64>, _>>()?;
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// What page tokens of this search are bound to.
pub(super) fn query_id(
    grammar: Grammar,
    view: ViewType,
    experiment_ids: &[String],
    filter: Option<&str>,
    orders: &[String],
) -> QueryId {
    let (view, experiments) = (format!("{view:?}"), experiment_ids.join(","));
    let fixed = [grammar.entity.name, view.as_str(), experiments.as_str(), filter.unwrap_or_default()];
    QueryId::of(fixed.into_iter().chain(orders.iter().map(String::as_str)))
}

pub(super) fn position(id: QueryId, token: Option<&str>) -> Result<Option<Position>, MlflowError> {
    Ok(token.map(|token| id.position(token)).transpose().map_err(RunsError::from)?)
}
