//! Bytes on their way in: one pass, hashed on one thread while another writes, memory bounded.

use super::{
    ArtifactError,
    backend::{Backend, IncomingFile, IncomingParts, blocking},
    hash::{BlobHasher, Hashed},
    keys::Key,
};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _, stream::BoxStream};
use std::{fs::File, io};
use tokio::task::JoinHandle;
use waybill_proof::Digest;

/// Bytes that one step hashes and writes. While they are, the next are received: a body holds
/// about three times this in memory.
const BATCH_BYTES: usize = 1 << 20;
/// Chunks below this are copied together: many tiny ones would cost more than their bytes.
const CHUNK_MIN_BYTES: usize = 16 << 10;
/// Distance between starts of writing back to disk: the flush at the end finds little left.
const FLUSH_EVERY_BYTES: u64 = 32 << 20;
/// Bodies up to this size are hashed where they arrive; a thread costs more.
const HASH_INLINE_BYTES: u64 = 32 << 10;

/// A request's body, its chunks gathered into batches.
pub struct Body {
    chunks: BoxStream<'static, Result<Bytes, ArtifactError>>,
}

impl Body {
    pub fn new<E>(chunks: impl Stream<Item = Result<Bytes, E>> + Send + 'static) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self { chunks: chunks.map(|chunk| chunk.map_err(|e| ArtifactError::Body(e.into()))).boxed() }
    }

    /// Bytes of this store itself, whose errors stay what they are.
    pub(super) fn of(chunks: impl Stream<Item = Result<Bytes, ArtifactError>> + Send + 'static) -> Self {
        Self { chunks: chunks.boxed() }
    }

    /// At least `min_bytes`, or all that is left; true when the body has ended.
    async fn gather(&mut self, min_bytes: usize) -> Result<(Batch, bool), ArtifactError> {
        let mut batch = Batch::default();
        while batch.bytes < min_bytes as u64 {
            match self.chunks.next().await {
                Some(chunk) => batch.push(chunk?),
                None => return Ok((batch.sealed(), true)),
            }
        }
        Ok((batch.sealed(), false))
    }

    /// Reads what is left and drops it, so that a client that is still sending gets to read the
    /// answer. Gives up after `max_bytes`.
    pub async fn drain(&mut self, max_bytes: u64) {
        let mut drained = 0;
        while drained < max_bytes {
            match self.chunks.next().await {
                Some(Ok(chunk)) => drained += chunk.len() as u64,
                Some(Err(_)) | None => return,
            }
        }
    }
}

#[derive(Default)]
struct Batch {
    chunks: Vec<Bytes>,
    tail: BytesMut,
    bytes: u64,
}

impl Batch {
    fn push(&mut self, chunk: Bytes) {
        self.bytes += chunk.len() as u64;
        if chunk.len() < CHUNK_MIN_BYTES {
            self.tail.extend_from_slice(&chunk);
        } else {
            self.seal();
            self.chunks.push(chunk);
        }
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push(self.tail.split().freeze());
        }
    }

    fn sealed(mut self) -> Self {
        self.seal();
        self
    }
}

/// What a caller knows of a body before it comes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expected {
    pub digest: Option<Digest>,
    pub size_bytes: Option<u64>,
}

impl Expected {
    fn check(&self, hashed: &Hashed) -> Result<(), ArtifactError> {
        if let Some(expected) = self.size_bytes.filter(|size| *size != hashed.size_bytes) {
            return Err(ArtifactError::SizeMismatch { expected, actual: hashed.size_bytes });
        }
        match self.digest {
            Some(expected) if expected != hashed.digest => {
                Err(ArtifactError::DigestMismatch { expected, actual: hashed.digest })
            }
            _ => Ok(()),
        }
    }
}

/// A whole body, hashed and checked, not yet kept. Dropping it leaves nothing behind.
pub struct Arrival {
    pub hashed: Hashed,
    pub generation: String,
    bytes: Arrived,
}

enum Arrived {
    Memory(Vec<Bytes>),
    File(IncomingFile),
    Parts(IncomingParts),
}

/// Receives `body` to its end.
pub async fn receive(
    backend: &Backend,
    generation: String,
    body: &mut Body,
    expected: Expected,
) -> Result<Arrival, ArtifactError> {
    let (first, ended) = body.gather(backend.small_max_bytes()).await?;
    let (hashed, bytes) = if ended {
        let (hashed, batch) = hash_small(first).await?;
        (hashed, Arrived::Memory(batch))
    } else {
        stream(backend, &generation, body, first, expected).await?
    };
    expected.check(&hashed)?;
    Ok(Arrival { hashed, generation, bytes })
}

async fn hash_small(batch: Batch) -> Result<(Hashed, Vec<Bytes>), ArtifactError> {
    let inline = batch.bytes <= HASH_INLINE_BYTES;
    let hash = move || {
        let mut hasher = BlobHasher::new();
        for chunk in &batch.chunks {
            hasher.update(chunk);
        }
        Ok((hasher.finish(), batch.chunks))
    };
    let hashed = if inline { hash() } else { blocking(hash).await };
    hashed.map_err(|e| ArtifactError::io("hash", e))
}

async fn stream(
    backend: &Backend,
    generation: &str,
    body: &mut Body,
    first: Batch,
    expected: Expected,
) -> Result<(Hashed, Arrived), ArtifactError> {
    let mut writer = Writer::begin(backend, generation, expected).await?;
    let mut hasher = Worker::new(BlobHasher::new());
    let (mut batch, mut ended) = (first, false);
    loop {
        let chunks = batch.chunks.clone();
        let hashing = hasher.run(move |hasher| {
            for chunk in &chunks {
                hasher.update(chunk);
            }
            Ok(())
        });
        hashing.await.map_err(|e| ArtifactError::io("hash", e))?;
        writer.write(batch.chunks).await?;
        if ended {
            break;
        }
        (batch, ended) = body.gather(BATCH_BYTES).await?;
    }
    let hasher = hasher.finish().await.map_err(|e| ArtifactError::io("hash", e))?;
    Ok((hasher.finish(), writer.finish().await?))
}

impl Arrival {
    /// Makes the bytes durable. The key under which they lie from then on.
    pub async fn keep(self, backend: &Backend) -> Result<(Key, Hashed), ArtifactError> {
        let Self { hashed, generation, bytes } = self;
        let key = Key::Blob { digest: hashed.digest, generation: generation.clone() };
        let key = match (bytes, backend) {
            (Arrived::Parts(parts), _) => {
                let key = parts.key().clone();
                parts.complete().await.map_err(|e| ArtifactError::object(key.to_string(), e))?;
                key
            }
            (Arrived::File(file), Backend::Folder(folder)) => {
                let (folder, own_key) = (folder.clone(), key.clone());
                blocking(move || folder.place(file, &own_key))
                    .await
                    .map_err(|e| ArtifactError::io(key.to_string(), e))?;
                key
            }
            (Arrived::Memory(batch), backend) => {
                backend.put(&key, &generation, batch).await?;
                key
            }
            (Arrived::File(_), Backend::Bucket(_)) => {
                return Err(ArtifactError::io(key.to_string(), io::ErrorKind::InvalidInput.into()));
            }
        };
        Ok((key, hashed))
    }
}

enum Writer {
    File { file: Worker<IncomingFile>, flush: Flush, generation: String },
    Parts(IncomingParts),
}

impl Writer {
    async fn begin(backend: &Backend, generation: &str, expected: Expected) -> Result<Self, ArtifactError> {
        match backend {
            Backend::Folder(folder) => {
                let (folder, own) = (folder.clone(), generation.to_owned());
                let begun = blocking(move || {
                    let file = folder.begin(&own, expected.size_bytes)?;
                    let handle = file.handle()?;
                    Ok((file, handle))
                });
                let (file, handle) = begun.await.map_err(|e| ArtifactError::io(generation, e))?;
                let flush = Flush { worker: Worker::new(handle), since_bytes: 0 };
                Ok(Self::File { file: Worker::new(file), flush, generation: generation.to_owned() })
            }
            Backend::Bucket(bucket) => {
                let generation = generation.to_owned();
                let key = match expected.digest {
                    Some(digest) => Key::Blob { digest, generation },
                    None => Key::Arrival { generation },
                };
                let name = key.to_string();
                let parts = bucket.begin(key, expected.size_bytes).await;
                parts.map(Self::Parts).map_err(|e| ArtifactError::object(name, e))
            }
        }
    }

    async fn write(&mut self, batch: Vec<Bytes>) -> Result<(), ArtifactError> {
        match self {
            Self::File { file, flush, generation } => {
                let bytes = batch.iter().map(|b| b.len() as u64).sum();
                let writing = async {
                    file.run(move |file| file.write(&batch)).await?;
                    flush.after(bytes).await
                };
                writing.await.map_err(|e| ArtifactError::io(generation.as_str(), e))
            }
            Self::Parts(parts) => {
                let written = parts.write(batch).await;
                written.map_err(|e| ArtifactError::object(parts.key().to_string(), e))
            }
        }
    }

    async fn finish(self) -> Result<Arrived, ArtifactError> {
        match self {
            Self::File { file, flush, generation } => {
                let finished = async {
                    let file = file.finish().await?;
                    flush.worker.finish().await?;
                    Ok(Arrived::File(file))
                };
                finished.await.map_err(|e| ArtifactError::io(generation, e))
            }
            Self::Parts(parts) => Ok(Arrived::Parts(parts)),
        }
    }
}

/// Starts writing a growing file back to disk while more of it arrives.
struct Flush {
    worker: Worker<File>,
    since_bytes: u64,
}

impl Flush {
    async fn after(&mut self, bytes: u64) -> io::Result<()> {
        self.since_bytes += bytes;
        if self.since_bytes < FLUSH_EVERY_BYTES || !self.worker.is_idle() {
            return Ok(());
        }
        self.since_bytes = 0;
        self.worker.run(|file| file.sync_data()).await
    }
}

/// State that work is done on in order, each piece on a blocking thread, one ahead of the
/// caller. No thread is held while the next piece is awaited.
struct Worker<T> {
    state: Option<T>,
    running: Option<JoinHandle<(T, io::Result<()>)>>,
}

impl<T: Send + 'static> Worker<T> {
    fn new(state: T) -> Self {
        Self { state: Some(state), running: None }
    }

    /// Waits for the piece before and starts `work`.
    async fn run(&mut self, work: impl FnOnce(&mut T) -> io::Result<()> + Send + 'static) -> io::Result<()> {
        let mut state = self.wait().await?;
        self.running = Some(tokio::task::spawn_blocking(move || {
            let result = work(&mut state);
            (state, result)
        }));
        Ok(())
    }

    fn is_idle(&self) -> bool {
        self.running.as_ref().is_none_or(JoinHandle::is_finished)
    }

    async fn wait(&mut self) -> io::Result<T> {
        if let Some(running) = self.running.take() {
            let (state, result) = running.await.map_err(io::Error::other)?;
            result?;
            self.state = Some(state);
        }
        self.state.take().ok_or_else(|| io::Error::other("an earlier piece of work failed"))
    }

    async fn finish(mut self) -> io::Result<T> {
        self.wait().await
    }
}
