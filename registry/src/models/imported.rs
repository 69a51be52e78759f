//! What is different about a version that had a number before: it keeps it, with its stage's label
//! and its times.

use super::{
    ModelsError, Version,
    store::{
        models,
        versions::{self, NewVersion},
    },
};
use crate::{
    audit::Cause,
    db::Conn,
    imports::store::{self as account, Mark},
};
use waybill_client::api::{ImportedKind, Stage};
use waybill_proof::statement::Imported;

/// A version on its way from another registry.
#[derive(Debug, Clone)]
pub struct Importing {
    pub import_rid: i64,
    /// What is signed about it.
    pub said: Imported,
    pub updated_at_ms: i64,
    pub stage: Stage,
    /// Id and fingerprint that it has at the source.
    pub mark: (String, String),
    /// The pointer that it became when its files were not found, to be frozen now that they are.
    pub pointer: Option<Version>,
}

/// Adds the version under the number that it had, or makes the pointer whole that has it; its number and row id.
/// Holds the model until the transaction ends.
pub async fn take_number(
    tx: &mut Conn,
    name: &str,
    importing: &Importing,
    new: &NewVersion,
    now_ms: i64,
) -> Result<(i64, i64), ModelsError> {
    let number = importing.said.version;
    let model_id = models::take_version(tx, name, number).await?;
    let model_id = model_id.ok_or_else(|| ModelsError::model_not_found(name))?;
    if let Some(pointer) = &importing.pointer {
        if versions::freeze(tx, (model_id, pointer.version_id), new, now_ms).await? {
            return Ok((number, pointer.version_id));
        }
    } else if !versions::number_is_taken(tx, model_id, number).await? {
        return Ok((number, versions::insert(tx, model_id, number, new).await?));
    }
    Err(ModelsError::VersionTaken { name: name.to_owned(), version: number })
}

/// Gives a new version its stage and its time, and notes that it is here.
pub async fn settle(
    tx: &mut Conn,
    version_id: i64,
    uid: &str,
    importing: &Importing,
    cause: &Cause,
) -> Result<(), ModelsError> {
    versions::set_stage(tx, version_id, importing.stage, importing.updated_at_ms).await?;
    let (source_id, fingerprint) = importing.mark.clone();
    let mark = Mark { local_id: uid.to_owned(), fingerprint: Some(fingerprint) };
    let kind = ImportedKind::ModelVersion;
    Ok(account::mark(tx, importing.import_rid, kind, &source_id, &mark, cause.at_ms).await?)
}
