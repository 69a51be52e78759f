//! A version's files come into a local folder, each verified before it takes its name.

use crate::{
    api::{FrozenContent, ModelVersion, Referrer},
    client::Client,
    download::ByteRange,
    error::ClientError,
    files::{FilesError, Hasher, hash_file, walk},
    progress::{Progress, Silent, Step},
};
use futures::{StreamExt, TryStreamExt};
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::io::AsyncWriteExt;
use waybill_proof::{
    Digest,
    manifest::{MLFLOW_META_FILE, Manifest, ManifestError, ModelFile, PROVENANCE_FILE, SIGNATURE_FILE},
    media_type,
};

/// Files on their way at once.
const PARALLEL: usize = 4;
/// Broken connections in a row that one file survives; each goes on where the last ended.
const ATTEMPTS: u32 = 4;
const WRITE_BUFFER_BYTES: usize = 1 << 20;
/// Holds unfinished files; gone when a pull has ended.
const PARTS_DIR: &str = ".waybill-pull";

/// What a pull did.
#[derive(Debug)]
pub struct Pulled {
    pub files: usize,
    pub size_bytes: u64,
    /// Bytes that came over the network; the rest was there already.
    pub received_bytes: u64,
    /// Whether `model.sig` and `provenance.sigstore.json` were written.
    pub signature: bool,
    pub provenance: bool,
}

/// Why a folder is not complete. Files that are there are verified; a second pull fetches the rest.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(
        "{name} version {version} has no files here: its source is {source_uri:?}, outside of the registry"
    )]
    NotFrozen { name: String, version: i64, source_uri: String },
    #[error(
        "{what} has digest {actual}, but {expected} was asked for: it was damaged or replaced on its way"
    )]
    Digest { what: String, expected: Digest, actual: Digest },
    #[error("the registry sent a manifest that is not valid: {0}")]
    Manifest(#[from] ManifestError),
    #[error("{} is not part of the version; pull into an empty folder, or one with an unfinished pull of the same version", .0.display())]
    ForeignFile(PathBuf),
}

/// Writes the files of `version` into `dir`, with `model.sig` and `provenance.sigstore.json`
/// beside them. Every file's digest is verified while it is written. Files that are there with
/// the right digest are kept, so an interrupted pull goes on. Memory stays flat.
pub async fn pull_version(
    client: &Client,
    version: &ModelVersion,
    dir: &Path,
    progress: Arc<dyn Progress>,
) -> Result<Pulled, PullError> {
    let content = frozen(version)?;
    let manifest = fetch_manifest(client, &version.uid, content).await?;
    let pull = Pull {
        client: client.clone(),
        uid: version.uid.clone(),
        dir: dir.to_owned(),
        parts: dir.join(parts_name(&manifest)),
        progress,
    };
    let lacking = pull.prepare(&manifest).await?;
    let received_bytes = lacking.iter().map(|file| file.size_bytes).sum();
    pull.progress.begin(Step::Receive, lacking.len(), received_bytes);
    futures::stream::iter(lacking.into_iter().map(|file| pull.fetch(file)))
        .buffer_unordered(PARALLEL)
        .try_collect::<()>()
        .await?;
    pull.progress.end(Step::Receive);
    let referrers = client.referrers(&version.uid).await?;
    let signature = pull.write_referrer(&referrers, media_type::OMS_SIGNATURE, SIGNATURE_FILE).await?;
    let provenance = pull.write_referrer(&referrers, media_type::PROVENANCE, PROVENANCE_FILE).await?;
    tokio::fs::remove_dir_all(&pull.parts).await.map_err(FilesError::io("remove", &pull.parts))?;
    Ok(Pulled {
        files: manifest.files().len(),
        size_bytes: manifest.size_bytes(),
        received_bytes,
        signature,
        provenance,
    })
}

/// The folder for unfinished files, under a name that no file of the model has.
fn parts_name(manifest: &Manifest) -> String {
    let taken = |name: &str| manifest.files().iter().any(|file| file.path.split('/').next() == Some(name));
    let names = std::iter::once(PARTS_DIR.to_owned()).chain((2..).map(|n| format!("{PARTS_DIR}-{n}")));
    names.into_iter().find(|name| !taken(name)).unwrap_or_else(|| PARTS_DIR.to_owned())
}

fn frozen(version: &ModelVersion) -> Result<&FrozenContent, PullError> {
    version.content.as_ref().ok_or_else(|| PullError::NotFrozen {
        name: version.name.clone(),
        version: version.version,
        source_uri: version.source.clone(),
    })
}

async fn fetch_manifest(client: &Client, uid: &str, content: &FrozenContent) -> Result<Manifest, PullError> {
    let bytes = client.manifest(uid).await?;
    expect("the manifest", content.manifest_digest, Digest::of(&bytes))?;
    Ok(Manifest::parse(&bytes)?)
}

fn expect(what: &str, expected: Digest, actual: Digest) -> Result<(), PullError> {
    if expected == actual {
        return Ok(());
    }
    Err(PullError::Digest { what: what.to_owned(), expected, actual })
}

struct Pull {
    client: Client,
    uid: String,
    dir: PathBuf,
    parts: PathBuf,
    progress: Arc<dyn Progress>,
}

impl Pull {
    /// Makes the folder and tells which files it lacks.
    async fn prepare(&self, manifest: &Manifest) -> Result<Vec<ModelFile>, PullError> {
        let (dir, parts) = (self.dir.clone(), self.parts.clone());
        let files = manifest.files().to_vec();
        let work = move || {
            std::fs::create_dir_all(&dir).map_err(FilesError::io("create", &dir))?;
            if parts.exists() {
                std::fs::remove_dir_all(&parts).map_err(FilesError::io("remove", &parts))?;
            }
            let present = walk(&dir)?;
            let known: HashSet<&str> = files
                .iter()
                .map(|file| file.path.as_str())
                .chain([SIGNATURE_FILE, PROVENANCE_FILE, MLFLOW_META_FILE])
                .collect();
            if let Some(foreign) = present.iter().find(|file| !known.contains(file.path.as_str())) {
                return Err(PullError::ForeignFile(foreign.location.clone()));
            }
            let present: HashSet<&str> = present.iter().map(|file| file.path.as_str()).collect();
            let mut lacking = Vec::new();
            for file in files {
                let there = present.contains(file.path.as_str())
                    && hash_file(&dir.join(&file.path), &Silent)? == (file.digest, file.size_bytes);
                if !there {
                    lacking.push(file);
                }
            }
            std::fs::create_dir(&parts).map_err(FilesError::io("create", &parts))?;
            Ok(lacking)
        };
        tokio::task::spawn_blocking(work).await.expect("preparing a folder does not panic")
    }

    async fn fetch(&self, file: ModelFile) -> Result<(), PullError> {
        let part = self.part();
        let digest = self.receive(&file, &part).await?;
        expect(&file.path, file.digest, digest)?;
        self.settle(&part, &file.path).await
    }

    /// A name for a file that is not verified yet.
    fn part(&self) -> PathBuf {
        self.parts.join(uuid::Uuid::new_v4().simple().to_string())
    }

    /// Writes a file's bytes to `part`; a broken connection goes on where it ended.
    async fn receive(&self, file: &ModelFile, part: &Path) -> Result<Digest, PullError> {
        let target = tokio::fs::File::create(part).await.map_err(FilesError::io("create", part))?;
        let mut target = tokio::io::BufWriter::with_capacity(WRITE_BUFFER_BYTES, target);
        let mut hasher = Hasher::default();
        let mut offset = 0;
        let mut failures = 0;
        while offset < file.size_bytes {
            let before = offset;
            let outcome = self.receive_from(file, &mut offset, &mut hasher, &mut target).await;
            if offset > before {
                failures = 0;
            }
            match outcome {
                Ok(()) if offset == file.size_bytes => break,
                Err(PullError::Client(error)) if !error.is_passing() || failures + 1 >= ATTEMPTS => {
                    return Err(error.into());
                }
                Err(error @ (PullError::Files(_) | PullError::Digest { .. })) => return Err(error),
                // Fewer bytes than the manifest says, without an error: the digest tells below.
                Ok(()) if failures + 1 >= ATTEMPTS => break,
                _ => failures += 1,
            }
        }
        target.flush().await.map_err(FilesError::io("write", part))?;
        Ok(hasher.finish())
    }

    async fn receive_from(
        &self,
        file: &ModelFile,
        offset: &mut u64,
        hasher: &mut Hasher,
        target: &mut tokio::io::BufWriter<tokio::fs::File>,
    ) -> Result<(), PullError> {
        let range = (*offset > 0).then_some(ByteRange { start: *offset, end: None });
        let mut download = self.client.file_stream(&self.uid, &file.path, range).await?;
        while let Some(chunk) = download.chunks.try_next().await? {
            *offset += chunk.len() as u64;
            if *offset > file.size_bytes {
                hasher.update(&chunk);
                let actual = hasher.clone().finish();
                return Err(PullError::Digest { what: file.path.clone(), expected: file.digest, actual });
            }
            hasher.update(&chunk);
            target.write_all(&chunk).await.map_err(FilesError::io("write", &self.dir.join(&file.path)))?;
            self.progress.advance(chunk.len() as u64);
        }
        Ok(())
    }

    /// Gives a verified file its name.
    async fn settle(&self, part: &Path, path: &str) -> Result<(), PullError> {
        let target = self.dir.join(path);
        if let Some(parent) = target.parent() {
            tokio::fs::create_dir_all(parent).await.map_err(FilesError::io("create", parent))?;
        }
        tokio::fs::rename(part, &target).await.map_err(FilesError::io("write", &target))?;
        Ok(())
    }

    /// Writes the newest referrer of a type, if there is one.
    async fn write_referrer(
        &self,
        referrers: &[Referrer],
        media_type: &str,
        name: &str,
    ) -> Result<bool, PullError> {
        let of_type = referrers.iter().filter(|referrer| referrer.artifact_type == media_type);
        let Some(referrer) = of_type.max_by_key(|referrer| referrer.created_at_ms) else {
            return Ok(false);
        };
        let bytes = self.client.blob(&referrer.digest).await?;
        expect(name, referrer.digest, Digest::of(&bytes))?;
        let part = self.part();
        tokio::fs::write(&part, &bytes).await.map_err(FilesError::io("write", &part))?;
        self.settle(&part, name).await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_files_never_lie_among_the_models_own() {
        let named = |paths: &[&str]| {
            let file =
                |path: &&str| ModelFile { path: (*path).to_owned(), digest: Digest::of(b""), size_bytes: 0 };
            parts_name(&Manifest::build(paths.iter().map(file).collect()).unwrap())
        };
        assert_eq!(named(&["MLmodel", "deep/.waybill-pull"]), ".waybill-pull");
        assert_eq!(named(&[".waybill-pull/x", ".waybill-pull-2"]), ".waybill-pull-3");
    }
}
