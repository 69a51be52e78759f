//! Files that arrive in parts: each part hashed and durable by itself, in any order and again where
//! one failed, then put together, hashed as a whole, and bound to the path at once.
//!
//! A part is an object that no blob names. Putting together reads every byte once more, verified,
//! and holds a few megabytes of it: a file of any size fits.

mod complete;
mod store;
#[cfg(test)]
mod tests;

pub use complete::{SentPart, complete};

use super::{
    ArtifactError, ArtifactPath, Body, ContentStore, Expected, content::refuse_frozen, keys::Key, tree,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};
use store::{NewPart, State};
use waybill_proof::Digest;

/// Parts of one file, as S3 has it.
pub const PARTS_MAX: i64 = 10_000;
/// How long an upload may take from its creation to its completion.
pub const EXPIRY_MS: i64 = 24 * 60 * 60 * 1000;
/// Expired uploads that one request clears away.
const SWEPT_AT_ONCE: i64 = 20;

/// An upload that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// 122 random bits: whoever knows it may send parts.
    pub upload_id: String,
    pub expires_at_ms: i64,
}

/// Completions under way in this process, by upload: a client that gave up waiting asks again, and
/// then waits for the first instead of starting over.
#[derive(Clone, Default)]
pub struct Completing(Arc<Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>>);

impl Completing {
    fn lock_of(&self, upload_id: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        locks.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = locks.get(upload_id).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::default();
        locks.insert(upload_id.to_owned(), Arc::downgrade(&lock));
        lock
    }
}

/// Opens an upload of `num_parts` parts to `path`, which must be free for a file.
pub async fn create(
    content: &ContentStore,
    path: ArtifactPath,
    num_parts: i64,
) -> Result<Opened, ArtifactError> {
    if !(1..=PARTS_MAX).contains(&num_parts) {
        let detail = format!("{num_parts} parts; expected 1 to {PARTS_MAX}");
        return Err(ArtifactError::Invalid { field: "num_parts", detail });
    }
    refuse_frozen(&path)?;
    tree::check_free(&mut content.db().read().await?, &path).await?;
    sweep(content);
    let upload_id = content.ids().prefixed("mpu");
    let (now_ms, expires_at_ms) = (content.now_ms(), content.now_ms() + EXPIRY_MS);
    let input = store::NewUpload { upload_id: upload_id.clone(), path, num_parts, now_ms, expires_at_ms };
    content
        .db()
        .write(input, |tx, new| {
            Box::pin(async move { Ok::<_, ArtifactError>(store::insert(tx, new).await?) })
        })
        .await?;
    Ok(Opened { upload_id, expires_at_ms })
}

/// Receives one part, in place of any that was sent before under its number. Its digest is the
/// part's tag, which [`complete`] wants back.
pub async fn put_part(
    content: &ContentStore,
    upload_id: &str,
    part_number: i64,
    body: &mut Body,
    size_bytes: Option<u64>,
) -> Result<Digest, ArtifactError> {
    let upload = open_upload(content, upload_id).await?;
    if !(1..=upload.num_parts).contains(&part_number) {
        let detail = format!("{part_number}; the upload has parts 1 to {}", upload.num_parts);
        return Err(ArtifactError::Invalid { field: "part_number", detail });
    }
    let arrival = content.receive(body, Expected { digest: None, size_bytes }).await?;
    // From here on the client may go away: no object is left without its row.
    let (content, upload_id) = (content.clone(), upload_id.to_owned());
    let keeping = tokio::spawn(async move {
        let generation = arrival.generation.clone();
        let (key, hashed) = arrival.keep(content.backend()).await?;
        let digest = hashed.digest;
        let part = NewPart { upload_id, part_number, hashed, key: key.clone(), generation };
        match record(&content, part).await {
            Ok(replaced) => {
                remove_objects(&content, replaced).await;
                Ok(digest)
            }
            Err(error) => {
                remove_objects(&content, [key]).await;
                Err(error)
            }
        }
    });
    keeping.await.unwrap_or_else(|panic| Err(ArtifactError::io("part", std::io::Error::other(panic))))
}

async fn record(content: &ContentStore, part: NewPart) -> Result<Option<Key>, ArtifactError> {
    let input = (part, content.now_ms());
    content
        .db()
        .write(input, |tx, (part, now_ms)| {
            Box::pin(async move {
                // Closed while the part arrived: whoever closed it did not see the part.
                let upload = store::find(tx, &part.upload_id).await?;
                check_open(upload, &part.upload_id, *now_ms)?;
                let replaced = store::part(tx, &part.upload_id, part.part_number).await?;
                store::put_part(tx, part).await?;
                Ok(replaced.map(|part| part.blob.key))
            })
        })
        .await
}

/// Gives an upload up and removes its parts. Fails with [`ArtifactError::NoUpload`] where there is
/// none to `path`, or where it is complete.
pub async fn abort(
    content: &ContentStore,
    upload_id: &str,
    path: &ArtifactPath,
) -> Result<(), ArtifactError> {
    let upload = open_upload(content, upload_id).await?;
    if upload.path != path.as_str() {
        return Err(no_upload(upload_id));
    }
    close(content, upload_id.to_owned()).await
}

/// Clears expired uploads away, beside the caller.
pub fn sweep(content: &ContentStore) {
    let content = content.clone();
    tokio::spawn(async move {
        let swept = async {
            let now_ms = content.now_ms();
            let expired = store::expired(&mut content.db().read().await?, now_ms, SWEPT_AT_ONCE).await?;
            for upload_id in expired {
                close(&content, upload_id).await?;
            }
            Ok::<_, ArtifactError>(())
        };
        if let Err(error) = swept.await {
            tracing::warn!(%error, "expired uploads could not be cleared away; the next upload tries again");
        }
    });
}

/// First no part may come any more, then the objects go, then the rows that name them: a crash in
/// between leaves rows, which the next sweep finds.
async fn close(content: &ContentStore, upload_id: String) -> Result<(), ArtifactError> {
    let keys = content
        .db()
        .write(upload_id.clone(), |tx, upload_id| {
            Box::pin(async move {
                store::set_state(tx, upload_id, State::Closing).await?;
                let parts = store::parts(tx, upload_id).await?;
                Ok::<_, ArtifactError>(parts.into_iter().map(|part| part.blob.key).collect::<Vec<_>>())
            })
        })
        .await?;
    remove_objects(content, keys).await;
    content
        .db()
        .write(upload_id, |tx, upload_id| {
            Box::pin(async move { Ok::<_, ArtifactError>(store::delete(tx, upload_id).await?) })
        })
        .await
}

async fn remove_objects(content: &ContentStore, keys: impl IntoIterator<Item = Key>) {
    for key in keys {
        content.remove_object(&key).await;
    }
}

async fn open_upload(content: &ContentStore, upload_id: &str) -> Result<store::Upload, ArtifactError> {
    let found = store::find(&mut content.db().read().await?, upload_id).await?;
    check_open(found, upload_id, content.now_ms())
}

fn check_open(
    found: Option<store::Upload>,
    upload_id: &str,
    now_ms: i64,
) -> Result<store::Upload, ArtifactError> {
    found
        .filter(|upload| upload.state == State::Open && now_ms < upload.expires_at_ms)
        .ok_or_else(|| no_upload(upload_id))
}

fn no_upload(upload_id: &str) -> ArtifactError {
    ArtifactError::NoUpload { upload_id: upload_id.chars().take(100).collect() }
}
