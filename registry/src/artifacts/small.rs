//! Small blobs, read whole.

use super::{ArtifactError, ContentStore, StoredBlob, store};
use crate::db::Conn;
use bytes::Bytes;
use futures::StreamExt as _;
use waybill_proof::Digest;

impl ContentStore {
    /// A small blob whole. Fails with [`ArtifactError::TooLarge`] past `max_bytes`. Whoever holds a
    /// connection uses [`ContentStore::read_bytes_with`]: many who hold one and wait for another
    /// would wait for each other.
    pub async fn read_bytes(&self, digest: &Digest, max_bytes: u64) -> Result<Bytes, ArtifactError> {
        let blob = self.find(digest).await?;
        self.whole(blob, max_bytes).await
    }

    /// [`ContentStore::read_bytes`] over a connection that the caller holds.
    pub async fn read_bytes_with(
        &self,
        conn: &mut Conn,
        digest: &Digest,
        max_bytes: u64,
    ) -> Result<Bytes, ArtifactError> {
        let blob = store::find(conn, digest).await?.ok_or(ArtifactError::NoBlob { digest: *digest })?;
        self.whole(blob, max_bytes).await
    }

    async fn whole(&self, blob: StoredBlob, max_bytes: u64) -> Result<Bytes, ArtifactError> {
        let (digest, size_bytes) = (blob.digest, blob.size_bytes);
        if size_bytes > max_bytes {
            return Err(ArtifactError::TooLarge { digest, size_bytes, max_bytes });
        }
        let mut pieces = self.open_blob(blob, None).await?;
        let mut whole = Vec::with_capacity(size_bytes as usize);
        while let Some(piece) = pieces.next().await {
            whole.extend_from_slice(&piece?);
        }
        Ok(whole.into())
    }
}
