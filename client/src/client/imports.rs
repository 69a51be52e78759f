//! Moving in from another registry.

use super::Client;
use crate::{
    api::{
        CreateImport, Import, ImportArtifacts, ImportBatch, ImportOutcome, ImportOutcomes, ImportVersion,
        ImportedObjects, LookUpImported,
    },
    error::ClientError,
};
use std::time::Duration;

/// Freezing reads documents out of the files and signs; a batch may wait for others to commit.
const WRITE_TIMEOUT: Duration = Duration::from_mins(10);

impl Client {
    /// Begins an import, or finds the one of the same source.
    pub async fn create_import(&self, import: &CreateImport) -> Result<Import, ClientError> {
        self.post(&["imports"]).json(import).receive().await
    }

    /// An import and how much of it is here.
    pub async fn get_import(&self, import_id: &str) -> Result<Import, ClientError> {
        self.get(&["imports", import_id]).receive().await
    }

    /// Which objects of the source are here already.
    pub async fn look_up_imported(
        &self,
        import_id: &str,
        asked: &LookUpImported,
    ) -> Result<ImportedObjects, ClientError> {
        self.post(&["imports", import_id, "lookups"]).json(asked).receive().await
    }

    /// Writes objects together; those that are refused are told.
    pub async fn import_batch(
        &self,
        import_id: &str,
        batch: &ImportBatch,
    ) -> Result<ImportOutcomes, ClientError> {
        self.post(&["imports", import_id, "batches"]).json(batch).timeout(WRITE_TIMEOUT).receive().await
    }

    /// Registers a version under the number that it had at the source.
    pub async fn import_version(
        &self,
        import_id: &str,
        version: &ImportVersion,
    ) -> Result<ImportOutcome, ClientError> {
        self.post(&["imports", import_id, "versions"]).json(version).timeout(WRITE_TIMEOUT).receive().await
    }

    /// Binds the files of an upload session to artifact paths.
    pub async fn import_artifacts(
        &self,
        import_id: &str,
        artifacts: &ImportArtifacts,
    ) -> Result<ImportOutcome, ClientError> {
        self.post(&["imports", import_id, "artifacts"]).json(artifacts).timeout(WRITE_TIMEOUT).receive().await
    }
}
