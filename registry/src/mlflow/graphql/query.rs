//! The roots of the schema.

use super::{
    artifacts::{
        MlflowListArtifactsInput, MlflowListArtifactsResponse, MlflowSearchDatasetsInput,
        MlflowSearchDatasetsResponse,
    },
    budget::Budget,
    experiments::{MlflowGetExperimentInput, MlflowGetExperimentResponse},
    metrics::{
        MlflowGetMetricHistoryBulkIntervalInput, MlflowGetMetricHistoryBulkIntervalResponse,
        MlflowMetricWithRunId,
    },
    runs::{MlflowGetRunInput, MlflowGetRunResponse, MlflowSearchRunsInput, MlflowSearchRunsResponse},
    scalars::{all, texts},
    versions::{MlflowSearchModelVersionsInput, MlflowSearchModelVersionsResponse},
};
use crate::{
    app::App,
    mlflow::{
        MlflowError,
        extract::missing_value,
        routes::{
            datasets::find_datasets, metrics::sampled, model_versions::find_versions,
            run_artifacts::list_of_run, search::find_runs,
        },
        wire::{datasets::SearchDatasets, model_registry::Search, run_id, runs::SearchRuns},
    },
    runs::{self, experiments, lifecycle},
};
use async_graphql::{Context, Error, Object, Result, SimpleObject};

/// Rows of a search that does not say.
const RUNS_DEFAULT: i64 = 1_000;
const VERSIONS_DEFAULT: i64 = 10_000;

pub fn fail(error: impl Into<MlflowError>) -> Error {
    Error::new(error.into().message)
}

fn app<'a>(ctx: &Context<'a>) -> &'a App {
    ctx.data_unchecked::<App>()
}

/// A field that is null where it fails, and leaves the others of the query alone: the library makes
/// the whole answer null for a plain `Result`.
pub type Field<T> = Option<Result<T>>;

/// An echo, by which MLflow's tests see whether GraphQL answers at all.
#[derive(SimpleObject)]
pub struct Test {
    output: String,
}

#[derive(SimpleObject)]
pub struct TestMutation {
    output: String,
}

async fn search_runs(
    ctx: &Context<'_>,
    input: Option<MlflowSearchRunsInput>,
) -> Result<MlflowSearchRunsResponse> {
    let request = SearchRuns::from(input.unwrap_or_default());
    ctx.data_unchecked::<Budget>().rows(request.max_results.unwrap_or(RUNS_DEFAULT))?;
    let (found, next) = find_runs(app(ctx), &request).await.map_err(fail)?;
    Ok(MlflowSearchRunsResponse {
        runs: all(found),
        next_page_token: next.unwrap_or_default(),
        api_error: None,
    })
}

async fn get_experiment(
    ctx: &Context<'_>,
    input: Option<MlflowGetExperimentInput>,
) -> Result<MlflowGetExperimentResponse> {
    let id = input.unwrap_or_default().experiment_id.filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| fail(missing_value("experiment_id")))?;
    let id = runs::parse_experiment_id(&id).map_err(fail)?;
    let experiment = experiments::get(app(ctx), id).await.map_err(fail)?.into();
    Ok(MlflowGetExperimentResponse { experiment, api_error: None })
}

async fn get_run(ctx: &Context<'_>, input: Option<MlflowGetRunInput>) -> Result<MlflowGetRunResponse> {
    let input = input.unwrap_or_default();
    let given = |id: Option<String>| id.filter(|id| !id.is_empty());
    let id = run_id(given(input.run_id), given(input.run_uuid)).map_err(fail)?;
    let run = lifecycle::get(app(ctx), &id).await.map_err(fail)?.into();
    Ok(MlflowGetRunResponse { run, api_error: None })
}

async fn metric_histories(
    ctx: &Context<'_>,
    input: Option<MlflowGetMetricHistoryBulkIntervalInput>,
) -> Result<MlflowGetMetricHistoryBulkIntervalResponse> {
    let histories = sampled(app(ctx), input.unwrap_or_default().into()).await.map_err(fail)?;
    let mut metrics = Vec::new();
    for history in histories {
        let of_run = |metric| MlflowMetricWithRunId::new(&history.run_id, metric);
        metrics.extend(history.metrics.into_iter().map(of_run));
    }
    Ok(MlflowGetMetricHistoryBulkIntervalResponse { metrics, api_error: None })
}

async fn list_artifacts(
    ctx: &Context<'_>,
    input: Option<MlflowListArtifactsInput>,
) -> Result<MlflowListArtifactsResponse> {
    let found = list_of_run(app(ctx), input.unwrap_or_default().into()).await.map_err(fail)?;
    Ok(MlflowListArtifactsResponse {
        root_uri: found.root_uri.unwrap_or_default(),
        files: all(found.files),
        next_page_token: String::new(),
        api_error: None,
    })
}

async fn search_versions(
    ctx: &Context<'_>,
    input: Option<MlflowSearchModelVersionsInput>,
) -> Result<MlflowSearchModelVersionsResponse> {
    let request = Search::from(input.unwrap_or_default());
    ctx.data_unchecked::<Budget>().rows(request.max_results.unwrap_or(VERSIONS_DEFAULT))?;
    let (found, next) = find_versions(app(ctx), &request).await.map_err(fail)?;
    Ok(MlflowSearchModelVersionsResponse {
        model_versions: all(found),
        next_page_token: next.unwrap_or_default(),
        api_error: None,
    })
}

async fn search_datasets(
    ctx: &Context<'_>,
    input: Option<MlflowSearchDatasetsInput>,
) -> Result<MlflowSearchDatasetsResponse> {
    let request = SearchDatasets { experiment_ids: texts(input.unwrap_or_default().experiment_ids) };
    let found = find_datasets(app(ctx), &request).await.map_err(fail)?;
    Ok(MlflowSearchDatasetsResponse { dataset_summaries: all(found), api_error: None })
}

pub struct Query;

#[Object]
impl Query {
    async fn test(&self, input_string: Option<String>) -> Test {
        Test { output: input_string.unwrap_or_default() }
    }

    async fn mlflow_get_experiment(
        &self,
        ctx: &Context<'_>,
        input: Option<MlflowGetExperimentInput>,
    ) -> Field<MlflowGetExperimentResponse> {
        Some(get_experiment(ctx, input).await)
    }

    async fn mlflow_get_run(
        &self,
        ctx: &Context<'_>,
        input: Option<MlflowGetRunInput>,
    ) -> Field<MlflowGetRunResponse> {
        Some(get_run(ctx, input).await)
    }

    async fn mlflow_search_runs(
        &self,
        ctx: &Context<'_>,
        input: Option<MlflowSearchRunsInput>,
    ) -> Field<MlflowSearchRunsResponse> {
        Some(search_runs(ctx, input).await)
    }

    async fn mlflow_get_metric_history_bulk_interval(
        &self,
        ctx: &Context<'_>,
        input: Option<MlflowGetMetricHistoryBulkIntervalInput>,
    ) -> Field<MlflowGetMetricHistoryBulkIntervalResponse> {
        Some(metric_histories(ctx, input).await)
    }

    async fn mlflow_list_artifacts(
        &self,
        ctx: &Context<'_>,
        input: Option<MlflowListArtifactsInput>,
    ) -> Field<MlflowListArtifactsResponse> {
        Some(list_artifacts(ctx, input).await)
    }

    async fn mlflow_search_model_versions(
        &self,
        ctx: &Context<'_>,
        input: Option<MlflowSearchModelVersionsInput>,
    ) -> Field<MlflowSearchModelVersionsResponse> {
        Some(search_versions(ctx, input).await)
    }
}

pub struct Mutation;

#[Object]
impl Mutation {
    async fn test_mutation(&self, input_string: Option<String>) -> TestMutation {
        TestMutation { output: input_string.unwrap_or_default() }
    }

    async fn mlflow_search_runs(
        &self,
        ctx: &Context<'_>,
        input: Option<MlflowSearchRunsInput>,
    ) -> Field<MlflowSearchRunsResponse> {
        Some(search_runs(ctx, input).await)
    }

    async fn mlflow_search_datasets(
        &self,
        ctx: &Context<'_>,
        input: Option<MlflowSearchDatasetsInput>,
    ) -> Field<MlflowSearchDatasetsResponse> {
        Some(search_datasets(ctx, input).await)
    }
}
