use crate::{
    artifacts::ArtifactError,
    db::{self, DbError, dump::ImportError},
};
use std::path::{Path, PathBuf};

/// A backup that could not be made or restored. Nothing of the target was replaced.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{} is not empty; name a folder that does not exist yet", .0.display())]
    TargetNotEmpty(PathBuf),
    #[error("{} is no backup: {detail}", path.display())]
    NotABackup { path: PathBuf, detail: String },
    #[error(
        "the backup was written with schema {found}, this Waybill has {expected}; restore it with the version that wrote it ({written_by}) and let `waybill migrate` bring it up to date"
    )]
    Schema { found: i64, expected: i64, written_by: String },
    #[error("{} is damaged: its digest is {found}, the manifest says {expected}", path.display())]
    Damaged { path: PathBuf, expected: String, found: String },
    #[error(
        "the registry to restore into holds data already ({0}); restore into an empty data directory and database"
    )]
    RegistryNotEmpty(String),
    #[error("the key {} exists and is another one; move it away, or restore into another data directory", .0.display())]
    OtherKey(PathBuf),
    #[error(
        "{count} blobs are damaged in the store and are not in this backup, the first is {first}; everything else is"
    )]
    DamagedBlobs { count: usize, first: String },
    #[error(transparent)]
    Open(#[from] db::OpenError),
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error(transparent)]
    Artifacts(#[from] ArtifactError),
    #[error(transparent)]
    Store(#[from] crate::artifacts::OpenError),
    #[error(transparent)]
    Identity(#[from] crate::identity::IdentityError),
}

impl BackupError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
