//! Where an artifact URI leads, of those that this server serves.

use super::{
    ArtifactError, ArtifactPath, Body, ContentStore, Expected, StoredBlob, local::LocalPath, tree::Entry,
};
use bytes::Bytes;
use std::fs::File;

/// A place of artifacts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the content store.
    Store(ArtifactPath),
    /// In the operator's local folder.
    Local(LocalPath),
}

/// A file that was found at a place.
pub enum Found {
    Blob(StoredBlob),
    Local { file: File, size_bytes: u64 },
}

impl Place {
    /// Where `below` lies in the directory `uri`. `default_root` is the operator's default artifact
    /// root. Fails with [`ArtifactError::Elsewhere`] for what only clients reach.
    pub fn of(default_root: Option<&str>, uri: &str, below: &ArtifactPath) -> Result<Self, ArtifactError> {
        let local = default_root.map(|root| LocalPath::of(root, uri)).transpose()?.flatten();
        match local {
            Some(directory) => Ok(Self::Local(directory.join(below)?)),
            None => Ok(Self::Store(ArtifactPath::of_uri(uri)?.join(below)?)),
        }
    }

    /// The last name of the path.
    pub fn name(&self) -> &str {
        match self {
            Self::Store(path) => path.name(),
            Self::Local(path) => path.name(),
        }
    }

    /// The entries of the directory, by name; none when it is a file or missing.
    pub async fn list(&self, content: &ContentStore) -> Result<Vec<Entry>, ArtifactError> {
        match self {
            Self::Store(path) => content.list(path).await,
            Self::Local(path) => path.list().await,
        }
    }

    pub async fn find(&self, content: &ContentStore) -> Result<Found, ArtifactError> {
        match self {
            Self::Store(path) => Ok(Found::Blob(content.find_file(path).await?)),
            Self::Local(path) => {
                let (file, size_bytes) = path.open().await?;
                Ok(Found::Local { file, size_bytes })
            }
        }
    }

    /// Writes a small file.
    pub async fn write(&self, content: &ContentStore, bytes: Bytes) -> Result<(), ArtifactError> {
        match self {
            Self::Store(path) => {
                let size_bytes = Some(bytes.len() as u64);
                let mut body = Body::new(futures::stream::iter([Ok::<_, std::io::Error>(bytes)]));
                content.put_file(path, &mut body, Expected { digest: None, size_bytes }).await.map(drop)
            }
            Self::Local(path) => path.write(bytes, content.ids().random().simple().to_string()).await,
        }
    }
}
