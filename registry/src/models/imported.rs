//! What is different about a version that had a number before: it keeps it, with its stage's label
//! and its times.

use super::{
    ModelsError,
    store::{models, versions},
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
}

/// The model's id and the number that the version had. Holds the model until the transaction ends.
pub async fn take_number(
    tx: &mut Conn,
    name: &str,
    importing: &Importing,
) -> Result<(i64, i64), ModelsError> {
    let number = importing.said.version;
    let model_id = models::take_version(tx, name, number).await?;
    let model_id = model_id.ok_or_else(|| ModelsError::model_not_found(name))?;
    if versions::number_is_taken(tx, model_id, number).await? {
        return Err(ModelsError::VersionTaken { name: name.to_owned(), version: number });
    }
    Ok((model_id, number))
}

/// Gives the new version its stage and its time, and notes that it is here.
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
