//! The content store: bytes in and out by digest, and by path.

use super::{
    ArtifactError, ArtifactPath, Location,
    backend::{Backend, Bucket, Folder, blocking},
    frozen,
    ingest::{self, Arrival, Body, Expected},
    location::InvalidLocation,
    multipart::Completing,
    read::{self, ByteStream},
    store::{self, NewBlob, StoredBlob},
    tree::{self, Entry, Node},
};
use crate::{
    clock::Clock,
    db::{Conn, Db},
    ids::Ids,
};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use std::{convert::Infallible, ops::Range, sync::Arc};
use waybill_proof::Digest;

/// Attempts to bind a path while others remove the directories above it.
const BIND_ATTEMPTS: u32 = 4;

/// A content store that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Location(#[from] InvalidLocation),
    #[error(
        "cannot write the artifacts folder {path}: {source} (does it exist, and may this user write there?)"
    )]
    Folder { path: String, source: std::io::Error },
    #[error(
        "cannot use the bucket {url}: {source} (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and, for anything but AWS, AWS_ENDPOINT_URL say how it is reached; the bucket must exist)"
    )]
    Bucket { url: String, source: object_store::Error },
}

/// What is known of a stored blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobInfo {
    pub digest: Digest,
    pub size_bytes: u64,
}

impl From<&StoredBlob> for BlobInfo {
    fn from(blob: &StoredBlob) -> Self {
        Self { digest: blob.digest, size_bytes: blob.size_bytes }
    }
}

/// Bytes by digest, in a folder or a bucket, with their rows in the database. Cheap to clone.
#[derive(Clone)]
pub struct ContentStore {
    backend: Backend,
    db: Db,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    completing: Completing,
}

impl ContentStore {
    /// Opens the store and checks that it can be written.
    pub async fn open(
        location: Location,
        db: Db,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Result<Self, OpenError> {
        let generation = ids.random().simple().to_string();
        let backend = match location {
            Location::Folder(dir) => {
                let path = dir.display().to_string();
                let opened = blocking(move || Folder::open(&dir, generation)).await;
                Backend::Folder(Arc::new(opened.map_err(|source| OpenError::Folder { path, source })?))
            }
            Location::Bucket { bucket, prefix } => {
                let failed = |source| OpenError::Bucket {
                    url: Location::Bucket { bucket: bucket.clone(), prefix: prefix.clone() }.to_string(),
                    source,
                };
                let opened = Bucket::open(&bucket, &prefix).map_err(failed)?;
                opened.probe(generation).await.map_err(failed)?;
                Backend::Bucket(Arc::new(opened))
            }
        };
        Ok(Self { backend, db, clock, ids, completing: Completing::default() })
    }

    pub(super) fn backend(&self) -> &Backend {
        &self.backend
    }

    pub(super) fn db(&self) -> &Db {
        &self.db
    }

    pub(super) fn completing(&self) -> &Completing {
        &self.completing
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    pub(super) fn ids(&self) -> &dyn Ids {
        &*self.ids
    }

    /// Stores a body under its digest. It is durable before its row is, and its row before this
    /// returns; content that is already here is not written again.
    ///
    /// Fails with [`ArtifactError::SizeMismatch`] or [`ArtifactError::DigestMismatch`] when the
    /// body is not what was `expected`, with [`ArtifactError::Body`] when it ends early, with
    /// [`ArtifactError::Full`] when the disk is full. Then nothing of it stays.
    pub async fn put_blob(&self, body: &mut Body, expected: Expected) -> Result<BlobInfo, ArtifactError> {
        let arrival = self.receive(body, expected).await?;
        self.settle(arrival, None).await
    }

    /// Stores a small document.
    pub async fn put_bytes(&self, bytes: impl Into<Bytes>) -> Result<BlobInfo, ArtifactError> {
        let bytes = bytes.into();
        let mut body = Body::new(stream::iter([Ok::<_, Infallible>(bytes)]));
        self.put_blob(&mut body, Expected::default()).await
    }

    /// Stores a body and binds `path` to it, both or neither. A path that cannot be bound is
    /// refused before the body is read.
    pub async fn put_file(
        &self,
        path: &ArtifactPath,
        body: &mut Body,
        expected: Expected,
    ) -> Result<BlobInfo, ArtifactError> {
        refuse_frozen(path)?;
        tree::check_free(&mut self.db.read().await?, path).await?;
        let arrival = self.receive(body, expected).await?;
        self.settle(arrival, Some(path.clone())).await
    }

    pub(super) async fn receive(
        &self,
        body: &mut Body,
        expected: Expected,
    ) -> Result<Arrival, ArtifactError> {
        let generation = self.ids.random().simple().to_string();
        ingest::receive(&self.backend, generation, body, expected).await
    }

    /// From here on the client may go away: what has begun runs to its end, so that no object is
    /// left without its row and no row without its object.
    async fn settle(&self, arrival: Arrival, path: Option<ArtifactPath>) -> Result<BlobInfo, ArtifactError> {
        let store = self.clone();
        let settling = tokio::spawn(async move { store.settle_to_the_end(arrival, path).await });
        settling.await.unwrap_or_else(|panic| Err(ArtifactError::io("settle", std::io::Error::other(panic))))
    }

    async fn settle_to_the_end(
        &self,
        arrival: Arrival,
        path: Option<ArtifactPath>,
    ) -> Result<BlobInfo, ArtifactError> {
        let info = BlobInfo { digest: arrival.hashed.digest, size_bytes: arrival.hashed.size_bytes };
        if self.bind_existing(info.digest, path.as_ref()).await? {
            return Ok(info);
        }
        let generation = arrival.generation.clone();
        let (key, hashed) = arrival.keep(&self.backend).await?;
        let new = NewBlob {
            digest: hashed.digest,
            size_bytes: hashed.size_bytes,
            key,
            generation,
            blocks: hashed.blocks,
            created_at_ms: self.clock.now_ms(),
        };
        match self.record(&new, path).await {
            Ok(None) => {}
            Ok(Some(surplus)) => self.remove_object(&surplus).await,
            Err(error) => {
                self.forget(&new).await;
                return Err(error);
            }
        }
        Ok(info)
    }

    /// Binds `path` to content that is here already; false when it is not.
    async fn bind_existing(
        &self,
        digest: Digest,
        path: Option<&ArtifactPath>,
    ) -> Result<bool, ArtifactError> {
        let found = store::find(&mut self.db.read().await?, &digest).await?;
        if !found.is_some_and(|blob| blob.available) {
            return Ok(false);
        }
        let Some(path) = path else {
            return Ok(true);
        };
        self.bind_write((digest, path.clone()), |tx, (digest, path)| {
            Box::pin(async move {
                match store::find(tx, digest).await? {
                    Some(blob) if blob.available => tree::bind(tx, path, blob.blob_id).await.map(|()| true),
                    _ => Ok(false),
                }
            })
        })
        .await
    }

    async fn record(
        &self,
        new: &NewBlob,
        path: Option<ArtifactPath>,
    ) -> Result<Option<super::keys::Key>, ArtifactError> {
        self.bind_write((new.clone(), path), |tx, (new, path)| {
            Box::pin(async move {
                let recorded = store::record(tx, new).await?;
                if let Some(path) = path {
                    tree::bind(tx, path, recorded.blob_id).await?;
                }
                Ok(recorded.surplus)
            })
        })
        .await
    }

    /// A write that binds paths: run again when a directory above went away under it.
    pub async fn bind_write<I, T, F>(&self, input: I, change: F) -> Result<T, ArtifactError>
    where
        I: Clone + Send + Sync + 'static,
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Conn, &'t I) -> futures::future::BoxFuture<'t, Result<T, ArtifactError>>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        let mut attempt = 1;
        loop {
            match self.db.write(input.clone(), change.clone()).await {
                Err(ArtifactError::Db(error)) if error.is_missing_reference() && attempt < BIND_ATTEMPTS => {
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// After a failed write: removes the object, unless its row was committed after all.
    async fn forget(&self, new: &NewBlob) {
        let recorded = async {
            let mut conn = self.db.read().await?;
            store::is_recorded(&mut conn, &new.generation).await
        };
        match recorded.await {
            Ok(false) => self.remove_object(&new.key).await,
            Ok(true) => {}
            Err(error) => {
                let key = new.key.to_string();
                tracing::warn!(key, %error, "an object may be left without a row; the database cannot tell");
            }
        }
    }

    pub(super) async fn remove_object(&self, key: &super::keys::Key) {
        if let Err(error) = self.backend.remove(key).await {
            tracing::warn!(key = %key, %error, "an object that no row names could not be removed");
        }
    }

    /// The blob, when its bytes are here.
    pub async fn exists(&self, digest: &Digest) -> Result<Option<BlobInfo>, ArtifactError> {
        let found = store::find(&mut self.db.read().await?, digest).await?;
        Ok(found.filter(|blob| blob.available).map(|blob| BlobInfo::from(&blob)))
    }

    /// The blob's row, for [`ContentStore::open_blob`].
    pub async fn find(&self, digest: &Digest) -> Result<StoredBlob, ArtifactError> {
        let found = store::find(&mut self.db.read().await?, digest).await?;
        found.ok_or(ArtifactError::NoBlob { digest: *digest })
    }

    /// Bytes of `digest`, all or a range, verified: a damaged block ends the stream with
    /// [`ArtifactError::Damaged`] before its last bytes.
    pub async fn read(
        &self,
        digest: &Digest,
        range: Option<Range<u64>>,
    ) -> Result<(BlobInfo, ByteStream), ArtifactError> {
        let blob = self.find(digest).await?;
        Ok((BlobInfo::from(&blob), self.open_blob(blob, range).await?))
    }

    /// [`ContentStore::read`] of a row that was found before.
    pub async fn open_blob(
        &self,
        blob: StoredBlob,
        range: Option<Range<u64>>,
    ) -> Result<ByteStream, ArtifactError> {
        let size_bytes = blob.size_bytes;
        let range = range.unwrap_or(0..size_bytes);
        if range.start > range.end || range.end > size_bytes {
            return Err(ArtifactError::Range { size_bytes });
        }
        let heals = !blob.available && range == (0..size_bytes);
        let blob = Arc::new(blob);
        match read::open(&self.backend, blob.clone(), range).await {
            Ok(bytes) => {
                let (store, watched_blob) = (self.clone(), blob.clone());
                let watched = bytes.inspect(move |piece| {
                    if let Err(error) = piece {
                        // The response has begun: its end will be missing, and only the log says why.
                        tracing::error!(%error, "a read was cut off");
                        store.note_damage(&watched_blob, error);
                    }
                });
                Ok(if heals { self.note_whole(watched.boxed(), blob) } else { watched.boxed() })
            }
            Err(error) => {
                self.note_damage(&blob, &error);
                Err(error)
            }
        }
    }

    /// The file at `path`, in the run trees or the frozen ones.
    pub async fn find_file(&self, path: &ArtifactPath) -> Result<StoredBlob, ArtifactError> {
        let mut conn = self.db.read().await?;
        let node = match path.frozen() {
            Some((uid, inside)) => frozen::resolve(&mut conn, uid, inside).await?,
            None => tree::resolve(&mut conn, path).await?,
        };
        match node {
            Node::File(blob) => Ok(blob),
            Node::Directory => Err(ArtifactError::IsDirectory { path: path.to_string() }),
            Node::Missing => Err(ArtifactError::NotFound { path: path.to_string() }),
        }
    }

    /// The file `path` of frozen version `uid`, spelled exactly as in its manifest.
    pub async fn find_version_file(&self, uid: &str, path: &str) -> Result<StoredBlob, ArtifactError> {
        waybill_proof::path::check(path)
            .map_err(|e| ArtifactError::Invalid { field: "path", detail: e.to_string() })?;
        match frozen::resolve(&mut self.db.read().await?, uid, path).await? {
            Node::File(blob) => Ok(blob),
            Node::Directory => Err(ArtifactError::IsDirectory { path: path.to_owned() }),
            Node::Missing => Err(ArtifactError::NotFound { path: path.to_owned() }),
        }
    }

    /// The entries of directory `path`, by name; none when it is a file or missing.
    pub async fn list(&self, path: &ArtifactPath) -> Result<Vec<Entry>, ArtifactError> {
        let mut conn = self.db.read().await?;
        Ok(match path.frozen() {
            // Who may see which versions is not for a directory listing to tell.
            Some(("", _)) => Vec::new(),
            Some((uid, inside)) => frozen::list(&mut conn, uid, inside).await?,
            None => tree::list(&mut conn, path).await?,
        })
    }

    /// Removes a file, or a directory with all below it; false when nothing is there.
    pub async fn remove(&self, path: &ArtifactPath) -> Result<bool, ArtifactError> {
        refuse_frozen(path)?;
        self.db
            .write(path.clone(), |tx, path| Box::pin(async move { Ok(tree::remove(tx, path).await?) }))
            .await
    }
}

pub(super) fn refuse_frozen(path: &ArtifactPath) -> Result<(), ArtifactError> {
    match path.frozen() {
        Some(_) => Err(ArtifactError::ReadOnly { path: path.to_string() }),
        None => Ok(()),
    }
}
