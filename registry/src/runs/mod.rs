//! Experiments, runs, and what clients log to them: metrics, parameters, tags, datasets, models.

mod error;
pub mod experiments;
pub mod histories;
pub mod inputs;
pub mod lifecycle;
pub mod location;
pub mod logging;
pub mod names;
pub mod store;
#[cfg(test)]
mod tests;
mod types;
pub mod validate;

pub use error::RunsError;
pub use location::KnownLocations;
pub use types::{
    Dataset, DatasetInput, Experiment, KeyValue, Lifecycle, LoggedMetric, Metric, ModelOutput, Run,
    RunDetails, RunStatus, ViewType,
};

use crate::{app::App, db::Conn};

/// Makes what clients take for granted: experiment 0, `Default`.
pub async fn prepare(app: &App) -> Result<(), RunsError> {
    let root = app.config.default_artifact_root.clone();
    let input = (root, app.clock.now_ms());
    app.db
        .write(input, |tx, (root, now_ms)| {
            Box::pin(async move { Ok(store::ensure_default(tx, root.as_deref(), *now_ms).await?) })
        })
        .await
}

/// An experiment id as clients send it.
pub fn parse_experiment_id(text: &str) -> Result<i64, RunsError> {
    text.trim().parse().map_err(|_| RunsError::ExperimentId(text.chars().take(100).collect()))
}

/// The run, which must not be deleted.
async fn active_run(tx: &mut Conn, run_id: &str) -> Result<Run, RunsError> {
    let run = store::get(tx, run_id).await?.ok_or_else(|| RunsError::NoRun(run_id.to_owned()))?;
    match run.lifecycle {
        Lifecycle::Active => Ok(run),
        Lifecycle::Deleted => Err(RunsError::RunDeleted(run_id.to_owned())),
    }
}

/// Why a run is not written to: it is not there, or was deleted when that was tried.
async fn refusal(conn: &mut Conn, run_id: &str) -> RunsError {
    match active_run(conn, run_id).await {
        Err(error) => error,
        Ok(run) => RunsError::RunDeleted(run.run_id),
    }
}

/// The experiment, which must not be deleted.
pub async fn active_experiment(tx: &mut Conn, experiment_id: i64) -> Result<Experiment, RunsError> {
    let experiment =
        store::experiment(tx, experiment_id).await?.ok_or(RunsError::NoExperiment(experiment_id))?;
    match experiment.lifecycle {
        Lifecycle::Active => Ok(experiment),
        Lifecycle::Deleted => Err(RunsError::ExperimentDeleted(experiment_id)),
    }
}
