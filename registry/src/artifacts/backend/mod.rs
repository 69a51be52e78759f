//! Where bytes lie: a local folder or an S3 bucket. Keys in, bytes out; what exists is the
//! database's business.

mod bucket;
mod folder;

pub use bucket::{Bucket, IncomingParts};
pub use folder::{Folder, IncomingFile};

use super::{ArtifactError, keys::Key};
use bytes::Bytes;
use std::{io, sync::Arc};

#[derive(Clone)]
pub enum Backend {
    Folder(Arc<Folder>),
    Bucket(Arc<Bucket>),
}

impl Backend {
    /// Bodies up to this size are held in memory, so that their digest is known before anything
    /// is written.
    pub fn small_max_bytes(&self) -> usize {
        match self {
            Self::Folder(_) => 1 << 20,
            // One request instead of a multipart upload's three.
            Self::Bucket(_) => 8 << 20,
        }
    }

    /// Writes a small body durably under `key`.
    pub async fn put(&self, key: &Key, generation: &str, batch: Vec<Bytes>) -> Result<(), ArtifactError> {
        match self {
            Self::Bucket(bucket) => {
                bucket.put(key, batch).await.map_err(|e| ArtifactError::object(key.to_string(), e))
            }
            Self::Folder(folder) => {
                let (folder, own_key, generation) = (folder.clone(), key.clone(), generation.to_owned());
                let written = blocking(move || {
                    let mut file = folder.begin(&generation, None)?;
                    file.write(&batch)?;
                    folder.place(file, &own_key)
                });
                written.await.map_err(|e| ArtifactError::io(key.to_string(), e))
            }
        }
    }

    pub async fn remove(&self, key: &Key) -> Result<(), ArtifactError> {
        match self {
            Self::Bucket(bucket) => {
                bucket.remove(key).await.map_err(|e| ArtifactError::object(key.to_string(), e))
            }
            Self::Folder(folder) => {
                let (folder, own_key) = (folder.clone(), key.clone());
                blocking(move || folder.remove(&own_key))
                    .await
                    .map_err(|e| ArtifactError::io(key.to_string(), e))
            }
        }
    }

    /// The bytes under `key`, at most `max_bytes` of them; `None` when nothing is there.
    pub async fn read_small(&self, key: &Key, max_bytes: u64) -> Result<Option<Bytes>, ArtifactError> {
        match self {
            Self::Bucket(bucket) => {
                bucket.read_small(key, max_bytes).await.map_err(|e| ArtifactError::object(key.to_string(), e))
            }
            Self::Folder(folder) => {
                let (folder, own_key) = (folder.clone(), key.clone());
                blocking(move || folder.read_small(&own_key, max_bytes))
                    .await
                    .map_err(|e| ArtifactError::io(key.to_string(), e))
            }
        }
    }

    /// The whole store as an operator finds it.
    pub fn address(&self) -> String {
        match self {
            Self::Folder(folder) => folder.root().display().to_string(),
            Self::Bucket(bucket) => bucket.url().to_owned(),
        }
    }

    /// The object's place as an operator finds it.
    pub fn place_of(&self, key: &Key) -> String {
        match self {
            Self::Folder(folder) => folder.path_of(key).display().to_string(),
            Self::Bucket(bucket) => bucket.url_of(key),
        }
    }
}

/// Runs `work` on a thread that may block; a panic in it is an I/O error here.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
}
