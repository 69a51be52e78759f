//! A local folder becomes the next version of a model.

use crate::{
    api::{CreateUpload, ModelVersion, RegisterVersion, UploadFile},
    client::Client,
    error::ClientError,
    files::{FilesError, FoundFile, hash_file, walk_model},
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
    let upload = CreateUpload { files: files.iter().map(|(file, digest)| wire(file, *digest)).collect() };
    let upload = client.create_upload(&upload).await?;
    let mut by_digest: BTreeMap<Digest, &FoundFile> = BTreeMap::new();
    for (file, digest) in &files {
        by_digest.entry(*digest).or_insert(file);
    }
    let missing: Vec<(Digest, &FoundFile)> =
        upload.missing.iter().filter_map(|digest| Some((*digest, *by_digest.get(digest)?))).collect();
    let sent_bytes = missing.iter().map(|(_, file)| file.size_bytes).sum();
    if !missing.is_empty() {
        progress.begin(Step::Send, missing.len(), sent_bytes);
        let sends = missing
            .into_iter()
            .map(|(digest, file)| send(client, &upload.upload_id, digest, file.clone(), &progress));
        futures::stream::iter(sends).buffer_unordered(PARALLEL).try_collect::<()>().await?;
        progress.end(Step::Send);
    }
    let registration = RegisterVersion {
        upload_id: upload.upload_id,
        description: options.description,
        experiment_config: options.experiment_config,
        lockfile: options.lockfile,
    };
    let version = client.register_version(name, &registration).await?;
    let size_bytes = files.iter().map(|(file, _)| file.size_bytes).sum();
    Ok(Pushed { version, files: files.len(), size_bytes, sent_bytes })
}

fn wire(file: &FoundFile, digest: Digest) -> UploadFile {
    UploadFile { path: file.path.clone(), digest, size_bytes: file.size_bytes }
}

/// Walks and hashes on a thread of its own: both block.
async fn hash_directory(
    dir: &Path,
    progress: Arc<dyn Progress>,
) -> Result<Vec<(FoundFile, Digest)>, FilesError> {
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
            hashed.push((file, digest));
        }
        progress.end(Step::Hash);
        Ok(hashed)
    };
    tokio::task::spawn_blocking(work).await.expect("hashing does not panic")
}

async fn send(
    client: &Client,
    upload_id: &str,
    digest: Digest,
    file: FoundFile,
    progress: &Arc<dyn Progress>,
) -> Result<(), PushError> {
    for attempt in 1.. {
        let sent = Arc::new(AtomicU64::new(0));
        let content = open(&file, Arc::clone(progress), Arc::clone(&sent)).await?;
        let Err(error) = client.put_blob(upload_id, &digest, content, file.size_bytes).await else {
            return Ok(());
        };
        progress.retreat(sent.load(Ordering::Relaxed));
        if attempt >= ATTEMPTS || !error.is_passing() {
            return Err(changed(&file).await.map_or_else(|| error.into(), PushError::from));
        }
        tracing::debug!(path = file.path, attempt, %error, "sending again");
    }
    unreachable!("the loop ends by returning")
}

/// A refused or broken upload is most often a file that somebody wrote to meanwhile.
async fn changed(file: &FoundFile) -> Option<FilesError> {
    let metadata = tokio::fs::metadata(&file.location).await.ok()?;
    (metadata.len() != file.size_bytes).then(|| FilesError::Changed(file.location.clone()))
}

async fn open(
    file: &FoundFile,
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
