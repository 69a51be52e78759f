//! The id of the registry whose artifacts these are, in the store itself.

use super::{ArtifactError, content::ContentStore, keys::Key};
use bytes::Bytes;

/// An id has 32 characters; a longer file is not ours, and is not read whole.
const MARKER_MAX_BYTES: u64 = 256;

impl ContentStore {
    /// The id that the store bears, if it bears one.
    pub async fn marker(&self) -> Result<Option<String>, ArtifactError> {
        let bytes = self.backend().read_small(&Key::RegistryId, MARKER_MAX_BYTES).await?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()))
    }

    /// Gives the store an id, durably.
    pub async fn mark(&self, registry_id: &str) -> Result<(), ArtifactError> {
        let generation = self.ids().random().simple().to_string();
        let line = Bytes::from(format!("{registry_id}\n"));
        self.backend().put(&Key::RegistryId, &generation, vec![line]).await
    }

    /// The store as an operator finds it.
    pub fn address(&self) -> String {
        self.backend().address()
    }

    pub fn marker_place(&self) -> String {
        self.backend().place_of(&Key::RegistryId)
    }
}
