//! Database, content store and key belong together: each start checks that they still do.
//!
//! A database made anew beside a full store would look like an empty registry, and a deployer would
//! remove what runs; a store that is not mounted would answer every read with a fault; a key made
//! anew would sign what nobody who pinned the old one accepts. All three are refused here.

mod store;

use crate::{
    artifacts::{ArtifactError, ContentStore},
    db::{Db, DbError},
};
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error(
        "the artifacts in {store} belong to registry {found}, the database is of registry {registry_id}: a database that was lost and made anew, or --database-url or --artifacts-url that points elsewhere. Give the database that belongs to these artifacts, `waybill restore` a backup, or start with artifacts of their own (--artifacts-url)"
    )]
    OtherStore { store: String, found: String, registry_id: String },
    #[error(
        "{store} does not hold the artifacts of this database (registry {registry_id}): its file {marker} is missing. Is the volume mounted, and does --artifacts-url point at the right place? Artifacts that were moved need that file too: it holds the line {registry_id}"
    )]
    StoreMissing { store: String, marker: String, registry_id: String },
    #[error(
        "the registry's signing key {} is missing, and versions were signed with it. Put it back from a backup (keys/registry.pem); `waybill keys create` makes a new one where it is lost for good",
        path.display()
    )]
    KeyMissing { path: PathBuf },
    #[error("the file {marker} of the content store is damaged: expected one line with the registry's id")]
    Marker { marker: String },
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Content(#[from] ArtifactError),
}

/// The registry's id, once database and content store are known to belong together. A store that
/// no database has used yet is given the id.
pub async fn settle(db: &Db, content: &ContentStore) -> Result<String, IdentityError> {
    let identity = store::get(&mut db.read().await?).await?;
    let registry_id = identity.registry_id;
    match content.marker().await? {
        Some(found) if found == registry_id => {}
        Some(found) if is_id(&found) => {
            return Err(IdentityError::OtherStore { store: content.address(), found, registry_id });
        }
        Some(_) => return Err(IdentityError::Marker { marker: content.marker_place() }),
        None if identity.store_marked => {
            let marker = content.marker_place();
            return Err(IdentityError::StoreMissing { store: content.address(), marker, registry_id });
        }
        None => content.mark(&registry_id).await?,
    }
    if !identity.store_marked {
        db.write((), |tx, ()| Box::pin(store::set_marked(tx))).await?;
    }
    Ok(registry_id)
}

/// Gives the store the id that the restored database `db` has; refuses the store of another registry.
pub async fn mark_restored(registry_id: &str, content: &ContentStore) -> Result<(), IdentityError> {
    match content.marker().await? {
        Some(found) if found == registry_id => Ok(()),
        Some(found) => Err(IdentityError::OtherStore {
            store: content.address(),
            found,
            registry_id: registry_id.to_owned(),
        }),
        None => Ok(content.mark(registry_id).await?),
    }
}

/// Refuses to go on without the key that signed before.
pub async fn require_key(db: &Db, path: &Path) -> Result<(), IdentityError> {
    let missing = !path.try_exists().unwrap_or(true);
    if missing && store::knows_registry_key(&mut db.read().await?).await? {
        return Err(IdentityError::KeyMissing { path: path.to_owned() });
    }
    Ok(())
}

fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests;
