//! Imports themselves: begun, found again, asked how far they are.

use super::{ImportsError, check, store};
use crate::{
    app::App,
    audit::{self, Cause},
    models::store::versions,
};
use std::collections::HashSet;
use waybill_client::api::{
    CreateImport, IMPORT_OBJECTS_MAX, Import, ImportedKind, ImportedObject, ImportedState, LookUpImported,
};

const SOURCE_MAX_CHARS: usize = 1_000;

/// Begins an import, or finds the one of the same source.
pub async fn create(app: &App, cause: Cause, asked: CreateImport) -> Result<Import, ImportsError> {
    check::id("source", &asked.source)?;
    check::short("source", &asked.source, SOURCE_MAX_CHARS)?;
    check::short("detail", &asked.detail, SOURCE_MAX_CHARS)?;
    if let Some((_, rest)) = asked.source.split_once("://")
        && rest.split('/').next().is_some_and(|authority| authority.contains('@'))
    {
        return Err(ImportsError::invalid("source", "it carries a user name; leave user and password out"));
    }
    let input = (asked, app.ids.prefixed("imp"), cause);
    let import_id = app
        .db
        .write(input, |tx, (asked, import_id, cause)| {
            Box::pin(async move {
                if store::insert(tx, import_id, asked, &cause.actor, cause.at_ms).await? {
                    let event = cause.event("import.started", import_id.clone());
                    audit::record(tx, &event.change(None, Some(&asked.source))).await?;
                }
                Ok::<_, ImportsError>(store::of_source(tx, asked).await?)
            })
        })
        .await?;
    get(app, &import_id).await
}

/// An import and how much of it is here.
pub async fn get(app: &App, import_id: &str) -> Result<Import, ImportsError> {
    let mut conn = app.db.snapshot().await?;
    let not_found = || ImportsError::NoImport(import_id.chars().take(100).collect());
    let row = store::find(&mut conn, import_id).await?.ok_or_else(not_found)?;
    store::with_counts(&mut conn, vec![row]).await?.pop().ok_or_else(not_found)
}

/// Imports that began before the one of key `before`, the newest first, each with its key.
pub async fn list(app: &App, before: i64, limit: i64) -> Result<Vec<(i64, Import)>, ImportsError> {
    let mut conn = app.db.snapshot().await?;
    let rows = store::page(&mut conn, before, limit).await?;
    let keys: Vec<i64> = rows.iter().map(|row| row.import_rid).collect();
    Ok(keys.into_iter().zip(store::with_counts(&mut conn, rows).await?).collect())
}

/// Which objects are here already, in the order in which they are asked for.
pub async fn look_up(
    app: &App,
    import_id: &str,
    asked: &LookUpImported,
) -> Result<Vec<ImportedObject>, ImportsError> {
    if asked.objects.len() > IMPORT_OBJECTS_MAX {
        return Err(ImportsError::TooMany(asked.objects.len()));
    }
    let mut conn = app.db.snapshot().await?;
    let import_rid = store::rid(&mut conn, import_id).await?;
    // An id that cannot be kept is new: whoever sends its object hears why.
    let ids = asked.objects.iter().map(|object| object.id.as_str());
    let ids: Vec<&str> = ids.filter(|id| check::id("id", id).is_ok()).collect();
    let marks = store::marks(&mut conn, import_rid, asked.kind, &ids).await?;
    let pointers = match asked.kind {
        ImportedKind::ModelVersion => {
            versions::pointers(&mut conn, marks.values().map(|mark| mark.local_id.as_str())).await?
        }
        _ => HashSet::new(),
    };
    let state = |object: &waybill_client::api::SourceObject| match marks.get(&object.id) {
        None => ImportedObject { state: ImportedState::New, local_id: None },
        Some(mark) => ImportedObject {
            state: match &mark.fingerprint {
                None => ImportedState::Incomplete,
                Some(_) if pointers.contains(&mark.local_id) => ImportedState::Incomplete,
                Some(known) if *known == object.fingerprint => ImportedState::Complete,
                Some(_) => ImportedState::Changed,
            },
            local_id: Some(mark.local_id.clone()),
        },
    };
    Ok(asked.objects.iter().map(state).collect())
}
