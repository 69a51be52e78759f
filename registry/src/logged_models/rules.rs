use super::{LoggedModel, LoggedModelsError, Status, store};
use crate::{
    app::App,
    db::Conn,
    runs::{self, KeyValue, Lifecycle, location, names, validate},
    search::{Page, Position, Query},
};

/// What a client asks for.
#[derive(Debug, Clone)]
pub struct NewModel {
    pub experiment_id: i64,
    /// `None`: one that we pick.
    pub name: Option<String>,
    pub model_type: String,
    pub source_run_id: String,
    pub params: Vec<KeyValue>,
    pub tags: Vec<KeyValue>,
}

/// Params or tags of one request.
const PAIRS_MAX: usize = 1000;

/// A new model, pending until its files are there.
pub async fn create(app: &App, mut new: NewModel) -> Result<LoggedModel, LoggedModelsError> {
    check_name(new.name.as_deref())?;
    check_params(&new.params)?;
    check_tags(&new.tags)?;
    validate::length("model_type", &new.model_type, 500)?;
    validate::length("source_run_id", &new.source_run_id, 256)?;
    let name = new.name.take().unwrap_or_else(|| names::pick(app.ids.random()));
    let input = (new, name, app.ids.logged_model_id(), app.clock.now_ms());
    app.db
        .write(input, |tx, (new, name, model_id, now_ms)| {
            Box::pin(async move {
                let experiment = runs::active_experiment(tx, new.experiment_id).await?;
                let model = LoggedModel {
                    mid: 0,
                    model_id: model_id.clone(),
                    experiment_id: new.experiment_id,
                    name: name.clone(),
                    artifact_location: location::of_logged_model(&experiment.artifact_location, model_id),
                    creation_time_ms: *now_ms,
                    last_update_time_ms: *now_ms,
                    status: Status::Pending,
                    status_message: None,
                    model_type: new.model_type.clone(),
                    source_run_id: new.source_run_id.clone(),
                    lifecycle: Lifecycle::Active,
                    tags: Vec::new(),
                    params: Vec::new(),
                    metrics: Vec::new(),
                };
                let mid = store::insert(tx, &model).await?;
                add_params(tx, &LoggedModel { mid, ..model }, &new.params).await?;
                store::set_tags(tx, mid, new.experiment_id, &new.tags).await?;
                existing(tx, model_id).await
            })
        })
        .await
}

fn check_name(name: Option<&str>) -> Result<(), LoggedModelsError> {
    const REFUSED: [char; 6] = ['/', ':', '.', '%', '"', '\''];
    let Some(name) = name else {
        return Ok(());
    };
    if name.is_empty() || name.contains(REFUSED) {
        let shown: String = name.chars().take(200).collect();
        return Err(LoggedModelsError::Invalid(format!(
            "Invalid model name ('{shown}') provided. Model name must be a non-empty string and cannot \
             contain the following characters: ('/', ':', '.', '%', '\"', \"'\")"
        )));
    }
    Ok(validate::length("name", name, 500)?)
}

/// Values are kept whole, of any length.
fn check_params(params: &[KeyValue]) -> Result<(), LoggedModelsError> {
    check_count(params.len())?;
    for param in params {
        validate::unnamed_pair(param, "")?;
    }
    Ok(validate::unique_params(params)?)
}

fn check_tags(tags: &[KeyValue]) -> Result<(), LoggedModelsError> {
    check_count(tags.len())?;
    for tag in tags {
        validate::unnamed_pair(tag, "")?;
    }
    Ok(())
}

fn check_count(count: usize) -> Result<(), LoggedModelsError> {
    if count > PAIRS_MAX {
        let text = format!("A request can contain at most {PAIRS_MAX} params or tags. Got {count}.");
        return Err(LoggedModelsError::Invalid(text));
    }
    Ok(())
}

/// The model, deleted or not.
async fn existing(conn: &mut Conn, model_id: &str) -> Result<LoggedModel, LoggedModelsError> {
    store::get(conn, model_id).await?.ok_or_else(|| LoggedModelsError::NoModel(model_id.to_owned()))
}

/// A model that is not deleted; with `allow_deleted` any.
pub async fn get(app: &App, model_id: &str, allow_deleted: bool) -> Result<LoggedModel, LoggedModelsError> {
    let mut conn = app.db.read().await?;
    let model = existing(&mut conn, model_id).await?;
    if model.lifecycle == Lifecycle::Deleted && !allow_deleted {
        return Err(LoggedModelsError::NoModel(model_id.to_owned()));
    }
    Ok(model)
}

/// A page of models that are not deleted.
pub async fn search(
    app: &App,
    query: &Query,
    position: Option<&Position>,
    limit: usize,
) -> Result<Page<LoggedModel>, LoggedModelsError> {
    let mut conn = app.db.search_snapshot().await?;
    Ok(store::search(&mut conn, query, position, limit).await?)
}

/// Says how the upload of the model's files ended.
pub async fn finalize(app: &App, model_id: String, status: Status) -> Result<LoggedModel, LoggedModelsError> {
    let input = (model_id, status, app.clock.now_ms());
    app.db
        .write(input, |tx, (model_id, status, now_ms)| {
            Box::pin(async move {
                let mut model = existing(tx, model_id).await?;
                store::set_status(tx, model.mid, *status, *now_ms).await?;
                model.status = *status;
                model.last_update_time_ms = *now_ms;
                Ok(model)
            })
        })
        .await
}

/// Logs parameters, once each; the same value again is fine.
pub async fn log_params(app: &App, model_id: String, params: Vec<KeyValue>) -> Result<(), LoggedModelsError> {
    check_params(&params)?;
    app.db
        .write((model_id, params), |tx, (model_id, params)| {
            Box::pin(async move {
                store::lock(tx, model_id).await?;
                let model = existing(tx, model_id).await?;
                add_params(tx, &model, params).await
            })
        })
        .await
}

async fn add_params(
    tx: &mut Conn,
    model: &LoggedModel,
    params: &[KeyValue],
) -> Result<(), LoggedModelsError> {
    let changed = |param: &&KeyValue| {
        model.params.iter().any(|stored| stored.key == param.key && stored.value != param.value)
    };
    if let Some(param) = params.iter().find(changed) {
        let (key, model_id) = (param.key.clone(), model.model_id.clone());
        return Err(LoggedModelsError::ParamChanged { key, model_id });
    }
    Ok(store::add_params(tx, model.mid, model.experiment_id, params).await?)
}

pub async fn set_tags(app: &App, model_id: String, tags: Vec<KeyValue>) -> Result<(), LoggedModelsError> {
    check_tags(&tags)?;
    app.db
        .write((model_id, tags), |tx, (model_id, tags)| {
            Box::pin(async move {
                let model = existing(tx, model_id).await?;
                Ok(store::set_tags(tx, model.mid, model.experiment_id, tags).await?)
            })
        })
        .await
}

pub async fn delete_tag(app: &App, model_id: String, key: String) -> Result<(), LoggedModelsError> {
    app.db
        .write((model_id, key), |tx, (model_id, key)| {
            Box::pin(async move {
                let model = existing(tx, model_id).await?;
                if store::delete_tag(tx, model.mid, key).await? {
                    Ok(())
                } else {
                    Err(LoggedModelsError::NoTag { key: key.clone(), model_id: model_id.clone() })
                }
            })
        })
        .await
}

/// Deletes a model; its row and files stay for what was registered from it.
pub async fn delete(app: &App, model_id: String) -> Result<(), LoggedModelsError> {
    let input = (model_id, app.clock.now_ms());
    app.db
        .write(input, |tx, (model_id, now_ms)| {
            Box::pin(async move {
                let model = existing(tx, model_id).await?;
                Ok(store::delete(tx, model.mid, *now_ms).await?)
            })
        })
        .await
}
