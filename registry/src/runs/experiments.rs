//! Experiments: made, found, renamed, deleted with their runs, restored.

use super::{
    Experiment, KeyValue, Lifecycle, RunsError, ViewType, active_experiment, location, store, validate,
};
use crate::{
    app::App,
    search::{Page, Position, Query},
    traces,
};
use std::path::PathBuf;

/// Tags of one experiment that a single request may set.
const TAGS_MAX: usize = 1000;
/// Tags in which MLflow's pages keep views that users made (`MLFLOW_CUSTOM_VIEW_TAG_PREFIX`).
const CUSTOM_VIEW_PREFIX: &str = "mlflow.customView.view";
/// Custom views of one experiment (`MAX_CUSTOM_VIEWS_PER_EXPERIMENT`).
const CUSTOM_VIEWS_MAX: usize = 50;

/// What a client asks for.
#[derive(Debug, Clone)]
pub struct NewExperiment {
    pub name: String,
    /// `None` or empty: below the server's own root.
    pub artifact_location: Option<String>,
    pub tags: Vec<KeyValue>,
}

/// The new experiment's id.
pub async fn create(app: &App, new: NewExperiment) -> Result<i64, RunsError> {
    validate::experiment_name(&new.name)?;
    if new.tags.len() > TAGS_MAX {
        return Err(RunsError::Invalid(format!(
            "An experiment can be created with at most {TAGS_MAX} tags."
        )));
    }
    new.tags.iter().try_for_each(validate::experiment_tag)?;
    if custom_views(&new.tags) > CUSTOM_VIEWS_MAX {
        return Err(too_many_custom_views(None));
    }
    let location = match new.artifact_location.as_deref() {
        None | Some("") => None,
        Some(text) => Some(location::check(text, &working_directory())?),
    };
    let root = app.config.default_artifact_root.clone();
    let input = (new, location, root, app.clock.now_ms());
    app.db
        .write(input, |tx, (new, location, root, now_ms)| {
            Box::pin(async move {
                let made =
                    store::insert_experiment(tx, &new.name, location.as_deref(), root.as_deref(), *now_ms)
                        .await?;
                let experiment_id = made.ok_or_else(|| RunsError::ExperimentExists(new.name.clone()))?;
                for tag in &new.tags {
                    store::set_experiment_tag(tx, experiment_id, tag).await?;
                }
                Ok(experiment_id)
            })
        })
        .await
}

/// Only asked where a client named a relative local path; `/` where the directory has gone.
fn working_directory() -> PathBuf {
    std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"))
}

/// An experiment of any lifecycle stage.
pub async fn get(app: &App, experiment_id: i64) -> Result<Experiment, RunsError> {
    let mut conn = app.db.read().await?;
    store::experiment(&mut conn, experiment_id).await?.ok_or(RunsError::NoExperiment(experiment_id))
}

/// An experiment of any lifecycle stage.
pub async fn get_by_name(app: &App, name: &str) -> Result<Experiment, RunsError> {
    let mut conn = app.db.read().await?;
    store::experiment_named(&mut conn, name)
        .await?
        .ok_or_else(|| RunsError::NoExperimentNamed(name.to_owned()))
}

/// A page of experiments.
pub async fn search(
    app: &App,
    query: &Query,
    view: ViewType,
    position: Option<&Position>,
    limit: usize,
) -> Result<Page<Experiment>, RunsError> {
    let mut conn = app.db.search_snapshot().await?;
    Ok(store::search_experiments(&mut conn, query, view, position, limit).await?)
}

pub async fn rename(app: &App, experiment_id: i64, name: String) -> Result<(), RunsError> {
    validate::experiment_name(&name)?;
    let input = (experiment_id, name, app.clock.now_ms());
    app.db
        .write(input, |tx, (experiment_id, name, now_ms)| {
            Box::pin(async move {
                match active_experiment(tx, *experiment_id).await {
                    Err(RunsError::ExperimentDeleted(_)) => return Err(RunsError::RenameDeleted),
                    other => other?,
                };
                if store::rename_experiment(tx, *experiment_id, name, *now_ms).await? {
                    Ok(())
                } else {
                    Err(RunsError::ExperimentExists(name.clone()))
                }
            })
        })
        .await
}

/// Deletes the experiment and its runs; both can be restored, but not what the runs said about traces.
pub async fn delete(app: &App, experiment_id: i64) -> Result<(), RunsError> {
    move_to(app, experiment_id, Lifecycle::Deleted).await
}

/// Restores a deleted experiment and its runs.
pub async fn restore(app: &App, experiment_id: i64) -> Result<(), RunsError> {
    move_to(app, experiment_id, Lifecycle::Active).await
}

/// An experiment that is in `stage` already is not found, as in MLflow.
async fn move_to(app: &App, experiment_id: i64, stage: Lifecycle) -> Result<(), RunsError> {
    let input = (experiment_id, stage, app.clock.now_ms());
    app.db
        .write(input, |tx, (experiment_id, stage, now_ms)| {
            Box::pin(async move {
                let found = store::experiment(tx, *experiment_id).await?;
                if found.is_none_or(|experiment| experiment.lifecycle == *stage) {
                    return Err(RunsError::NoExperiment(*experiment_id));
                }
                if *stage == Lifecycle::Deleted {
                    traces::store::delete_assessments_of_runs_in(tx, *experiment_id).await?;
                }
                Ok(store::set_experiment_lifecycle(tx, *experiment_id, *stage, *now_ms).await?)
            })
        })
        .await
}

fn custom_views(tags: &[KeyValue]) -> usize {
    tags.iter().filter(|tag| tag.key.starts_with(CUSTOM_VIEW_PREFIX)).count()
}

fn too_many_custom_views(experiment_id: Option<i64>) -> RunsError {
    let of = experiment_id.map(|id| format!(" for experiment {id}")).unwrap_or_default();
    RunsError::Invalid(format!(
        "Unable to create another custom view{of}; the maximum number of custom views per experiment is \
         {CUSTOM_VIEWS_MAX}. Delete an existing custom view before creating a new one."
    ))
}

/// A custom view that exists may be changed where another one would be too many.
pub async fn set_tag(app: &App, experiment_id: i64, tag: KeyValue) -> Result<(), RunsError> {
    validate::experiment_tag(&tag)?;
    app.db
        .write((experiment_id, tag), |tx, (experiment_id, tag)| {
            Box::pin(async move {
                active_experiment(tx, *experiment_id).await?;
                if tag.key.starts_with(CUSTOM_VIEW_PREFIX) {
                    let tags = store::experiment_tags(tx, *experiment_id).await?;
                    let is_new = tags.iter().all(|other| other.key != tag.key);
                    if is_new && custom_views(&tags) >= CUSTOM_VIEWS_MAX {
                        return Err(too_many_custom_views(Some(*experiment_id)));
                    }
                }
                Ok(store::set_experiment_tag(tx, *experiment_id, tag).await?)
            })
        })
        .await
}

pub async fn delete_tag(app: &App, experiment_id: i64, key: String) -> Result<(), RunsError> {
    app.db
        .write((experiment_id, key), |tx, (experiment_id, key)| {
            Box::pin(async move {
                let (experiment_id, key) = (*experiment_id, key.clone());
                active_experiment(tx, experiment_id).await?;
                if store::delete_experiment_tag(tx, experiment_id, &key).await? {
                    Ok(())
                } else {
                    Err(RunsError::NoExperimentTag { key, experiment_id })
                }
            })
        })
        .await
}
