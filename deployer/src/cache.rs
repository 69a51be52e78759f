//! The model cache: each version's files on this host, in a folder named by the manifest's
//! digest, mounted read-only into containers. Nothing is mounted that was not hashed just before.

use crate::patience;
use futures::{TryStreamExt, future::BoxFuture, stream::BoxStream};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    time::Instant,
};
use tokio::io::AsyncWriteExt;
use waybill_client::{Client, ClientError};
use waybill_proof::{
    Digest,
    manifest::{Manifest, ModelFile},
};

/// Where a model's bytes come from.
pub trait Source: Send + Sync {
    fn open<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Chunks, ClientError>>;
}

pub type Chunks = BoxStream<'static, Result<bytes::Bytes, ClientError>>;

/// The registry's frozen files of one version.
pub struct FromRegistry<'a> {
    pub client: &'a Client,
    pub version_uid: &'a str,
}

impl Source for FromRegistry<'_> {
    fn open<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Chunks, ClientError>> {
        Box::pin(async move {
            let download = self.client.file_stream(self.version_uid, path, None).await?;
            Ok(download.chunks)
        })
    }
}

#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("the registry does not hand out the model's file {path:?}: {source}")]
    Fetch { path: String, source: ClientError },
    #[error("the model's file {path:?} has more than the {expected_bytes} bytes of the signed manifest")]
    TooLong { path: String, expected_bytes: u64 },
    /// The registry's bytes are not those that were signed.
    #[error("the model's file {path:?} has digest {found}, the signed manifest says {expected}")]
    Mismatch { path: String, expected: Digest, found: Digest },
}

impl CacheError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}

/// A model that may be mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedModel {
    pub folder: PathBuf,
    /// It was there already.
    pub reused: bool,
    /// What hashing it again cost.
    pub verified_ms: u128,
}

#[derive(Debug, Clone)]
pub struct ModelCache {
    root: PathBuf,
}

impl ModelCache {
    /// Makes the folder, and removes downloads that a crash cut off.
    pub fn open(root: &Path) -> Result<Self, CacheError> {
        fs::create_dir_all(root).map_err(|e| CacheError::io(root, e))?;
        // The engine resolves the mount's source itself, from its own working directory.
        let root = root.canonicalize().map_err(|e| CacheError::io(root, e))?;
        for entry in fs::read_dir(&root).map_err(|e| CacheError::io(&root, e))? {
            let path = entry.map_err(|e| CacheError::io(&root, e))?.path();
            if is_temporary(&path) && path.is_dir() {
                remove(&path)?;
            } else if is_temporary(&path) {
                fs::remove_file(&path).map_err(|e| CacheError::io(&path, e))?;
            }
        }
        Ok(Self { root })
    }

    /// The folder with exactly the manifest's files, each hashed by this call: taken from the
    /// cache when every byte is as signed, fetched anew otherwise.
    pub async fn ensure(&self, manifest: &Manifest, source: &dyn Source) -> Result<CachedModel, CacheError> {
        let folder = self.root.join(manifest.digest().hex());
        let started = Instant::now();
        let (checked, files) = (folder.clone(), manifest.files().to_vec());
        let intact = blocking(move || verify(&checked, &files)).await?;
        if intact {
            self.keep(manifest).await?;
            return Ok(CachedModel { folder, reused: true, verified_ms: started.elapsed().as_millis() });
        }
        self.fetch(manifest, source, &folder).await?;
        self.keep(manifest).await?;
        Ok(CachedModel { folder, reused: false, verified_ms: 0 })
    }

    /// Whether the files of a manifest that was fetched before are still as signed; `false` for one
    /// that was not. Asks nobody: the digest names the manifest that is kept beside the files.
    pub async fn intact(&self, digest: Digest) -> Result<bool, CacheError> {
        let (folder, kept) = (self.root.join(digest.hex()), self.kept(digest));
        blocking(move || {
            let bytes = match fs::read(&kept) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(CacheError::io(&kept, error)),
            };
            match Manifest::parse(&bytes) {
                Ok(manifest) if manifest.digest() == digest => verify(&folder, manifest.files()),
                _ => Ok(false),
            }
        })
        .await
    }

    fn kept(&self, digest: Digest) -> PathBuf {
        self.root.join(format!("{}.json", digest.hex()))
    }

    async fn keep(&self, manifest: &Manifest) -> Result<(), CacheError> {
        let (path, root, bytes) = (self.kept(manifest.digest()), self.root.clone(), manifest.to_bytes());
        blocking(move || {
            if fs::read(&path).is_ok_and(|present| present == bytes) {
                return Ok(());
            }
            let at = |e| CacheError::io(&path, e);
            let mut file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(&root).map_err(at)?;
            file.write_all(&bytes).and_then(|()| file.as_file().sync_all()).map_err(at)?;
            file.persist(&path).map_err(|e| at(e.error))?;
            sync(&root)
        })
        .await
    }

    async fn fetch(&self, manifest: &Manifest, source: &dyn Source, folder: &Path) -> Result<(), CacheError> {
        let work = tempfile::Builder::new()
            .prefix(TEMPORARY)
            .tempdir_in(&self.root)
            .map_err(|e| CacheError::io(&self.root, e))?;
        for file in manifest.files() {
            patience::ask(
                || fetch_file(work.path(), file, source),
                |error| match error {
                    CacheError::Fetch { source, .. } => {
                        patience::may_pass(source) && !source.is_unreachable()
                    }
                    _ => false,
                },
            )
            .await?;
        }
        // Kept from here on: it becomes the model's folder.
        let (work, folder, root) = (work.keep(), folder.to_owned(), self.root.clone());
        blocking(move || {
            seal(&work)?;
            if folder.exists() {
                remove(&folder)?;
            }
            fs::rename(&work, &folder).map_err(|e| CacheError::io(&folder, e))?;
            sync(&root)
        })
        .await
    }
}

const TEMPORARY: &str = ".fetching-";

fn is_temporary(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(TEMPORARY))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CacheError> + Send + 'static,
) -> Result<T, CacheError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

async fn fetch_file(folder: &Path, file: &ModelFile, source: &dyn Source) -> Result<(), CacheError> {
    let fetch = |source| CacheError::Fetch { path: file.path.clone(), source };
    let target = folder.join(&file.path);
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).map_err(|e| CacheError::io(parent, e))?;
    }
    let at = |e| CacheError::io(&target, e);
    // An attempt before may have left its beginning.
    let mut writer = tokio::fs::File::create(&target).await.map_err(at)?;
    let mut chunks = source.open(&file.path).await.map_err(fetch)?;
    let mut hasher = Sha256::new();
    let mut left = file.size_bytes;
    while let Some(chunk) = chunks.try_next().await.map_err(fetch)? {
        left = left.checked_sub(chunk.len() as u64).ok_or_else(|| CacheError::TooLong {
            path: file.path.clone(),
            expected_bytes: file.size_bytes,
        })?;
        hasher.update(&chunk);
        writer.write_all(&chunk).await.map_err(at)?;
    }
    writer.flush().await.map_err(at)?;
    writer.sync_all().await.map_err(at)?;
    let found = Digest::from_bytes(hasher.finalize().into());
    if found != file.digest {
        return Err(CacheError::Mismatch { path: file.path.clone(), expected: file.digest, found });
    }
    Ok(())
}

/// Whether the folder holds exactly these files with these bytes.
fn verify(folder: &Path, files: &[ModelFile]) -> Result<bool, CacheError> {
    if !folder.is_dir() {
        return Ok(false);
    }
    let mut present = BTreeSet::new();
    list(folder, folder, &mut present)?;
    let expected: BTreeSet<_> = files.iter().map(|f| f.path.clone()).collect();
    if present != expected {
        return Ok(false);
    }
    for file in files {
        let path = folder.join(&file.path);
        let at = |e| CacheError::io(&path, e);
        if hash(&path).map_err(at)? != file.digest {
            tracing::warn!(path = %path.display(), "a cached model file was changed: fetching it anew");
            return Ok(false);
        }
    }
    Ok(true)
}

fn hash(path: &Path) -> io::Result<Digest> {
    let mut reader = fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(Digest::from_bytes(hasher.finalize().into())),
            count => hasher.update(&buffer[..count]),
        }
    }
}

fn list(root: &Path, folder: &Path, files: &mut BTreeSet<String>) -> Result<(), CacheError> {
    for entry in fs::read_dir(folder).map_err(|e| CacheError::io(folder, e))? {
        let entry = entry.map_err(|e| CacheError::io(folder, e))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(|e| CacheError::io(&path, e))?;
        if kind.is_dir() {
            list(root, &path, files)?;
        } else {
            // A link counts as a file that no manifest names.
            let relative = path.strip_prefix(root).unwrap_or(&path);
            let mut name = relative.to_string_lossy().into_owned();
            if !kind.is_file() {
                name.push('\0');
            }
            files.insert(name);
        }
    }
    Ok(())
}

/// Read-only for everyone, readable by the container's user, durable.
fn seal(folder: &Path) -> Result<(), CacheError> {
    for entry in fs::read_dir(folder).map_err(|e| CacheError::io(folder, e))? {
        let path = entry.map_err(|e| CacheError::io(folder, e))?.path();
        if path.is_dir() {
            seal(&path)?;
        } else {
            set_mode(&path, 0o444)?;
        }
    }
    sync(folder)?;
    set_mode(folder, 0o555)
}

fn remove(folder: &Path) -> Result<(), CacheError> {
    make_writable(folder)?;
    fs::remove_dir_all(folder).map_err(|e| CacheError::io(folder, e))
}

/// Without write permission on a folder only root can empty it.
fn make_writable(folder: &Path) -> Result<(), CacheError> {
    set_mode(folder, 0o755)?;
    for entry in fs::read_dir(folder).map_err(|e| CacheError::io(folder, e))? {
        let entry = entry.map_err(|e| CacheError::io(folder, e))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_writable(&entry.path())?;
        }
    }
    Ok(())
}

fn sync(folder: &Path) -> Result<(), CacheError> {
    fs::File::open(folder).and_then(|handle| handle.sync_all()).map_err(|e| CacheError::io(folder, e))
}

fn set_mode(path: &Path, mode: u32) -> Result<(), CacheError> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(|e| CacheError::io(path, e))
}

#[cfg(test)]
mod tests;
