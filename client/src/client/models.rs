//! Models, versions and their content.

use super::Client;
use crate::{
    api::{
        AttachReferrer, Model, ModelPage, ModelVersion, ModelVersionPage, PageQuery, Referrer, ReferrerList,
    },
    download::{ByteRange, Download},
    error::ClientError,
    request::Call,
};
use bytes::Bytes;
use http::header;
use waybill_proof::Digest;

/// Documents and signatures; files go through the streams.
const DOCUMENT_LIMIT_BYTES: usize = 16 << 20;
/// Manifests are capped at 4 MiB, as other registries do.
const MANIFEST_LIMIT_BYTES: usize = 4 << 20;

impl Client {
    /// Models by name, optionally only those whose name contains a text.
    pub async fn list_models(
        &self,
        page: &PageQuery,
        name_contains: Option<&str>,
    ) -> Result<ModelPage, ClientError> {
        paged(self.get(&["models"]), page).query("name_contains", name_contains).receive().await
    }

    pub async fn get_model(&self, name: &str) -> Result<Model, ClientError> {
        self.get(&["models", name]).receive().await
    }

    /// A model's versions, newest first.
    pub async fn list_versions(&self, name: &str, page: &PageQuery) -> Result<ModelVersionPage, ClientError> {
        paged(self.get(&["models", name, "versions"]), page).receive().await
    }

    /// The version that a reference names now; see [`Reference`](crate::Reference).
    pub async fn resolve(&self, reference: &str) -> Result<ModelVersion, ClientError> {
        self.get(&["resolve"]).query("ref", Some(reference)).receive().await
    }

    pub async fn get_version(&self, name: &str, version: i64) -> Result<ModelVersion, ClientError> {
        self.get(&["models", name, "versions", &version.to_string()]).receive().await
    }

    pub async fn get_version_by_uid(&self, uid: &str) -> Result<ModelVersion, ClientError> {
        self.get(&["versions", uid]).receive().await
    }

    /// The manifest's bytes, as hashed. Not verified here.
    pub async fn manifest(&self, uid: &str) -> Result<Bytes, ClientError> {
        let call = self.get(&["versions", uid, "manifest"]).header(header::ACCEPT, "*/*");
        Ok(call.bytes(MANIFEST_LIMIT_BYTES).await?.1)
    }

    /// What is attached to a version's manifest: signatures, statements, documents.
    pub async fn referrers(&self, uid: &str) -> Result<Vec<Referrer>, ClientError> {
        let list: ReferrerList = self.get(&["versions", uid, "referrers"]).receive().await?;
        Ok(list.referrers)
    }

    pub async fn attach_referrer(
        &self,
        uid: &str,
        referrer: &AttachReferrer,
    ) -> Result<Referrer, ClientError> {
        self.post(&["versions", uid, "referrers"]).json(referrer).receive().await
    }

    /// The lockfile that was resolved for a key before; `None` when there is none yet.
    pub async fn find_lockfile(
        &self,
        key: &Digest,
    ) -> Result<Option<crate::api::FoundLockfile>, ClientError> {
        match self.get(&["lockfiles"]).query("key", Some(key)).receive().await {
            Ok(found) => Ok(Some(found)),
            Err(ClientError::Problem(problem)) if problem.status == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A document's bytes: at most 16 MiB. Not verified here.
    pub async fn blob(&self, digest: &Digest) -> Result<Bytes, ClientError> {
        let call = self.get(&["blobs", &digest.to_string()]).header(header::ACCEPT, "*/*");
        Ok(call.bytes(DOCUMENT_LIMIT_BYTES).await?.1)
    }

    /// A blob of any size. Not verified here: hash what arrives.
    pub async fn blob_stream(
        &self,
        digest: &Digest,
        range: Option<ByteRange>,
    ) -> Result<Download, ClientError> {
        let name = digest.to_string();
        download(self.get(&["blobs", &name]), format!("the download of {name}"), range).await
    }

    /// A file of a version, by its path in the manifest. Not verified here: hash what arrives.
    pub async fn file_stream(
        &self,
        uid: &str,
        path: &str,
        range: Option<ByteRange>,
    ) -> Result<Download, ClientError> {
        let segments: Vec<&str> = ["versions", uid, "files"].into_iter().chain(path.split('/')).collect();
        download(self.get(&segments), format!("the download of {path}"), range).await
    }
}

fn paged(call: Call, page: &PageQuery) -> Call {
    call.query("limit", page.limit).query("page_token", page.page_token.as_deref())
}

async fn download(call: Call, what: String, range: Option<ByteRange>) -> Result<Download, ClientError> {
    let mut call = call.header(header::ACCEPT, "*/*");
    if let Some(range) = range {
        call = call.header(header::RANGE, &range.header()?);
    }
    Ok(Download::new(what, call.open().await?))
}
