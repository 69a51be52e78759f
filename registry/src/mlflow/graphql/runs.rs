//! Runs, with their experiment and the versions that were registered from them.

use super::{
    budget::Budget,
    experiments::MlflowExperiment,
    metrics::MlflowMetricExtension,
    query::{Field, fail},
    scalars::{
        ApiError, LongString, MlflowInputTag, MlflowParam, MlflowRunTag, RunStatus, Texts, ViewType, all,
        texts,
    },
    versions::MlflowModelVersion,
};
use crate::{
    app::App,
    mlflow::{
        routes::model_versions::find_versions,
        wire::{EnumValue, model_registry::Search, runs::SearchRuns},
    },
    runs::{DatasetInput, RunDetails, experiments},
};
use async_graphql::{ComplexObject, Context, InputObject, Result, SimpleObject};

#[derive(Debug, Default, InputObject)]
pub struct MlflowGetRunInput {
    pub run_id: Option<String>,
    pub run_uuid: Option<String>,
}

#[derive(Debug, Default, InputObject)]
pub struct MlflowSearchRunsInput {
    experiment_ids: Texts,
    filter: Option<String>,
    run_view_type: Option<ViewType>,
    max_results: Option<i32>,
    order_by: Texts,
    page_token: Option<String>,
}

impl From<MlflowSearchRunsInput> for SearchRuns {
    fn from(input: MlflowSearchRunsInput) -> Self {
        Self {
            experiment_ids: texts(input.experiment_ids),
            filter: input.filter.filter(|filter| !filter.is_empty()),
            run_view_type: input.run_view_type.map(|view| EnumValue::Name(view.name().to_owned())),
            max_results: input.max_results.map(i64::from),
            order_by: texts(input.order_by),
            page_token: input.page_token.filter(|token| !token.is_empty()),
        }
    }
}

#[derive(Debug, SimpleObject)]
pub struct MlflowGetRunResponse {
    pub run: MlflowRunExtension,
    pub api_error: Option<ApiError>,
}

#[derive(Debug, SimpleObject)]
pub struct MlflowSearchRunsResponse {
    pub runs: Vec<MlflowRunExtension>,
    pub next_page_token: String,
    pub api_error: Option<ApiError>,
}

#[derive(Debug, SimpleObject)]
#[graphql(complex)]
pub struct MlflowRunExtension {
    info: MlflowRunInfo,
    data: MlflowRunData,
    inputs: MlflowRunInputs,
    outputs: MlflowRunOutputs,
    #[graphql(skip)]
    experiment_id: i64,
}

#[ComplexObject]
impl MlflowRunExtension {
    async fn experiment(&self, ctx: &Context<'_>) -> Field<MlflowExperiment> {
        Some(experiment_of(ctx, self.experiment_id).await)
    }

    async fn model_versions(&self, ctx: &Context<'_>) -> Field<Vec<MlflowModelVersion>> {
        Some(versions_of(ctx, &self.info.run_id).await)
    }
}

async fn experiment_of(ctx: &Context<'_>, experiment_id: i64) -> Result<MlflowExperiment> {
    ctx.data_unchecked::<Budget>().lookup()?;
    let app = ctx.data_unchecked::<App>();
    Ok(experiments::get(app, experiment_id).await.map_err(fail)?.into())
}

async fn versions_of(ctx: &Context<'_>, run_id: &str) -> Result<Vec<MlflowModelVersion>> {
    ctx.data_unchecked::<Budget>().lookup()?;
    let search = Search {
        filter: format!("run_id='{run_id}'"),
        max_results: None,
        order_by: Vec::new(),
        page_token: None,
    };
    let (found, _) = find_versions(ctx.data_unchecked::<App>(), &search).await.map_err(fail)?;
    Ok(all(found))
}

impl From<RunDetails> for MlflowRunExtension {
    fn from(details: RunDetails) -> Self {
        let run = details.run;
        Self {
            experiment_id: run.experiment_id,
            info: MlflowRunInfo {
                run_uuid: run.run_id.clone(),
                run_id: run.run_id,
                run_name: run.name,
                experiment_id: run.experiment_id.to_string(),
                user_id: run.user_id,
                status: run.status.into(),
                start_time: LongString(run.start_time_ms),
                end_time: LongString(run.end_time_ms.unwrap_or_default()),
                artifact_uri: run.artifact_uri,
                lifecycle_stage: run.lifecycle.as_str(),
            },
            data: MlflowRunData {
                metrics: all(details.metrics),
                params: all(details.params),
                tags: all(details.tags),
            },
            inputs: MlflowRunInputs {
                dataset_inputs: all(details.datasets),
                model_inputs: details
                    .model_inputs
                    .into_iter()
                    .map(|model_id| MlflowModelInput { model_id })
                    .collect(),
            },
            outputs: MlflowRunOutputs {
                model_outputs: details
                    .model_outputs
                    .into_iter()
                    .map(|output| MlflowModelOutput {
                        model_id: output.model_id,
                        step: LongString(output.step),
                    })
                    .collect(),
            },
        }
    }
}

#[derive(Debug, SimpleObject)]
pub struct MlflowRunInfo {
    run_id: String,
    run_uuid: String,
    run_name: String,
    experiment_id: String,
    user_id: String,
    status: RunStatus,
    start_time: LongString,
    end_time: LongString,
    artifact_uri: String,
    lifecycle_stage: &'static str,
}

#[derive(Debug, SimpleObject)]
pub struct MlflowRunData {
    metrics: Vec<MlflowMetricExtension>,
    params: Vec<MlflowParam>,
    tags: Vec<MlflowRunTag>,
}

#[derive(Debug, SimpleObject)]
pub struct MlflowRunInputs {
    dataset_inputs: Vec<MlflowDatasetInput>,
    model_inputs: Vec<MlflowModelInput>,
}

#[derive(Debug, SimpleObject)]
pub struct MlflowDatasetInput {
    tags: Vec<MlflowInputTag>,
    dataset: MlflowDataset,
}

#[derive(Debug, SimpleObject)]
pub struct MlflowDataset {
    name: String,
    digest: String,
    source_type: String,
    source: String,
    schema: String,
    profile: String,
}

impl From<DatasetInput> for MlflowDatasetInput {
    fn from(input: DatasetInput) -> Self {
        let dataset = input.dataset;
        Self {
            tags: all(input.tags),
            dataset: MlflowDataset {
                name: dataset.name,
                digest: dataset.digest,
                source_type: dataset.source_type,
                source: dataset.source,
                schema: dataset.schema.unwrap_or_default(),
                profile: dataset.profile.unwrap_or_default(),
            },
        }
    }
}

#[derive(Debug, SimpleObject)]
pub struct MlflowModelInput {
    model_id: String,
}

#[derive(Debug, SimpleObject)]
pub struct MlflowRunOutputs {
    model_outputs: Vec<MlflowModelOutput>,
}

#[derive(Debug, SimpleObject)]
pub struct MlflowModelOutput {
    model_id: String,
    step: LongString,
}
