//! `mlflow/traces/search` and what else takes a filter of traces.

use super::{
    mount_v3,
    search::{experiment_ids, position, query_id},
};
use crate::{
    access::Principal,
    app::App,
    mlflow::{
        MlflowError, MlflowJson,
        extract::invalid_value,
        filter::{Grammar, INVALID_CLAUSES},
        wire::{
            trace_requests::{
                CalculateTraceFilterCorrelation, CalculateTraceFilterCorrelationResponse, SearchTracesV3,
            },
            traces::{SearchTracesV3Response, TraceLocation},
            traces_v2::{SearchTraces, SearchTracesResponse},
        },
    },
    runs::ViewType,
    search::{Page, Query},
    traces::{self, TraceInfo, correlation},
};
use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};

pub const TRACES: Grammar = Grammar {
    entity: &traces::store::TRACES,
    complaint: INVALID_CLAUSES,
    entity_types: "Valid values are ('attribute', 'trace', 'tag', 'metadata', 'span', 'feedback', 'expectation', 'issue')",
    lists_everywhere: false,
    null_checks: true,
    order_keys: None,
};

const PAGE_MAX: i64 = 500;
const PAGE_DEFAULT: i64 = 100;

pub fn router() -> Router<App> {
    Router::new()
        .merge(mount_v3("/mlflow/traces/search", post(search)))
        .merge(mount_v3("/mlflow/traces/calculate-filter-correlation", post(correlate)))
}

async fn search(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<SearchTracesV3>,
) -> Result<Response, MlflowError> {
    let experiments: Vec<String> =
        request.locations.iter().filter_map(TraceLocation::experiment_id).map(str::to_owned).collect();
    let (page, token) = page(
        &app,
        SearchTraces {
            experiment_ids: experiments,
            filter: request.filter,
            max_results: request.max_results,
            order_by: request.order_by,
            page_token: request.page_token,
        },
    )
    .await?;
    let traces = page.rows.iter().map(Into::into).collect();
    Ok(Json(SearchTracesV3Response { traces, next_page_token: token }).into_response())
}

pub async fn search_v2(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<SearchTraces>,
) -> Result<Response, MlflowError> {
    let (page, token) = page(&app, request).await?;
    let traces = page.rows.iter().map(Into::into).collect();
    Ok(Json(SearchTracesResponse { traces, next_page_token: token }).into_response())
}

async fn page(app: &App, request: SearchTraces) -> Result<(Page<TraceInfo>, Option<String>), MlflowError> {
    let limit = request.max_results.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(invalid_value("max_results", &limit.into()));
    }
    let filter = request.filter.as_deref();
    let id = query_id(TRACES, ViewType::ActiveOnly, &request.experiment_ids, filter, &request.order_by);
    let query = Query {
        conditions: TRACES.filter(filter)?,
        orders: TRACES.orders(&request.order_by)?,
        experiment_ids: experiment_ids(&request.experiment_ids)?,
        id,
        ..Query::default()
    };
    let position = position(id, request.page_token.as_deref())?;
    let limit = usize::try_from(limit).unwrap_or_default();
    let mut page = traces::read::search(app, &query, position.as_ref(), limit).await?;
    let token = page.next.take().map(|next| id.token(&next));
    Ok((page, token))
}

async fn correlate(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<CalculateTraceFilterCorrelation>,
) -> Result<Response, MlflowError> {
    let experiments = experiment_ids(&request.experiment_ids)?;
    let query = |filter: Option<&str>| {
        let conditions = TRACES.filter(filter)?;
        Ok::<_, MlflowError>(Query { conditions, experiment_ids: experiments.clone(), ..Query::default() })
    };
    let base = query(request.base_filter.as_deref())?;
    let (first, second) = (query(Some(&request.filter_string1))?, query(Some(&request.filter_string2))?);
    let found = correlation::correlate(&app, &base, &first, &second).await?;
    Ok(Json(CalculateTraceFilterCorrelationResponse::from(found)).into_response())
}
