//! Registration: a source becomes the next version of a model.
//!
//! What needs no number (manifest, documents, signatures) is stored first, by content; then one
//! transaction takes the number, signs the registration statement and writes every row. Killed
//! before it, nothing of the version exists; after it, all of it does. Two registrations at once
//! get two numbers.

use super::{
    Importing, ModelsError, Tags, Version, announce, check_description, check_id, check_model_name,
    check_reference, check_tags, imported,
    manage::find_model,
    origin::{self, Origin},
    stage,
    store::{
        models,
        tags::{self, Owner},
        versions::{self, NewVersion},
    },
};
use crate::{
    app::App,
    artifacts::{frozen, uploads},
    audit::{self, Cause},
    db::{Conn, DbError},
    idempotency::{Claim, Once, claim},
    ids::Ids,
    logged_models,
    provenance::{self, Draft, Evidence},
    runs::KeyValue,
};
use std::sync::Arc;
use waybill_client::api::Custody;
use waybill_proof::{documents::ExperimentConfig, keys::Signer, statement::Registration};

/// Tag by which MLflow shows a logged model's registered versions.
const MODEL_VERSIONS_TAG: &str = "mlflow.modelVersions";

/// A version asked for.
#[derive(Debug, Clone, Default)]
pub struct Registering {
    pub name: String,
    pub from: Content,
    pub description: Option<String>,
    pub run_id: Option<String>,
    pub run_link: Option<String>,
    pub logged_model_id: Option<String>,
    pub tags: Tags,
    /// Whether to make the model when there is none of that name.
    pub make_model: bool,
    pub once: Option<Once>,
    /// There when the version had a number elsewhere.
    pub imported: Option<Importing>,
}

/// Where the files are.
#[derive(Debug, Clone)]
pub enum Content {
    /// A URI, as MLflow's clients post it.
    Source(String),
    /// A finished upload session.
    Upload { upload_id: String, config: Option<Box<ExperimentConfig>>, lockfile: Option<String> },
}

impl Default for Content {
    fn default() -> Self {
        Self::Source(String::new())
    }
}

struct Input {
    asked: Registering,
    new: NewVersion,
    evidence: Option<Evidence>,
    signer: Arc<dyn Signer>,
    ids: Arc<dyn Ids>,
    cause: Cause,
}

/// Registers the next version of a model.
pub async fn register(app: &App, cause: Cause, asked: Registering) -> Result<Version, ModelsError> {
    check(&asked)?;
    if let Some(version) = earlier(app, asked.once.as_ref()).await? {
        return Ok(version);
    }
    if !asked.make_model {
        let found = models::find(&mut app.db.read().await?, &asked.name).await?;
        found.ok_or_else(|| ModelsError::model_not_found(&asked.name))?;
    }
    let origin = origin::find(app, &asked).await?;
    let pointer = asked.imported.as_ref().and_then(|importing| importing.pointer.as_ref());
    if let (Some(pointer), None) = (pointer, &origin.files) {
        return Ok(pointer.clone());
    }
    let evidence = match &origin.files {
        Some(files) => Some(gather(app, &cause, &asked, &origin, files).await?),
        None => None,
    };
    let said = asked.imported.as_ref().map(|importing| &importing.said);
    let new = NewVersion {
        uid: pointer.map_or_else(|| app.ids.prefixed("ver"), |pointer| pointer.uid.clone()),
        custody: origin.custody,
        source: origin.source,
        location: origin.location,
        description: asked.description.clone(),
        run_id: origin.run_id,
        run_link: asked.run_link.clone(),
        logged_model_id: origin.logged_model_id,
        created_by: said.and_then(|said| said.created_by.clone()).unwrap_or_else(|| cause.actor.clone()),
        created_at_ms: said.and_then(|said| said.created_at_ms).unwrap_or(cause.at_ms),
        content: evidence.as_ref().map(|evidence| evidence.content.clone()),
    };
    let imported = asked.imported.is_some();
    let (signer, ids) = (Arc::clone(&app.signer), Arc::clone(&app.ids));
    let input = Input { asked, new, evidence, signer, ids, cause };
    let version = app.db.write(input, |tx, input| Box::pin(insert(tx, input))).await?;
    app.webhooks.wake();
    // Nobody here saw the run of an imported version end.
    if let (Custody::Frozen, Some(run_id), false) = (version.custody, &version.run_id, imported) {
        // It may have ended while its model was being registered, and found no version to attest to.
        provenance::run_ended(app, run_id);
    }
    Ok(version)
}

fn check(asked: &Registering) -> Result<(), ModelsError> {
    check_model_name(&asked.name)?;
    check_description(asked.description.as_deref())?;
    check_tags(&asked.name, &asked.tags)?;
    if let Content::Source(source) = &asked.from {
        check_reference("source", source)?;
    }
    for (field, id) in [("run_id", &asked.run_id), ("model_id", &asked.logged_model_id)] {
        check_id(field, id.as_deref().unwrap_or_default())?;
    }
    check_reference("run_link", asked.run_link.as_deref().unwrap_or_default())
}

/// What an earlier request with the same key made: a retry must not do the work again, and its
/// upload session is used up.
async fn earlier(app: &App, once: Option<&Once>) -> Result<Option<Version>, ModelsError> {
    let Some(once) = once else {
        return Ok(None);
    };
    let mut conn = app.db.read().await?;
    match crate::idempotency::peek(&mut conn, once).await? {
        Claim::Done(uid) => done(&mut conn, &uid).await.map(Some),
        Claim::New => Ok(None),
    }
}

async fn done(conn: &mut Conn, uid: &str) -> Result<Version, ModelsError> {
    let missing = || DbError::Corrupt { what: "idempotency key", detail: format!("{uid} is gone") };
    Ok(versions::find_by_uid(conn, uid).await?.ok_or_else(missing)?)
}

async fn gather(
    app: &App,
    cause: &Cause,
    asked: &Registering,
    origin: &Origin,
    files: &[waybill_proof::manifest::ModelFile],
) -> Result<Evidence, ModelsError> {
    let (config, lockfile) = match &asked.from {
        Content::Upload { config, lockfile, .. } => (config.as_deref().cloned(), lockfile.clone()),
        Content::Source(_) => (None, None),
    };
    let draft = Draft {
        name: asked.name.clone(),
        files: files.to_vec(),
        source: origin.source.clone(),
        description: asked.description.clone(),
        tags: asked.tags.clone(),
        run: origin.run.clone(),
        logged_model: origin.logged_model.clone(),
        config,
        lockfile,
        imported: asked.imported.as_ref().map(|importing| importing.said.clone()),
        actor: cause.actor.clone(),
        now_ms: cause.at_ms,
    };
    Ok(Evidence::prepare(app, draft).await?)
}

async fn insert(tx: &mut Conn, input: &Input) -> Result<Version, ModelsError> {
    let Input { asked, new, evidence, signer, ids, cause } = input;
    if let Claim::Done(uid) = claim(tx, asked.once.as_ref(), &new.uid, cause.at_ms).await? {
        return done(tx, &uid).await;
    }
    // First: it says which files are still to be sent, where their rows would only fail to bind.
    if let Content::Upload { upload_id, .. } = &asked.from {
        uploads::consume(tx, upload_id, cause.at_ms).await?;
    }
    if asked.make_model && models::insert(tx, &asked.name, None, cause.at_ms).await?.is_some() {
        audit::record(tx, &cause.event("registered_model.created", asked.name.clone())).await?;
        let model = find_model(tx, &asked.name).await?;
        announce::model_created(tx, ids.as_ref(), cause.at_ms, &model, &Tags::new()).await?;
    }
    let (number, version_id) = match &asked.imported {
        Some(importing) => imported::take_number(tx, &asked.name, importing, new, cause.at_ms).await?,
        None => {
            let next = models::next_version(tx, &asked.name, cause.at_ms).await?;
            let (model_id, number) = next.ok_or_else(|| ModelsError::model_not_found(&asked.name))?;
            (number, versions::insert(tx, model_id, number, new).await?)
        }
    };
    let pointer = asked.imported.as_ref().and_then(|importing| importing.pointer.as_ref());
    // What stands beside the files of a pointer may have been changed here.
    if pointer.is_none() {
        tags::set(tx, Owner::Version, version_id, &asked.tags).await?;
    }
    if let Some(evidence) = evidence {
        freeze(tx, input, evidence, number, signer.as_ref()).await?;
    }
    let mut action = "model_version.registered";
    if let Some(importing) = &asked.imported {
        // An imported logged model knows its versions already.
        if pointer.is_none() {
            imported::settle(tx, version_id, &new.uid, importing, cause).await?;
        }
        action = "model_version.imported";
    } else if asked.logged_model_id.as_deref().is_some_and(|id| !id.is_empty())
        && let Some(model_id) = &new.logged_model_id
    {
        // Of a copy of a version its model does not learn.
        tell_logged_model(tx, model_id, &asked.name, number).await?;
    }
    let subject = format!("{}@{number}", asked.name);
    let to = evidence.as_ref().map(|evidence| evidence.content.manifest_digest.to_string());
    let to = to.unwrap_or_else(|| kept_as(new.custody, &new.source));
    let from = pointer.map(|pointer| kept_as(pointer.custody, &pointer.source));
    audit::record(tx, &cause.event(action, subject).change(from.as_deref(), Some(&to))).await?;
    let version = done(tx, &new.uid).await?;
    // What comes from elsewhere is no news.
    if asked.imported.is_none() {
        announce::version_created(tx, ids.as_ref(), cause.at_ms, &version, &asked.tags).await?;
    }
    Ok(version)
}

fn kept_as(custody: Custody, source: &str) -> String {
    format!("{} {source}", stage::custody_text(custody))
}

/// The rows of a frozen version's files and evidence, the registration statement among them.
async fn freeze(
    tx: &mut Conn,
    input: &Input,
    evidence: &Evidence,
    number: i64,
    signer: &dyn Signer,
) -> Result<(), ModelsError> {
    let Input { asked, new, cause, .. } = input;
    frozen::insert(tx, &new.uid, &evidence.files).await?;
    let content = &evidence.content;
    let registration = Registration {
        uid: new.uid.clone(),
        name: asked.name.clone(),
        version: number,
        custody: stage::custody_text(Custody::Frozen).to_owned(),
        manifest_digest: content.manifest_digest,
        oms_root: content.oms_root,
        requirements_digest: content.requirements_digest,
        experiment_config_digest: content.experiment_config_digest,
        registration_snapshot_digest: content.registration_snapshot_digest,
        lockfile_digest: evidence.lockfile_digest,
        registered_at_ms: cause.at_ms,
        imported: asked.imported.as_ref().map(|importing| importing.said.clone()),
    };
    let statement = provenance::registration_statement(signer, &registration)?;
    for referrer in evidence.referrers.iter().chain([&statement]) {
        provenance::store::insert(tx, &new.uid, referrer, cause.at_ms).await?;
    }
    Ok(())
}

/// Adds the version to the logged model's own list of them, as MLflow's server does.
async fn tell_logged_model(
    tx: &mut Conn,
    model_id: &str,
    name: &str,
    number: i64,
) -> Result<(), ModelsError> {
    logged_models::store::lock(tx, model_id).await?;
    let Some(model) = logged_models::store::get(tx, model_id).await? else {
        return Ok(());
    };
    let told = model.tags.iter().find(|tag| tag.key == MODEL_VERSIONS_TAG).map(|tag| tag.value.as_str());
    let entry = format!("{{\"name\": {}, \"version\": {number}}}", serde_json::Value::from(name));
    let value = match told.and_then(|list| list.strip_suffix(']')) {
        Some(list) if list.len() > 1 => format!("{list}, {entry}]"),
        _ => format!("[{entry}]"),
    };
    let tag = KeyValue { key: MODEL_VERSIONS_TAG.to_owned(), value };
    logged_models::store::set_tags(tx, model.mid, model.experiment_id, &[tag]).await?;
    Ok(())
}
