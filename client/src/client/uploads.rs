//! Upload sessions and registration.

use super::Client;
use crate::{
    api::{CreateUpload, ModelVersion, RegisterVersion, Upload},
    error::ClientError,
    request::Call,
    transport::Body,
};
use http::Method;
use std::time::Duration;
use waybill_proof::Digest;

/// Registration reads documents out of the files and signs; storage may be slow.
const REGISTER_TIMEOUT: Duration = Duration::from_mins(10);

impl Client {
    /// Opens a session; the answer says which of the files the registry lacks.
    pub async fn create_upload(&self, upload: &CreateUpload) -> Result<Upload, ClientError> {
        self.post(&["uploads"]).json(upload).receive().await
    }

    /// Sends a blob. The registry hashes it and refuses bytes that do not match `digest`.
    pub async fn put_blob(
        &self,
        upload_id: &str,
        digest: &Digest,
        content: Body,
        size_bytes: u64,
    ) -> Result<(), ClientError> {
        Call::new(self, Method::PUT, &["uploads", upload_id, "blobs", &digest.to_string()])
            .send_once(content, size_bytes)
            .await
    }

    /// Gives a session up. What was sent stays until the registry cleans up.
    pub async fn delete_upload(&self, upload_id: &str) -> Result<(), ClientError> {
        Call::new(self, Method::DELETE, &["uploads", upload_id]).done().await
    }

    /// Freezes and signs an upload session's files as the next version of a model.
    pub async fn register_version(
        &self,
        name: &str,
        version: &RegisterVersion,
    ) -> Result<ModelVersion, ClientError> {
        self.post(&["models", name, "versions"]).json(version).timeout(REGISTER_TIMEOUT).receive().await
    }
}
