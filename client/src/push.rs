//! A local folder becomes the next version of a model.

use crate::{
    api::{CreateUpload, ModelVersion, RegisterVersion, Upload, UploadFile},
    client::Client,
    error::ClientError,
    files::{FilesError, HashedFile, hash_file, walk_model},
    progress::{Progress, Step},
    transport,
};
use futures::{StreamExt, TryStreamExt};
use http_body_util::StreamBody;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;
use waybill_proof::Digest;

/// Files on their way at once.
const PARALLEL: usize = 4;
/// Attempts for one file when connections break.
const ATTEMPTS: u32 = 3;
const CHUNK_BYTES: usize = 256 << 10;

/// What goes with the files.
#[derive(Debug, Clone, Default)]
pub struct PushOptions {
    pub description: Option<String>,
    /// How the model was made (schemas/experiment-config.json).
    pub experiment_config: Option<serde_json::Value>,
    /// A lockfile that was resolved already; taken as it is.
    pub lockfile: Option<String>,
}

/// What a push did.
#[derive(Debug)]
pub struct Pushed {
    pub version: ModelVersion,
    pub files: usize,
    pub size_bytes: u64,
    /// Bytes that the registry lacked.
    pub sent_bytes: u64,
}

/// Why nothing was registered. What was sent stays: a second push sends the rest.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Hashes the files of `dir`, sends those that the registry lacks, and registers them as the next
/// version of `name`. Memory stays flat for files of any size.
pub async fn push_directory(
    client: &Client,
    name: &str,
    dir: &Path,
    options: PushOptions,
    progress: Arc<dyn Progress>,
) -> Result<Pushed, PushError> {
    let files = hash_directory(dir, Arc::clone(&progress)).await?;
    let (upload, sent_bytes) = send_files(client, &files, &progress).await?;
    let registration = RegisterVersion {
        upload_id: upload.upload_id,
        description: options.description,
        experiment_config: options.experiment_config,
        lockfile: options.lockfile,
    };
    let version = client.register_version(name, &registration).await?;
    let size_bytes = files.iter().map(|file| file.size_bytes).sum();
    Ok(Pushed { version, files: files.len(), size_bytes, sent_bytes })
}

/// Opens an upload session for local files, which were hashed, and sends those that the registry
/// lacks: the session, and the bytes that were sent.
pub async fn send_files(
    client: &Client,
    files: &[HashedFile],
    progress: &Arc<dyn Progress>,
) -> Result<(Upload, u64), PushError> {
    let upload = client.create_upload(&CreateUpload { files: files.iter().map(wire).collect() }).await?;
    let mut by_digest: BTreeMap<Digest, &HashedFile> = BTreeMap::new();
    for file in files {
        by_digest.entry(file.digest).or_insert(file);
    }
    let missing: Vec<&HashedFile> =
        upload.missing.iter().filter_map(|digest| by_digest.get(digest).copied()).collect();
    let sent_bytes = missing.iter().map(|file| file.size_bytes).sum();
    if !missing.is_empty() {
        progress.begin(Step::Send, missing.len(), sent_bytes);
        let sends = missing.into_iter().map(|file| send(client, &upload.upload_id, file, progress));
        futures::stream::iter(sends).buffer_unordered(PARALLEL).try_collect::<()>().await?;
        progress.end(Step::Send);
    }
    Ok((upload, sent_bytes))
}

fn wire(file: &HashedFile) -> UploadFile {
    UploadFile { path: file.path.clone(), digest: file.digest, size_bytes: file.size_bytes }
}

/// Walks and hashes on a thread of its own: both block.
async fn hash_directory(dir: &Path, progress: Arc<dyn Progress>) -> Result<Vec<HashedFile>, FilesError> {
    let dir = dir.to_owned();
    let work = move || {
        let files = walk_model(&dir)?;
        progress.begin(Step::Hash, files.len(), files.iter().map(|file| file.size_bytes).sum());
        let mut hashed = Vec::with_capacity(files.len());
        for file in files {
            let (digest, size_bytes) = hash_file(&file.location, progress.as_ref())?;
            if size_bytes != file.size_bytes {
                return Err(FilesError::Changed(file.location));
            }
            let (path, location) = (file.path, file.location);
            hashed.push(HashedFile { path, location, digest, size_bytes });
        }
        progress.end(Step::Hash);
        Ok(hashed)
    };
    tokio::task::spawn_blocking(work).await.expect("hashing does not panic")
}

async fn send(
    client: &Client,
    upload_id: &str,
    file: &HashedFile,
    progress: &Arc<dyn Progress>,
) -> Result<(), PushError> {
    for attempt in 1.. {
        let sent = Arc::new(AtomicU64::new(0));
        let content = open(file, Arc::clone(progress), Arc::clone(&sent)).await?;
        let Err(error) = client.put_blob(upload_id, &file.digest, content, file.size_bytes).await else {
            return Ok(());
        };
        progress.retreat(sent.load(Ordering::Relaxed));
        if attempt >= ATTEMPTS || !error.is_passing() {
            return Err(changed(file).await.map_or_else(|| error.into(), PushError::from));
        }
        tracing::debug!(path = file.path, attempt, %error, "sending again");
    }
    unreachable!("the loop ends by returning")
}

/// A refused or broken upload is most often a file that somebody wrote to meanwhile.
async fn changed(file: &HashedFile) -> Option<FilesError> {
    let metadata = tokio::fs::metadata(&file.location).await.ok()?;
    (metadata.len() != file.size_bytes).then(|| FilesError::Changed(file.location.clone()))
}

async fn open(
    file: &HashedFile,
    progress: Arc<dyn Progress>,
    sent: Arc<AtomicU64>,
) -> Result<transport::Body, FilesError> {
    let source =
        tokio::fs::File::open(&file.location).await.map_err(FilesError::io("read", &file.location))?;
    // A file that grew must not send more than was announced.
    let chunks =
        ReaderStream::with_capacity(source.take(file.size_bytes), CHUNK_BYTES).map_ok(move |chunk| {
            progress.advance(chunk.len() as u64);
            sent.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            http_body::Frame::data(chunk)
        });
    Ok(transport::body(StreamBody::new(chunks)))
}
