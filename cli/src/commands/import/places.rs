//! Artifacts at the source: listed, and read as streams. What a listing says is not trusted.

use super::{
    error::SourceError,
    mapping::plain_file,
    rest::{Rest, read},
    trace,
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{ObjectStore, ObjectStoreExt, path::Path as ObjectPath};
use serde_json::Value;
use std::{collections::HashSet, path::PathBuf, sync::Arc, time::UNIX_EPOCH};

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
    /// Files of a trace, by their names.
    Trace {
        rest: Rest,
        id: String,
        names: Vec<String>,
    },
    /// A folder inside the root, which it must not leave.
    Folder {
        root: PathBuf,
        folder: PathBuf,
    },
    Bucket(Arc<dyn ObjectStore>, ObjectPath),
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
        if plain_file(&path).is_none() {
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
            Self::Bucket(store, prefix) => list_bucket(store.as_ref(), prefix).await,
            Self::Trace { names, .. } => {
                let mut listing = Listing::default();
                for name in names {
                    listing.add(name.clone(), None, "?".to_owned())?;
                }
                Ok(listing)
            }
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
                    match plain_file(&path) {
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
            Self::Trace { .. } | Self::Folder { .. } | Self::Bucket(..) => return Ok(Vec::new()),
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
            Self::Trace { rest, id, .. } => {
                let mut query = vec![("request_id", id.as_str())];
                // The spans are what comes when nothing is named.
                if let Some(name) = path.strip_prefix(trace::ATTACHMENTS) {
                    query.push(("path", name));
                }
                let (size, chunks) = rest.http.download(&trace::ARTIFACT, &query).await?;
                (size, chunks.boxed())
            }
            Self::Bucket(store, prefix) => {
                // As it was listed: `ObjectPath::from` would encode what stands in the key.
                let at = ObjectPath::parse(format!("{prefix}/{path}")).map_err(SourceError::object)?;
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
        let below = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        let path = below.display().to_string();
        if below.to_str().is_none() {
            listing.refused.push((path, "its name is not UTF-8".to_owned()));
            continue;
        }
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

async fn list_bucket(store: &dyn ObjectStore, prefix: &ObjectPath) -> Result<Listing, SourceError> {
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
    // What some tools put down for a folder, under the folder's own name.
    let folders: HashSet<String> = listing
        .files
        .iter()
        .flat_map(|file| file.path.match_indices('/').map(|(at, _)| file.path[..at].to_owned()))
        .collect();
    listing.files.retain(|file| file.size_bytes != Some(0) || !folders.contains(&file.path));
    listing.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(listing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;

    /// Names that an encoding changes, and a folder of such a name.
    const NAMES: [&str; 6] = ["a b.txt", "a%b.txt", "a~[b]{c}.txt", "plain.txt", "é/ü.txt", "日本.txt"];
    /// Those that mean another name here.
    const REFUSED: [&str; 2] = ["a#b.txt", "a%20b.txt"];

    async fn read(place: &Place, path: &str) -> Vec<u8> {
        match place.local(path) {
            Some(file) => std::fs::read(file).unwrap(),
            None => place.open(path).await.unwrap().try_collect::<Vec<_>>().await.unwrap().concat(),
        }
    }

    async fn expect(place: &Place) {
        let listing = place.list().await.unwrap();
        let names: Vec<&str> = listing.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(names, NAMES);
        for file in &listing.files {
            assert_eq!(read(place, &file.path).await, file.path.as_bytes(), "{}", file.path);
            assert_eq!(file.size_bytes, Some(file.path.len() as u64));
        }
        let mut refused: Vec<&str> = listing.refused.iter().map(|(path, _)| path.as_str()).collect();
        refused.sort_unstable();
        assert_eq!(refused, REFUSED);
    }

    #[tokio::test]
    async fn names_in_a_bucket_are_those_of_the_keys() {
        let store = InMemory::new();
        let put = async |key: &str, content: &str| {
            store.put(&ObjectPath::parse(key).unwrap(), content.to_owned().into()).await.unwrap();
        };
        for name in NAMES.into_iter().chain(REFUSED) {
            put(&format!("pre fix/é%/1/{name}"), name).await;
        }
        put("pre fix/é%/1/é", "").await;
        put("pre fix/é%/12/other.txt", "of another directory").await;
        let store: Arc<dyn ObjectStore> = Arc::new(store);
        expect(&Place::Bucket(store, ObjectPath::parse("pre fix/é%/1").unwrap())).await;
    }

    #[tokio::test]
    async fn names_in_a_folder_are_those_of_the_files() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let folder = root.join("1");
        for name in NAMES.into_iter().chain(REFUSED) {
            let file = folder.join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, name).unwrap();
        }
        let place = Place::Folder { root: root.clone(), folder: folder.clone() };
        expect(&place).await;
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt;
            std::fs::write(folder.join(std::ffi::OsStr::from_bytes(b"\xff.txt")), "x").unwrap();
            let refused = place.list().await.unwrap().refused;
            assert!(refused.iter().any(|(_, why)| why.contains("UTF-8")), "{refused:?}");
        }
        let outside = Place::Folder { root: folder, folder: root };
        assert!(outside.list().await.unwrap_err().to_string().contains("leads out"));
    }
}
