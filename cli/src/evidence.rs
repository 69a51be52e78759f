//! What a registry hands out about a version, and whether the bytes that it serves are those of
//! the manifest.

use crate::failure::Failure;
use futures::{StreamExt, TryStreamExt};
use std::{collections::BTreeMap, sync::Arc};
use waybill_client::{
    Client, ClientError,
    api::{ModelVersion, Referrer},
    progress::{Progress, Step},
};
use waybill_proof::{
    Digest,
    manifest::{Manifest, ModelFile},
    verify::{Check, Expected, Outcome, VersionEvidence},
};

/// Files on their way at once.
const PARALLEL: usize = 4;
/// Files that are named when many are wrong.
const NAMED: usize = 20;

/// Fetches manifest and referrers, and reads every file through.
pub async fn fetch(
    client: &Client,
    version: &ModelVersion,
    progress: &Arc<dyn Progress>,
) -> Result<(VersionEvidence, Check), Failure> {
    if version.content.is_none() {
        return Err(Failure::Verification(format!(
            "{}@{} has no proof: its files are not in the registry (source {:?})",
            version.name, version.version, version.source
        )));
    }
    let manifest = client.manifest(&version.uid).await?;
    let mut referrers: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for referrer in Referrer::to_verify(client.referrers(&version.uid).await?) {
        let bytes = client.blob(&referrer.digest).await?;
        referrers.entry(referrer.artifact_type).or_default().push(bytes.to_vec());
    }
    let served = match Manifest::parse(&manifest) {
        Ok(manifest) => read_files(client, &version.uid, &manifest, progress).await?,
        Err(_) => check(Outcome::Skipped, "without a manifest there is nothing to compare with".into()),
    };
    let expected =
        Expected { name: version.name.clone(), version: version.version, uid: version.uid.clone() };
    Ok((VersionEvidence { manifest: manifest.to_vec(), referrers, expected }, served))
}

fn check(ok: Outcome, detail: String) -> Check {
    Check { name: "served-bytes".into(), ok, detail, signed_by: None, files: Vec::new() }
}

async fn read_files(
    client: &Client,
    uid: &str,
    manifest: &Manifest,
    progress: &Arc<dyn Progress>,
) -> Result<Check, Failure> {
    let files = manifest.files();
    progress.begin(Step::Receive, files.len(), manifest.size_bytes());
    let reads = files.iter().map(|file| read_file(client, uid, file, progress));
    let faults: Vec<Option<String>> =
        futures::stream::iter(reads).buffer_unordered(PARALLEL).try_collect().await?;
    progress.end(Step::Receive);
    let faults: Vec<String> = faults.into_iter().flatten().collect();
    if faults.is_empty() {
        let detail = format!("{} files were read through and have the manifest's digests", files.len());
        return Ok(check(Outcome::Ok, detail));
    }
    let more = faults.len().saturating_sub(NAMED);
    let mut detail = faults.into_iter().take(NAMED).collect::<Vec<_>>().join("; ");
    if more > 0 {
        detail.push_str("; and more");
    }
    Ok(check(Outcome::Failed, detail))
}

/// What is wrong with a file as it is served, if anything.
async fn read_file(
    client: &Client,
    uid: &str,
    file: &ModelFile,
    progress: &Arc<dyn Progress>,
) -> Result<Option<String>, ClientError> {
    match hash_served(client, uid, file, progress).await {
        Ok(digest) if digest == file.digest => Ok(None),
        Ok(digest) => Ok(Some(format!("{:?} is {digest}, expected {}", file.path, file.digest))),
        // The registry verifies what it reads, and breaks off when that fails.
        Err(error) if error.status().is_some() || error.is_unreachable() => {
            client.info().await?;
            Ok(Some(format!("{:?} cannot be read: {error}", file.path)))
        }
        Err(error) => Err(error),
    }
}

async fn hash_served(
    client: &Client,
    uid: &str,
    file: &ModelFile,
    progress: &Arc<dyn Progress>,
) -> Result<Digest, ClientError> {
    let mut download = client.file_stream(uid, &file.path, None).await?;
    let mut hasher = waybill_client::Hasher::default();
    while let Some(chunk) = download.chunks.try_next().await? {
        hasher.update(&chunk);
        progress.advance(chunk.len() as u64);
    }
    Ok(hasher.finish())
}
