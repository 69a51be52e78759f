//! Runs: started, read, updated, deleted, restored.

use super::{
    KeyValue, Lifecycle, Run, RunDetails, RunStatus, RunsError, ViewType, active_experiment, active_run,
    location, names, refusal, store, validate,
};
use crate::{
    app::App,
    db::{DbError, rows::rows_together},
    provenance,
    search::{Page, Position, Query},
    traces,
};

/// The tag that holds a run's name.
pub const RUN_NAME_TAG: &str = "mlflow.runName";

/// What a client asks for.
#[derive(Debug, Clone)]
pub struct StartRun {
    pub experiment_id: i64,
    pub user_id: String,
    pub start_time_ms: i64,
    /// `None` or empty: the run name tag's, or one that we pick.
    pub name: Option<String>,
    pub tags: Vec<KeyValue>,
}

pub async fn start(app: &App, mut request: StartRun) -> Result<RunDetails, RunsError> {
    validate::user_id(&request.user_id)?;
    validate::tags_of_new(&request.tags)?;
    let name = name_of(app, &mut request)?;
    validate::length("run_name", &name, validate::TAG_VALUE_MAX)?;
    let tags = request.tags.clone();
    let starting = Starting { request, name, run_id: app.ids.run_id() };
    let run = match start_at_once(app, &starting).await? {
        Some(run) => run,
        None => start_apart(app, starting).await?,
    };
    Ok(details(run, tags))
}

/// A valid request, and what it did not say.
struct Starting {
    request: StartRun,
    name: String,
    run_id: String,
}

impl Starting {
    fn in_experiment_at(&self, location: &str) -> store::NewRun {
        store::NewRun {
            run_id: self.run_id.clone(),
            experiment_id: self.request.experiment_id,
            name: self.name.clone(),
            user_id: self.request.user_id.clone(),
            start_time_ms: self.request.start_time_ms,
            artifact_uri: location::of_run(location, &self.run_id),
        }
    }
}

/// In one statement, where the experiment's location is known; `None` where it is not, or nothing was made.
async fn start_at_once(app: &App, starting: &Starting) -> Result<Option<Run>, DbError> {
    let request = &starting.request;
    let Some(location) = app.known_locations.get(request.experiment_id) else {
        return Ok(None);
    };
    if request.tags.len() > rows_together(app.db.engine()) {
        return Ok(None);
    }
    let new = starting.in_experiment_at(&location);
    let sql = store::insertion(app.db.engine(), &new, Some(&location), &request.tags);
    let made = app.db.write_at_once(sql).await?;
    Ok(made.first().map(|rid| new.into_run(*rid)))
}

async fn start_apart(app: &App, starting: Starting) -> Result<Run, RunsError> {
    let (run, location) = app
        .db
        .write(starting, |tx, starting| {
            Box::pin(async move {
                let experiment = active_experiment(tx, starting.request.experiment_id).await?;
                let location = experiment.artifact_location;
                let new = starting.in_experiment_at(&location);
                let run = store::insert(tx, &new, &starting.request.tags).await?;
                Ok::<_, RunsError>((run, location))
            })
        })
        .await?;
    app.known_locations.remember(run.experiment_id, &location);
    Ok(run)
}

/// The run's name; sees to it that the tags hold it too.
fn name_of(app: &App, request: &mut StartRun) -> Result<String, RunsError> {
    let tagged = request.tags.iter().find(|tag| tag.key == RUN_NAME_TAG).map(|tag| tag.value.clone());
    let tagged = tagged.filter(|name| !name.is_empty());
    let asked = request.name.take().filter(|name| !name.is_empty());
    match (asked, tagged) {
        (Some(asked), Some(tagged)) if asked != tagged => Err(RunsError::Invalid(format!(
            "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different \
             values (run_name='{asked}', mlflow.runName='{tagged}')."
        ))),
        (_, Some(tagged)) => Ok(tagged),
        (asked, None) => {
            let name = asked.unwrap_or_else(|| names::pick(app.ids.random()));
            request.tags.retain(|tag| tag.key != RUN_NAME_TAG);
            request.tags.push(KeyValue { key: RUN_NAME_TAG.to_owned(), value: name.clone() });
            Ok(name)
        }
    }
}

fn details(run: Run, tags: Vec<KeyValue>) -> RunDetails {
    let mut unique: std::collections::BTreeMap<String, String> = std::collections::BTreeMap::new();
    unique.extend(tags.into_iter().map(|tag| (tag.key, tag.value)));
    RunDetails {
        run,
        metrics: Vec::new(),
        params: Vec::new(),
        tags: unique.into_iter().map(|(key, value)| KeyValue { key, value }).collect(),
        datasets: Vec::new(),
        model_inputs: Vec::new(),
        model_outputs: Vec::new(),
    }
}

/// A run of any lifecycle stage, with all that was logged.
pub async fn get(app: &App, run_id: &str) -> Result<RunDetails, RunsError> {
    let mut conn = app.db.read().await?;
    let missing = || RunsError::NoRun(run_id.to_owned());
    let run = store::get(&mut conn, run_id).await?.ok_or_else(missing)?;
    store::details(&mut conn, vec![run]).await?.pop().ok_or_else(missing)
}

/// A page of runs, with all that was logged to them.
pub async fn search(
    app: &App,
    query: &Query,
    view: ViewType,
    position: Option<&Position>,
    limit: usize,
) -> Result<Page<RunDetails>, RunsError> {
    let mut conn = app.db.search_snapshot().await?;
    Ok(store::search(&mut conn, query, view, position, limit).await?)
}

/// Changes to a run; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct Update {
    pub status: Option<RunStatus>,
    pub end_time_ms: Option<i64>,
    pub name: Option<String>,
}

/// The run after the change.
pub async fn update(app: &App, run_id: String, change: Update) -> Result<Run, RunsError> {
    validate::length("run_name", change.name.as_deref().unwrap_or_default(), validate::TAG_VALUE_MAX)?;
    let ends = change.status.is_some_and(RunStatus::has_ended);
    let run = match change.name.as_deref() {
        None | Some("") => update_at_once(app, &run_id, change).await?,
        Some(_) => update_apart(app, run_id, change).await?,
    };
    if ends {
        provenance::run_ended(app, &run.run_id);
    }
    Ok(run)
}

async fn update_at_once(app: &App, run_id: &str, change: Update) -> Result<Run, RunsError> {
    let sql = store::updating(app.db.engine(), run_id, change.status, change.end_time_ms);
    let found = app.db.write_at_once(sql).await?;
    let mut conn = app.db.read().await?;
    match store::get(&mut conn, run_id).await? {
        Some(run) if !found.is_empty() => Ok(run),
        _ => Err(refusal(&mut conn, run_id).await),
    }
}

async fn update_apart(app: &App, run_id: String, change: Update) -> Result<Run, RunsError> {
    app.db
        .write((run_id, change), |tx, (run_id, change)| {
            Box::pin(async move {
                let mut run = active_run(tx, run_id).await?;
                store::update(tx, run.rid, change.status, change.end_time_ms).await?;
                if let Some(name) = change.name.as_deref() {
                    rename(tx, &run, name).await?;
                    name.clone_into(&mut run.name);
                }
                run.status = change.status.unwrap_or(run.status);
                run.end_time_ms = change.end_time_ms.or(run.end_time_ms);
                Ok(run)
            })
        })
        .await
}

/// Name and name tag are one thing, kept in two places that clients read.
pub(super) async fn rename(tx: &mut crate::db::Conn, run: &Run, name: &str) -> Result<(), RunsError> {
    store::rename(tx, run.rid, name).await?;
    let tag = KeyValue { key: RUN_NAME_TAG.to_owned(), value: name.to_owned() };
    store::set_tags(tx, run, &[tag]).await?;
    Ok(())
}

/// Deletes a run; it can be restored, but not what it said about traces. Deleting twice is fine.
pub async fn delete(app: &App, run_id: String) -> Result<(), RunsError> {
    move_to(app, run_id, Lifecycle::Deleted).await
}

pub async fn restore(app: &App, run_id: String) -> Result<(), RunsError> {
    move_to(app, run_id, Lifecycle::Active).await
}

async fn move_to(app: &App, run_id: String, stage: Lifecycle) -> Result<(), RunsError> {
    let input = (run_id, stage, app.clock.now_ms());
    app.db
        .write(input, |tx, (run_id, stage, now_ms)| {
            Box::pin(async move {
                let run = store::get(tx, run_id).await?.ok_or_else(|| RunsError::NoRun(run_id.clone()))?;
                if *stage == Lifecycle::Deleted {
                    traces::store::delete_assessments_of_run(tx, run_id).await?;
                }
                Ok(store::set_lifecycle(tx, run.rid, *stage, *now_ms).await?)
            })
        })
        .await
}
