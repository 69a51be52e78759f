//! `--artifacts`: the folder or bucket in which the old server kept artifacts.

use super::{error::SourceError, mapping, places::Place};
use crate::failure::Failure;
use object_store::{ClientOptions, ObjectStore, RetryConfig, aws::AmazonS3Builder, path::Path as ObjectPath};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// A connection on which nothing moves for so long is given up.
const STALLED: Duration = Duration::from_mins(2);

#[derive(Clone)]
pub enum ArtifactStore {
    Folder(PathBuf),
    Bucket { store: Arc<dyn ObjectStore>, url: String, prefix: String },
}

impl ArtifactStore {
    pub fn open(text: &str) -> Result<Self, Failure> {
        if let Some(rest) = text.strip_prefix("s3://") {
            return open_bucket(text, rest);
        }
        let path = Path::new(text.strip_prefix("file://").unwrap_or(text));
        let folder = path.canonicalize().map_err(|error| Failure::file("read", path, &error))?;
        if folder.is_dir() {
            Ok(Self::Folder(folder))
        } else {
            Err(Failure::Failed(format!("--artifacts {}: it is no folder", path.display())))
        }
    }

    /// The place of an artifact URI, when it lies in this store.
    pub fn place(&self, uri: &str) -> Option<Place> {
        let path = match mapping::proxied(uri) {
            Some(path) => path,
            None => self.inside(uri)?,
        };
        Some(match self {
            Self::Folder(root) => Place::Folder { root: root.clone(), folder: root.join(path) },
            Self::Bucket { store, prefix, .. } => {
                let whole = format!("{prefix}/{path}");
                Place::Bucket(Arc::clone(store), ObjectPath::parse(whole.trim_matches('/')).ok()?)
            }
        })
    }

    /// The path below the store of a URI that names the store itself.
    fn inside(&self, uri: &str) -> Option<String> {
        let rest = match self {
            Self::Bucket { url, .. } => mapping::below(uri, url)?,
            Self::Folder(root) => {
                let path = uri.strip_prefix("file://").or_else(|| uri.strip_prefix("file:")).unwrap_or(uri);
                match path.strip_prefix("./") {
                    // Relative to where the old server ran, which was the folder's parent.
                    Some(relative) => mapping::below(relative, root.file_name()?.to_str()?)?,
                    None => mapping::below(path, root.to_str()?)?,
                }
            }
        };
        mapping::plain(rest)
    }
}

fn open_bucket(url: &str, rest: &str) -> Result<ArtifactStore, Failure> {
    waybill_client::tls::use_ring();
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    // The default gives a whole request 30 s, its body included.
    let client = ClientOptions::new().with_timeout_disabled().with_read_timeout(STALLED);
    let plain = std::env::var("AWS_ENDPOINT_URL").is_ok_and(|url| url.starts_with("http://"));
    let store = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_client_options(client.with_allow_http(plain))
        .with_retry(RetryConfig { max_retries: 5, retry_timeout: 2 * STALLED, ..RetryConfig::default() })
        .build()
        .map_err(|error| Failure::Failed(format!("--artifacts {url}: {error}")))?;
    Ok(ArtifactStore::Bucket {
        store: Arc::new(store),
        url: url.trim_end_matches('/').to_owned(),
        prefix: prefix.trim_matches('/').to_owned(),
    })
}

/// Whether the store can be read at all, before anything is brought over.
pub async fn probe(store: &ArtifactStore) -> Result<(), SourceError> {
    use futures::StreamExt;
    if let ArtifactStore::Bucket { store, url, prefix } = store {
        let at = ObjectPath::parse(prefix).map_err(SourceError::object)?;
        if let Some(Err(error)) = store.list(Some(&at)).next().await {
            return Err(SourceError::NotMlflow(format!("--artifacts {url} cannot be listed: {error}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_of_the_folder_are_found_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("mlruns");
        std::fs::create_dir(&root).unwrap();
        let store = ArtifactStore::open(root.to_str().unwrap()).unwrap();
        let root = root.canonicalize().unwrap();
        let found = |uri: &str| match store.place(uri) {
            Some(Place::Folder { folder, .. }) => Some(folder),
            _ => None,
        };
        let inside = Some(root.join("1/r/artifacts"));
        assert_eq!(found("mlflow-artifacts:/1/r/artifacts"), inside);
        assert_eq!(found(&format!("{}/1/r/artifacts", root.display())), inside);
        assert_eq!(found(&format!("file://{}/1/r/artifacts", root.display())), inside);
        assert_eq!(found("./mlruns/1/r/artifacts"), inside);
        assert_eq!(found("mlflow-artifacts:/1/../../etc"), None);
        assert_eq!(found(&format!("{}/../etc", root.display())), None);
        assert_eq!(found("s3://b/1/r/artifacts"), None);
        assert_eq!(found("/etc/passwd"), None);
    }
}
