//! Artifacts at the source: listed, and read as streams. What a listing says is not trusted.

use super::{
    error::SourceError,
    mapping::plain,
    rest::{Rest, read},
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{ObjectStore, ObjectStoreExt, aws::AmazonS3, path::Path as ObjectPath};
use serde_json::Value;
use std::{path::PathBuf, sync::Arc, time::UNIX_EPOCH};

/// Files below one place; a listing that never ends is no listing.
const FILES_MAX: usize = 200_000;
const DEPTH_MAX: usize = 60;

/// A directory of artifacts at the source.
#[derive(Clone)]
pub enum Place {
    /// A path of the old server's artifact proxy.
    Proxy(Rest, String),
    /// Below a run's artifacts, which the old server reads for us.
    Run(Rest, String, String),
    LoggedModel(Rest, String),
    /// A folder inside the root, which it must not leave.
    Folder {
        root: PathBuf,
        folder: PathBuf,
    },
    Bucket(Arc<AmazonS3>, ObjectPath),
}

/// A file at the source.
#[derive(Debug, Clone)]
pub struct Remote {
    /// Relative to the place.
    pub path: String,
    pub size_bytes: Option<u64>,
    pub fingerprint: String,
}

/// A listing: the files, and what in it cannot be taken.
#[derive(Debug, Default)]
pub struct Listing {
    pub files: Vec<Remote>,
    pub refused: Vec<(String, String)>,
}

impl Listing {
    fn add(&mut self, path: String, size_bytes: Option<u64>, fingerprint: String) -> Result<(), SourceError> {
        if self.files.len() >= FILES_MAX {
            return Err(SourceError::Object(format!("there are more than {FILES_MAX} files in one place")));
        }
        if plain(&path).is_none() {
            self.refused.push((path, "its name is no plain path".to_owned()));
        } else if let Err(error) = waybill_proof::path::check(&path) {
            self.refused.push((path, error.to_string()));
        } else {
            self.files.push(Remote { path, size_bytes, fingerprint });
        }
        Ok(())
    }
}

impl Place {
    pub async fn list(&self) -> Result<Listing, SourceError> {
        match self {
            Self::Folder { root, folder } => {
                let (root, folder) = (root.clone(), folder.clone());
                let walked = tokio::task::spawn_blocking(move || walk(&root, &folder)).await;
                walked.map_err(SourceError::object)?
            }
            Self::Bucket(store, prefix) => list_bucket(store, prefix).await,
            Self::Proxy(..) | Self::Run(..) | Self::LoggedModel(..) => self.list_rest().await,
        }
    }

    /// Directory by directory, as MLflow lists them.
    async fn list_rest(&self) -> Result<Listing, SourceError> {
        let mut listing = Listing::default();
        let mut waiting = vec![(String::new(), 0)];
        while let Some((directory, depth)) = waiting.pop() {
            if depth > DEPTH_MAX || waiting.len() > FILES_MAX {
                return Err(SourceError::Object("its directories do not end".to_owned()));
            }
            for entry in self.entries(&directory).await? {
                let name = read::text(&entry, "path");
                let name = name.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
                let path = if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
                if entry.get("is_dir").and_then(Value::as_bool).unwrap_or_default() {
                    match plain(&path) {
                        Some(path) if !name.is_empty() => waiting.push((path, depth + 1)),
                        _ => listing.refused.push((path, "its name is no plain path".to_owned())),
                    }
                } else {
                    let size = read::some(&entry, "file_size").and_then(|text| text.parse().ok());
                    listing.add(
                        path,
                        size,
                        size.map_or("?".to_owned(), |size: u64| format!("size {size}")),
                    )?;
                }
            }
        }
        listing.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(listing)
    }

    /// What a directory holds; names are relative to whatever MLflow takes for the root.
    async fn entries(&self, directory: &str) -> Result<Vec<Value>, SourceError> {
        let (rest, below, query): (&Rest, Vec<&str>, Vec<(&str, String)>) = match self {
            Self::Proxy(rest, path) => {
                let path = if directory.is_empty() { path.clone() } else { format!("{path}/{directory}") };
                (rest, vec!["artifacts"], vec![("path", path)])
            }
            Self::Run(rest, run_id, root) => {
                let path = [root.as_str(), directory].join("/").trim_matches('/').to_owned();
                let mut query = vec![("run_id", run_id.clone())];
                if !path.is_empty() {
                    query.push(("path", path));
                }
                (rest, vec!["artifacts", "list"], query)
            }
            Self::LoggedModel(rest, id) => {
                let mut query = Vec::new();
                if !directory.is_empty() {
                    query.push(("artifact_directory_path", directory.to_owned()));
                }
                (rest, vec!["logged-models", id, "artifacts", "directories"], query)
            }
            Self::Folder { .. } | Self::Bucket(..) => return Ok(Vec::new()),
        };
        let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = match self {
            Self::Proxy(..) => rest.proxy(&below, &query).await?,
            _ => rest.get(&below, &query).await?,
        };
        Ok(read::list(&answer, "files").to_vec())
    }

    /// A file's bytes as they arrive; local files are read where they are.
    pub async fn open(
        &self,
        path: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, SourceError>>, SourceError> {
        let (size_bytes, chunks): (Option<u64>, BoxStream<'static, Result<Bytes, SourceError>>) = match self {
            Self::Proxy(rest, root) => {
                let mut segments = vec!["api", "2.0", "mlflow-artifacts", "artifacts"];
                segments.extend(root.split('/').chain(path.split('/')));
                let (size, chunks) = rest.http.download(&segments, &[]).await?;
                (size, chunks.boxed())
            }
            Self::Run(rest, run_id, root) => {
                let path = [root.as_str(), path].join("/").trim_matches('/').to_owned();
                let query = [("run_uuid", run_id.as_str()), ("path", path.as_str())];
                let (size, chunks) = rest.http.download(&["get-artifact"], &query).await?;
                (size, chunks.boxed())
            }
            Self::LoggedModel(rest, id) => {
                let segments = ["ajax-api", "2.0", "mlflow", "logged-models", id, "artifacts", "files"];
                let (size, chunks) = rest.http.download(&segments, &[("artifact_file_path", path)]).await?;
                (size, chunks.boxed())
            }
            Self::Bucket(store, prefix) => {
                let below = ObjectPath::from(path);
                let at: ObjectPath = prefix.parts().chain(below.parts()).collect();
                let found = store.get(&at).await.map_err(SourceError::object)?;
                (Some(found.meta.size), found.into_stream().map_err(SourceError::object).boxed())
            }
            Self::Folder { .. } => return Err(SourceError::Object("a local file is not fetched".to_owned())),
        };
        Ok(bounded(chunks, size_bytes))
    }

    /// Where a local file is.
    pub fn local(&self, path: &str) -> Option<PathBuf> {
        match self {
            Self::Folder { folder, .. } => Some(folder.join(path)),
            _ => None,
        }
    }
}

/// Fails when fewer or more bytes come than were announced.
fn bounded(
    chunks: BoxStream<'static, Result<Bytes, SourceError>>,
    announced: Option<u64>,
) -> BoxStream<'static, Result<Bytes, SourceError>> {
    let Some(announced) = announced else {
        return chunks;
    };
    let state = (chunks, 0_u64, false);
    futures::stream::unfold(state, move |(mut chunks, mut seen, ended)| async move {
        if ended {
            return None;
        }
        let next = match chunks.next().await {
            Some(Ok(chunk)) => {
                seen += chunk.len() as u64;
                if seen <= announced { Ok(chunk) } else { Err(seen) }
            }
            Some(Err(error)) => return Some((Err(error), (chunks, seen, true))),
            None if seen == announced => return None,
            None => Err(seen),
        };
        let failed = next.is_err();
        let next = next.map_err(|seen| {
            SourceError::Object(format!("{announced} bytes were announced, and {seen} came"))
        });
        Some((next, (chunks, seen, failed)))
    })
    .boxed()
}

/// Links are not followed: what they lead to is not the source's.
fn walk(root: &std::path::Path, folder: &std::path::Path) -> Result<Listing, SourceError> {
    let mut listing = Listing::default();
    if !folder.exists() {
        return Ok(listing);
    }
    let inside = folder.canonicalize().map_err(SourceError::object)?;
    if !inside.starts_with(root) {
        return Err(SourceError::Object(format!(
            "{} leads out of the artifacts folder {}",
            folder.display(),
            root.display()
        )));
    }
    for entry in walkdir::WalkDir::new(folder).min_depth(1).max_depth(DEPTH_MAX).sort_by_file_name() {
        let entry = entry.map_err(SourceError::object)?;
        if entry.file_type().is_dir() {
            continue;
        }
        let path = entry.path().strip_prefix(folder).unwrap_or(entry.path()).display().to_string();
        if entry.file_type().is_symlink() {
            listing.refused.push((path, "it is a symbolic link".to_owned()));
            continue;
        }
        let metadata = entry.metadata().map_err(SourceError::object)?;
        let changed = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let changed_ns = changed.map_or(0, |time| time.as_nanos());
        let size = metadata.len();
        listing.add(path, Some(size), format!("size {size}, changed {changed_ns}"))?;
    }
    Ok(listing)
}

async fn list_bucket(store: &AmazonS3, prefix: &ObjectPath) -> Result<Listing, SourceError> {
    let mut listing = Listing::default();
    let mut objects = store.list(Some(prefix));
    while let Some(object) = objects.next().await {
        let object = object.map_err(SourceError::object)?;
        let Some(rest) = object.location.prefix_match(prefix) else {
            continue;
        };
        let path = rest.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/");
        if path.is_empty() {
            continue;
        }
        let (size, tag) = (object.size, object.e_tag.unwrap_or_default());
        listing.add(path, Some(size), format!("size {size}, tag {tag}").chars().take(200).collect())?;
    }
    listing.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(listing)
}
