//! Versions under their own numbers, frozen and signed as imported.

use super::{
    ImportsError,
    batch::{Bringing, outcome},
    check, registered_models,
    store::{self, Mark},
};
use crate::{
    app::App,
    audit::{self, Cause},
    db::Conn,
    models::{
        self, Content, Importing, ModelsError, Registering, Version,
        store::{
            tags::{self, Owner},
            versions,
        },
    },
};
use waybill_client::api::{Custody, ImportOutcome, ImportResult, ImportVersion, ImportedKind};
use waybill_proof::statement::Imported;

const USER_MAX_CHARS: usize = 256;

/// Registers a version under the number that it had, or brings one that came before up to date.
pub async fn write(
    app: &App,
    cause: Cause,
    import_id: &str,
    brought: ImportVersion,
) -> Result<ImportOutcome, ImportsError> {
    match try_write(app, cause, import_id, brought).await {
        Err(error @ ImportsError::NoImport(_)) => Err(error),
        Err(error) => error.refusal(),
        done => done,
    }
}

async fn try_write(
    app: &App,
    cause: Cause,
    import_id: &str,
    brought: ImportVersion,
) -> Result<ImportOutcome, ImportsError> {
    let import = super::get(app, import_id).await?;
    check(&brought)?;
    let source_id = format!("{}/{}", brought.name, brought.version);
    let mut conn = app.db.snapshot().await?;
    let import_rid = store::rid(&mut conn, import_id).await?;
    let bringing = Bringing { import_rid, root: None, cause: cause.clone() };
    let Some(mark) = bringing.mark_of(&mut conn, ImportedKind::ModelVersion, &source_id).await? else {
        registered_models::of(&mut conn, &bringing, &brought.name).await?;
        drop(conn);
        let asked = registering(import_rid, import.source, None, &cause, source_id, brought);
        let version = models::register(app, cause, asked).await?;
        let detail = (version.custody == Custody::Pointer)
            .then(|| format!("its files are not here: it is kept as a pointer to {}", version.source));
        return Ok(ImportOutcome { detail, ..outcome(ImportResult::Created, &version.uid) });
    };
    let here = versions::find_by_uid(&mut conn, &mark.local_id).await?;
    drop(conn);
    let is_it = |version: &Version| {
        // Not one that was deleted here, or whose model was renamed.
        !version.deleted && version.name == brought.name && version.version == brought.version
    };
    let pointer = here.filter(|version| version.custody == Custody::Pointer && is_it(version));
    let frozen = match pointer {
        Some(pointer) => {
            let id = source_id.clone();
            let asked = registering(import_rid, import.source, Some(pointer), &cause, id, brought.clone());
            Box::pin(freeze(app, cause, asked)).await?
        }
        None => None,
    };
    let known = if mark.fingerprint.as_deref() == Some(&brought.fingerprint) {
        outcome(ImportResult::Unchanged, &mark.local_id)
    } else {
        update(app, bringing, source_id, mark, brought).await?
    };
    Ok(frozen.unwrap_or(known))
}

/// Freezes a pointer whose files are here now. One whose files are not, or cannot be had, stays what it is.
async fn freeze(app: &App, cause: Cause, asked: Registering) -> Result<Option<ImportOutcome>, ImportsError> {
    match models::register(app, cause, asked).await {
        Ok(version) if version.custody == Custody::Frozen => {
            let detail =
                Some("its files are here now: it is frozen and signed, no longer a pointer".to_owned());
            Ok(Some(ImportOutcome { detail, ..outcome(ImportResult::Updated, &version.uid) }))
        }
        Ok(_) => Ok(None),
        Err(error) => ImportsError::from(error).refusal().map(|_| None),
    }
}

/// The registration of a version under its number, or of the files of one that is a pointer.
fn registering(
    import_rid: i64,
    source: String,
    pointer: Option<Version>,
    cause: &Cause,
    source_id: String,
    brought: ImportVersion,
) -> Registering {
    let said = Imported {
        source,
        name: brought.name.clone(),
        version: brought.version,
        created_by: brought.created_by.clone().filter(|user| !user.is_empty()),
        created_at_ms: Some(brought.created_at_ms),
        imported_at_ms: cause.at_ms,
        witnessed_training: false,
    };
    Registering {
        name: brought.name,
        from: Content::Source(brought.source),
        description: brought.description,
        run_id: brought.run_id,
        run_link: brought.run_link,
        tags: brought.tags,
        imported: Some(Importing {
            import_rid,
            said,
            updated_at_ms: brought.updated_at_ms,
            stage: brought.stage,
            mark: (source_id, brought.fingerprint),
            pointer,
        }),
        ..Registering::default()
    }
}

fn check(brought: &ImportVersion) -> Result<(), ImportsError> {
    check::fingerprint(&brought.fingerprint)?;
    check::short("created_by", brought.created_by.as_deref().unwrap_or_default(), USER_MAX_CHARS)?;
    check::time("created_at_ms", brought.created_at_ms)?;
    check::time("updated_at_ms", brought.updated_at_ms)?;
    if brought.version < 1 {
        let message = format!("version is {}; expected a number from 1", brought.version);
        return Err(ModelsError::invalid("VERSION_INVALID", message).into());
    }
    models::check_model_name(&brought.name)?;
    models::check_description(brought.description.as_deref())?;
    for (key, value) in &brought.tags {
        models::check_tag(key, value)?;
    }
    Ok(())
}

struct Update {
    bringing: Bringing,
    source_id: String,
    mark: Mark,
    brought: ImportVersion,
}

/// What is frozen stays; description and tags follow the source. The stage does not: here it may
/// be what serves.
async fn update(
    app: &App,
    bringing: Bringing,
    source_id: String,
    mark: Mark,
    brought: ImportVersion,
) -> Result<ImportOutcome, ImportsError> {
    let input = Update { bringing, source_id, mark, brought };
    app.db.write(input, |tx, input| Box::pin(apply(tx, input))).await
}

async fn apply(tx: &mut Conn, input: &Update) -> Result<ImportOutcome, ImportsError> {
    let Update { bringing, source_id, mark, brought } = input;
    let found = versions::find_by_uid(tx, &mark.local_id).await?.filter(|version| !version.deleted);
    let missing = || ImportsError::NotImported { what: "model version", id: source_id.clone() };
    let found = found.ok_or_else(missing)?;
    let (description, at_ms) = (brought.description.clone(), brought.updated_at_ms);
    versions::set_description(tx, found.version_id, description, at_ms).await?;
    tags::set(tx, Owner::Version, found.version_id, &brought.tags).await?;
    let new = Mark { local_id: mark.local_id.clone(), fingerprint: Some(brought.fingerprint.clone()) };
    let (kind, now_ms) = (ImportedKind::ModelVersion, bringing.cause.at_ms);
    store::mark(tx, bringing.import_rid, kind, source_id, &new, now_ms).await?;
    audit::record(tx, &bringing.cause.event("model_version.updated", found.subject())).await?;
    Ok(outcome(ImportResult::Updated, &mark.local_id))
}
