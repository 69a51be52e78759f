//! Blobs whose bytes were found wrong or gone, and found right again.

use super::{
    ArtifactError,
    content::ContentStore,
    read::ByteStream,
    store::{self, StoredBlob},
};
use crate::db::DbError;
use futures::{StreamExt as _, stream};
use std::sync::Arc;

impl ContentStore {
    /// A blob that was marked damaged and is read whole is right after all: the mark goes, before
    /// the stream ends.
    pub(super) fn note_whole(&self, bytes: ByteStream, blob: Arc<StoredBlob>) -> ByteStream {
        let db = self.db().clone();
        let steps = stream::unfold((bytes, true), move |(mut bytes, whole)| {
            let (db, generation) = (db.clone(), blob.generation.clone());
            async move {
                if let Some(piece) = bytes.next().await {
                    let whole = whole && piece.is_ok();
                    return Some((piece, (bytes, whole)));
                }
                if whole {
                    let marked: Result<(), DbError> =
                        db.write(generation, |tx, id| Box::pin(store::mark_available(tx, id))).await;
                    if let Err(error) = marked {
                        tracing::warn!(%error, "a blob that is whole again could not be marked");
                    }
                }
                None
            }
        });
        steps.boxed()
    }

    /// So that the next upload of the same content replaces the damaged bytes.
    pub(super) fn note_damage(&self, blob: &StoredBlob, error: &ArtifactError) {
        if !blob.available || !matches!(error, ArtifactError::Damaged { .. }) {
            return;
        }
        let (db, generation) = (self.db().clone(), blob.generation.clone());
        tokio::spawn(async move {
            let marked: Result<(), DbError> =
                db.write(generation, |tx, generation| Box::pin(store::mark_damaged(tx, generation))).await;
            if let Err(error) = marked {
                tracing::warn!(%error, "a damaged blob could not be marked");
            }
        });
    }
}
