//! Statements on experiments and runs. None of them commits.

pub mod batch;
mod children;
mod datasets;
mod experiments;
mod history;
mod imported;
mod logged;
mod runs;
mod search;
mod search_experiments;
#[cfg(test)]
mod tests;

pub use children::{details, inputs, latest_metrics, params, tags};
pub use datasets::{DatasetSummary, log_datasets, summaries};
pub use experiments::{
    delete_experiment_tag, ensure_default, experiment, experiment_named, experiment_tags, insert_experiment,
    rename_experiment, set_experiment_lifecycle, set_experiment_tag,
};
pub use history::{HistoryPosition, at_steps, history, steps};
pub use imported::{
    ImportedRun, insert_imported, insert_imported_experiment, is_empty_experiment, take_over_experiment,
};
pub use logged::{Changed, ModelRole, changed_params, log_metrics, log_models, log_params, set_tags};
pub use runs::{
    NewRun, delete_tag, get, insert, insertion, lock, rename, set_lifecycle, tag_value, update, updating,
};
pub use search::{RUNS, search};
pub use search_experiments::{EXPERIMENTS, search_experiments};

use super::types::{Lifecycle, RunStatus};
use crate::db::DbError;

fn lifecycle(text: &str) -> Result<Lifecycle, DbError> {
    Lifecycle::parse(text)
        .ok_or_else(|| DbError::Corrupt { what: "lifecycle stage", detail: text.to_owned() })
}

fn status(text: &str) -> Result<RunStatus, DbError> {
    RunStatus::parse(text).ok_or_else(|| DbError::Corrupt { what: "run status", detail: text.to_owned() })
}
