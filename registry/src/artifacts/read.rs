//! Bytes on their way out: read, verified by block, one step ahead of the client.

use super::{
    ArtifactError,
    backend::Backend,
    store::StoredBlob,
    verify::{BadBlock, Verifier},
};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _, stream, stream::BoxStream};
use std::{
    collections::VecDeque,
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom},
    ops::Range,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::Arc,
};
use tokio::task::JoinHandle;

/// Verified bytes, in order.
pub type ByteStream = BoxStream<'static, Result<Bytes, ArtifactError>>;

/// A read under way. Errors that the first step meets come before any byte is sent.
struct Reader {
    blob: Arc<StoredBlob>,
    place: String,
    verifier: Verifier,
    source: Source,
}

enum Source {
    File(File),
    Object { pieces: BoxStream<'static, object_store::Result<Bytes>>, rest: Bytes },
}

/// The reader for the next step, and what may be sent after this one.
type Step = Result<(Reader, [Option<Bytes>; 2]), ArtifactError>;

/// Opens `blob` and reads `range` of it, up to the first bytes that can be sent: damage in a
/// range that lies in one block is met before any byte is.
pub async fn open(
    backend: &Backend,
    blob: Arc<StoredBlob>,
    range: Range<u64>,
) -> Result<ByteStream, ArtifactError> {
    let verifier = Verifier::new(blob.blocks.clone(), blob.size_bytes, range);
    let place = backend.place_of(&blob.key);
    if verifier.next().is_none() {
        return Ok(stream::empty().boxed());
    }
    let span = verifier.span();
    let first = match backend {
        Backend::Folder(folder) => {
            let path = folder.path_of(&blob.key);
            let opened = tokio::task::spawn_blocking(move || {
                let mut file = open_file(&path).map_err(|e| lost_or_failed(&blob, &place, e))?;
                file.seek(SeekFrom::Start(span.start)).map_err(|e| ArtifactError::io(place.as_str(), e))?;
                Reader { blob, place, verifier, source: Source::File(file) }.step_file()
            });
            joined(opened.await)?
        }
        Backend::Bucket(bucket) => {
            let pieces = match bucket.get(&blob.key, span).await {
                Ok(pieces) => pieces,
                Err(object_store::Error::NotFound { .. }) => return Err(lost(&blob, &place)),
                Err(error) => return Err(ArtifactError::object(place, error)),
            };
            let source = Source::Object { pieces, rest: Bytes::new() };
            Reader { blob, place, verifier, source }.step_object().await?
        }
    };
    let (mut reader, mut pieces) = first;
    while pieces.iter().all(Option::is_none) && reader.verifier.next().is_some() {
        (reader, pieces) = joined(reader.start().await)?;
    }
    Ok(run(reader, pieces).boxed())
}

/// Nobody but the store puts files there: a link in one's place leads outside.
fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path)
}

fn lost(blob: &StoredBlob, place: &str) -> ArtifactError {
    ArtifactError::Damaged {
        digest: blob.digest,
        key: place.to_owned(),
        detail: "the object is missing".into(),
    }
}

fn lost_or_failed(blob: &StoredBlob, place: &str, error: io::Error) -> ArtifactError {
    if error.kind() == io::ErrorKind::NotFound { lost(blob, place) } else { ArtifactError::io(place, error) }
}

fn joined(outcome: Result<Step, tokio::task::JoinError>) -> Step {
    outcome.unwrap_or_else(|panic| Err(ArtifactError::io("read", io::Error::other(panic))))
}

struct Ahead {
    ready: VecDeque<Bytes>,
    next: Option<JoinHandle<Step>>,
}

impl Ahead {
    fn after(reader: Reader, pieces: [Option<Bytes>; 2]) -> Self {
        let more = reader.verifier.next().is_some();
        Self { ready: pieces.into_iter().flatten().collect(), next: more.then(|| reader.start()) }
    }
}

/// Reads and verifies the next step while the last is being sent.
fn run(reader: Reader, pieces: [Option<Bytes>; 2]) -> impl Stream<Item = Result<Bytes, ArtifactError>> {
    stream::unfold(Ahead::after(reader, pieces), async |mut ahead| {
        loop {
            if let Some(bytes) = ahead.ready.pop_front() {
                return Some((Ok(bytes), ahead));
            }
            match joined(ahead.next.take()?.await) {
                Ok((reader, pieces)) => ahead = Ahead::after(reader, pieces),
                Err(error) => return Some((Err(error), ahead)),
            }
        }
    })
}

impl Reader {
    fn start(self) -> JoinHandle<Step> {
        match self.source {
            Source::File(_) => tokio::task::spawn_blocking(|| self.step_file()),
            Source::Object { .. } => tokio::spawn(self.step_object()),
        }
    }

    /// Blocks.
    fn step_file(mut self) -> Step {
        let (Source::File(file), Some((_, len))) = (&mut self.source, self.verifier.next()) else {
            return Ok((self, [None, None]));
        };
        let mut bytes = Vec::with_capacity(len);
        file.take(len as u64)
            .read_to_end(&mut bytes)
            .map_err(|e| ArtifactError::io(self.place.as_str(), e))?;
        if bytes.len() < len {
            return Err(self.truncated());
        }
        self.check(&bytes.into())
    }

    async fn step_object(mut self) -> Step {
        let bytes = self.fetch().await?;
        joined(tokio::task::spawn_blocking(move || self.check(&bytes)).await)
    }

    /// The next bytes from the bucket, as many as one step takes.
    async fn fetch(&mut self) -> Result<Bytes, ArtifactError> {
        let (Source::Object { pieces, rest }, Some((_, len))) = (&mut self.source, self.verifier.next())
        else {
            return Ok(Bytes::new());
        };
        let mut gathered = BytesMut::with_capacity(len);
        while gathered.len() < len {
            if rest.is_empty() {
                *rest = match pieces.next().await {
                    Some(Ok(piece)) => piece,
                    Some(Err(error)) => return Err(ArtifactError::object(self.place.as_str(), error)),
                    None => return Err(self.truncated()),
                };
            }
            gathered.extend_from_slice(&rest.split_to(rest.len().min(len - gathered.len())));
        }
        Ok(gathered.freeze())
    }

    fn check(mut self, bytes: &Bytes) -> Step {
        match self.verifier.take(bytes) {
            Ok(pieces) => Ok((self, pieces)),
            Err(BadBlock { index }) => Err(self.damaged(format!("block {index} (of 4 MiB) has other bytes"))),
        }
    }

    fn truncated(&self) -> ArtifactError {
        self.damaged(format!("the object ends before byte {}", self.blob.size_bytes))
    }

    fn damaged(&self, detail: String) -> ArtifactError {
        ArtifactError::Damaged { digest: self.blob.digest, key: self.place.clone(), detail }
    }
}
