//! `mlflow/experiments/search-datasets`: what MLflow's pages offer to filter runs by.

use super::mount;
use crate::{
    access::Principal,
    app::App,
    mlflow::{
        MlflowError, MlflowJson,
        wire::datasets::{DatasetSummary, SearchDatasets, SearchDatasetsResponse},
    },
    runs::store,
};
use axum::{Json, Router, extract::State, routing::post};

const EXPERIMENTS_MAX: usize = 20;
const SUMMARIES_MAX: i64 = 1000;

pub fn router() -> Router<App> {
    mount("/mlflow/experiments/search-datasets", post(search_datasets))
}

async fn search_datasets(
    State(app): State<App>,
    _: Principal,
    MlflowJson(request): MlflowJson<SearchDatasets>,
) -> Result<Json<SearchDatasetsResponse>, MlflowError> {
    Ok(Json(SearchDatasetsResponse { dataset_summaries: find_datasets(&app, &request).await? }))
}

pub async fn find_datasets(app: &App, request: &SearchDatasets) -> Result<Vec<DatasetSummary>, MlflowError> {
    let count = request.experiment_ids.len();
    if count == 0 {
        return Err(MlflowError::invalid("SearchDatasets request must specify at least one experiment_id."));
    }
    if count > EXPERIMENTS_MAX {
        return Err(MlflowError::invalid(format!(
            "SearchDatasets request cannot specify more than {EXPERIMENTS_MAX} experiment_ids. Received {count} experiment_ids."
        )));
    }
    // What is no number names no experiment.
    let ids: Vec<i64> = request.experiment_ids.iter().filter_map(|id| id.parse().ok()).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let found = store::summaries(&mut app.db.read().await?, &ids, SUMMARIES_MAX).await?;
    Ok(found.into_iter().map(Into::into).collect())
}
