//! What a registration's source comes to: which files, from which run, held by whom.

use super::{
    ModelsError, marks_prompt,
    register::{Content, Registering},
    source::{self, Source, Which},
    stage,
    store::{aliases, models, versions},
};
use crate::{
    app::App,
    artifacts::{ArtifactPath, tree, uploads},
    db::Conn,
    logged_models::{self, LoggedModel},
    provenance, runs,
};
use waybill_client::api::{Custody, Stage};
use waybill_proof::{
    documents::{LoggedModelSnapshot, RunSnapshot},
    manifest::{Manifest, ModelFile},
};

/// A source, followed to its end.
#[derive(Debug, Clone)]
pub struct Origin {
    pub custody: Custody,
    /// As posted, except that a `models:/` source names a number.
    pub source: String,
    /// Where the files are, `models:/` sources followed.
    pub location: String,
    /// The files, where they lie in our store.
    pub files: Option<Vec<ModelFile>>,
    pub run_id: Option<String>,
    pub logged_model_id: Option<String>,
    pub run: Option<RunSnapshot>,
    pub logged_model: Option<LoggedModelSnapshot>,
}

/// Files and names found, before lineage is looked up.
struct Found {
    source: String,
    location: String,
    files: Option<Vec<ModelFile>>,
    run_id: Option<String>,
    logged_model_id: Option<String>,
}

/// Follows the source of a registration.
pub async fn find(app: &App, asked: &Registering) -> Result<Origin, ModelsError> {
    let mut conn = app.db.snapshot().await?;
    let is_prompt = marks_prompt(&asked.tags);
    let found = match &asked.from {
        Content::Upload { upload_id, .. } => Found {
            source: format!("upload:{upload_id}"),
            location: format!("upload:{upload_id}"),
            files: Some(uploads::complete_files_of(&mut conn, upload_id, app.clock.now_ms()).await?),
            run_id: None,
            logged_model_id: None,
        },
        Content::Source(posted) => {
            let read = source::read(posted, is_prompt)?;
            follow(app, &mut conn, asked, posted, read).await?
        }
    };
    let logged_model_id = found.logged_model_id.or_else(|| asked.logged_model_id.clone());
    let logged_model = match &logged_model_id {
        Some(id) => provenance::logged_model_snapshot(&mut conn, id).await?,
        None => None,
    };
    let run_of_model = logged_model.as_ref().and_then(|model| model.source_run_id.clone());
    let run_id = asked.run_id.clone().filter(|id| !id.is_empty()).or(found.run_id).or(run_of_model);
    let run = match &run_id {
        Some(id) if found.files.is_some() => provenance::run_snapshot(&mut conn, id).await?,
        _ => None,
    };
    Ok(Origin {
        custody: match (&found.files, is_prompt) {
            (_, true) => Custody::Prompt,
            (Some(_), false) => Custody::Frozen,
            (None, false) => Custody::Pointer,
        },
        source: found.source,
        location: found.location,
        files: found.files.filter(|_| !is_prompt),
        run_id,
        logged_model_id,
        run,
        logged_model: logged_model.filter(|_| !is_prompt),
    })
}

async fn follow(
    app: &App,
    conn: &mut Conn,
    asked: &Registering,
    posted: &str,
    read: Source,
) -> Result<Found, ModelsError> {
    let mut found = Found {
        source: posted.to_owned(),
        location: posted.to_owned(),
        files: None,
        run_id: None,
        logged_model_id: None,
    };
    match read {
        Source::Prompt | Source::Remote => {}
        Source::Artifacts(path) => found.files = files_at(app, conn, &path).await?,
        Source::Local(path) => check_local(conn, asked, posted, &path).await?,
        Source::Run { run_id, path } => {
            if let Some(run) = runs::store::get(conn, &run_id).await? {
                found.files = files_below(app, conn, &run.artifact_uri, &path).await?;
                found.run_id = found.files.is_some().then_some(run_id);
            }
        }
        Source::LoggedModel(id) => {
            let model = logged_model(conn, posted, &id, asked.logged_model_id.as_deref()).await?;
            found.files = files_below(app, conn, &model.artifact_location, "").await?;
            found.location = model.artifact_location;
            found.logged_model_id = Some(id);
        }
        Source::Version { name, which } => {
            found = another_version(app, conn, asked, posted, &name, which).await?;
        }
    }
    Ok(found)
}

async fn logged_model(
    conn: &mut Conn,
    posted: &str,
    id: &str,
    asked: Option<&str>,
) -> Result<LoggedModel, ModelsError> {
    let invalid = |why: &str| {
        let message = format!("Invalid model version source: '{posted}'. {why}");
        ModelsError::invalid("SOURCE_INVALID", message)
    };
    if asked.is_some_and(|asked| !asked.is_empty() && asked != id) {
        return Err(invalid(
            "The model_id request parameter must identify the resource that contains the source.",
        ));
    }
    let found = logged_models::store::get(conn, id).await?;
    found.ok_or_else(|| invalid("There is no logged model with that id here."))
}

/// Local paths are the poster's own and never read; MLflow takes them only below the artifacts of
/// the run or logged model that is named with them.
async fn check_local(
    conn: &mut Conn,
    asked: &Registering,
    posted: &str,
    path: &str,
) -> Result<(), ModelsError> {
    let (field, root) = if let Some(id) = asked.logged_model_id.as_deref().filter(|id| !id.is_empty()) {
        ("model_id", logged_models::store::get(conn, id).await?.map(|model| model.artifact_location))
    } else {
        let run = match asked.run_id.as_deref().filter(|id| !id.is_empty()) {
            Some(id) => runs::store::get(conn, id).await?,
            None => None,
        };
        ("run_id", run.map(|run| run.artifact_uri))
    };
    if root.is_some_and(|root| source::is_within(path, &root)) {
        return Ok(());
    }
    let message = format!(
        "Invalid model version source: '{posted}'. To use a local path as a model version source, the {field} \
         request parameter has to be specified and the local path has to be contained within the artifact \
         directory of the run specified by the {field}."
    );
    Err(ModelsError::invalid("SOURCE_INVALID", message))
}

/// The files of a run's or logged model's artifacts below `path`, when they lie in our store.
async fn files_below(
    app: &App,
    conn: &mut Conn,
    root: &str,
    path: &str,
) -> Result<Option<Vec<ModelFile>>, ModelsError> {
    match source::read(root, false) {
        Ok(Source::Artifacts(root)) => files_at(app, conn, &format!("{root}/{path}")).await,
        // The root is elsewhere, by the operator's configuration.
        _ => Ok(None),
    }
}

/// The files of a directory of our namespace; `None` when there are none.
async fn files_at(app: &App, conn: &mut Conn, path: &str) -> Result<Option<Vec<ModelFile>>, ModelsError> {
    let path = ArtifactPath::parse_file(path)?;
    let files = match path.frozen() {
        Some((uid, inside)) => {
            let version = versions::find_by_uid(conn, uid).await?;
            let prefix = if inside.is_empty() { String::new() } else { format!("{inside}/") };
            let all = match &version {
                Some(version) => files_of(app, conn, version).await?,
                None => Vec::new(),
            };
            all.into_iter()
                .filter_map(|file| {
                    let path = file.path.strip_prefix(&prefix)?.to_owned();
                    Some(ModelFile { path, ..file })
                })
                .collect()
        }
        None => tree::tree(conn, &path).await?,
    };
    Ok((!files.is_empty()).then_some(files))
}

/// The files of a frozen version, by its manifest; none for any other custody.
async fn files_of(
    app: &App,
    conn: &mut Conn,
    version: &super::Version,
) -> Result<Vec<ModelFile>, ModelsError> {
    let Some(content) = &version.content else {
        return Ok(Vec::new());
    };
    let max_bytes = waybill_proof::manifest::MAX_MANIFEST_BYTES as u64;
    let bytes = app.content.read_bytes_with(conn, &content.manifest_digest, max_bytes).await?;
    Ok(Manifest::parse(&bytes)?.files().to_vec())
}

async fn another_version(
    app: &App,
    conn: &mut Conn,
    asked: &Registering,
    posted: &str,
    name: &str,
    which: Which,
) -> Result<Found, ModelsError> {
    let invalid = |why: &str| {
        let message = format!("Invalid model version source: '{posted}'. {why}");
        ModelsError::invalid("SOURCE_INVALID", message)
    };
    let model = models::find(conn, name).await?.ok_or_else(|| ModelsError::model_not_found(name))?;
    let number = match which {
        Which::Number(number) => Some(number),
        Which::Alias(alias) => {
            let found = aliases::find(conn, model.model_id, &alias).await?;
            Some(found.ok_or(ModelsError::AliasNotFound { alias })?)
        }
        Which::Stage(text) => highest(conn, model.model_id, Some(stage::parse_mlflow(&text)?)).await?,
        Which::Latest => highest(conn, model.model_id, None).await?,
    };
    let number = number.ok_or_else(|| invalid("It names no version."))?;
    let found = versions::find(conn, name, number).await?;
    let version = found.ok_or_else(|| ModelsError::version_not_found(name, number))?;
    if version.custody == Custody::Prompt {
        return Err(invalid("Prompt versions cannot be used as model version sources."));
    }
    for (asked, own) in [(&asked.run_id, &version.run_id), (&asked.logged_model_id, &version.logged_model_id)]
    {
        if asked.as_ref().is_some_and(|id| !id.is_empty() && Some(id) != own.as_ref()) {
            return Err(invalid(
                "The run_id and model_id request parameters must match the referenced model version.",
            ));
        }
    }
    let files = files_of(app, conn, &version).await?;
    Ok(Found {
        source: format!("models:/{name}/{number}"),
        location: version.location,
        files: (!files.is_empty()).then_some(files),
        run_id: version.run_id,
        logged_model_id: version.logged_model_id,
    })
}

async fn highest(conn: &mut Conn, model_id: i64, wanted: Option<Stage>) -> Result<Option<i64>, ModelsError> {
    let latest = versions::latest_per_stage(conn, &[model_id]).await?;
    let same =
        |stage_: Stage| wanted.is_none_or(|wanted| stage::mlflow_name(wanted) == stage::mlflow_name(stage_));
    Ok(latest.into_iter().filter(|v| same(v.stage)).map(|v| v.version).max())
}
