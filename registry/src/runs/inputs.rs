//! What a run read and made: datasets, logged models.

use super::{DatasetInput, KeyValue, ModelOutput, RunsError, active_run, store, validate};
use crate::app::App;
use store::ModelRole;

/// The tag in which clients older than logged models keep what a run logged.
const MODEL_HISTORY_TAG: &str = "mlflow.log-model.history";

/// Notes datasets and models that the run read.
pub async fn log_inputs(
    app: &App,
    run_id: String,
    datasets: Vec<DatasetInput>,
    model_ids: Vec<String>,
) -> Result<(), RunsError> {
    validate::run_id(&run_id)?;
    validate::dataset_inputs(&datasets)?;
    validate::model_ids(model_ids.iter().map(String::as_str))?;
    let models: Vec<(String, i64)> = model_ids.into_iter().map(|id| (id, 0)).collect();
    app.db
        .write((run_id, datasets, models), |tx, (run_id, datasets, models)| {
            Box::pin(async move {
                let run = active_run(tx, run_id).await?;
                store::log_datasets(tx, &run, datasets).await?;
                Ok(store::log_models(tx, &run, ModelRole::Input, models).await?)
            })
        })
        .await
}

/// Notes models that the run made.
pub async fn log_outputs(app: &App, run_id: String, outputs: Vec<ModelOutput>) -> Result<(), RunsError> {
    validate::model_ids(outputs.iter().map(|output| output.model_id.as_str()))?;
    let models: Vec<(String, i64)> = outputs.into_iter().map(|o| (o.model_id, o.step)).collect();
    app.db
        .write((run_id, models), |tx, (run_id, models)| {
            Box::pin(async move {
                let run = active_run(tx, run_id).await?;
                Ok(store::log_models(tx, &run, ModelRole::Output, models).await?)
            })
        })
        .await
}

/// Appends `model`, what an older client knows of a model, to the run's history of models.
pub async fn log_model_history(app: &App, run_id: String, model: serde_json::Value) -> Result<(), RunsError> {
    app.db
        .write((run_id, model), |tx, (run_id, model)| {
            Box::pin(async move {
                store::lock(tx, run_id).await?;
                let run = active_run(tx, run_id).await?;
                let stored = store::tag_value(tx, run.rid, MODEL_HISTORY_TAG).await?;
                let mut history = match stored.map(|text| serde_json::from_str(&text)) {
                    Some(Ok(serde_json::Value::Array(history))) => history,
                    // Someone else wrote the tag, or its value was cut.
                    Some(_) => {
                        return Err(RunsError::Invalid(format!(
                            "Tag '{MODEL_HISTORY_TAG}' of the run does not hold a list of models."
                        )));
                    }
                    None => Vec::new(),
                };
                history.push(model.clone());
                let value = serde_json::Value::Array(history).to_string();
                // MLflow cuts tags, and keeps this one whole.
                validate::length("value", &value, validate::UNNAMED_VALUE_MAX)?;
                let tag = KeyValue { key: MODEL_HISTORY_TAG.to_owned(), value };
                Ok(store::set_tags(tx, &run, &[tag]).await?)
            })
        })
        .await
}
