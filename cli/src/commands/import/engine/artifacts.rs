//! Files from the source into the content store: what is there is not sent again, and nothing is
//! ever whole in memory.

use super::{Engine, Stopped, reason, runs::Artifacts};
use crate::{
    commands::import::{
        error::SourceError,
        places::{Place, Remote},
        report::Became,
    },
    failure::Failure,
};
use futures::{StreamExt, TryStreamExt};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};
use tokio::io::AsyncWriteExt;
use waybill_client::{
    HashedFile, Hasher,
    api::{ImportArtifacts, ImportResult, ImportedKind, ImportedState},
    progress::Progress,
    push,
};

/// Files of one upload session.
const FILES: usize = 500;
/// Bytes of one upload session, one larger file apart: so much lies in the spool at once.
const BYTES: u64 = 128 << 20;
const PARALLEL: usize = 4;

impl Engine {
    /// Brings the files over of an object that is here; what became of it, or `None` when some could not be.
    pub(super) async fn bring_new(&self, artifacts: Option<&Artifacts>) -> Result<Option<Became>, Stopped> {
        let Some(artifacts) = artifacts.filter(|artifacts| !artifacts.is_empty()) else {
            return Ok(Some(Became::Unchanged));
        };
        let (all, sent) = self.bring_counted(artifacts).await?;
        Ok(all.then_some(if sent == 0 { Became::Unchanged } else { Became::Updated }))
    }

    /// Brings the files over that are not here; false when some could not be.
    pub(super) async fn bring(&self, artifacts: &Artifacts) -> Result<bool, Stopped> {
        Ok(self.bring_counted(artifacts).await?.0)
    }

    /// Whether all could be brought, and how many there were to bring.
    async fn bring_counted(&self, artifacts: &Artifacts) -> Result<(bool, usize), Stopped> {
        let Artifacts { place, directory, listing } = artifacts;
        let mut all = listing.refused.is_empty();
        for (path, why) in &listing.refused {
            self.journal.file_failed(&format!("{directory}/{path}"), why);
        }
        let (fitting, unfit): (Vec<&Remote>, Vec<&Remote>) =
            listing.files.iter().partition(|file| fits(&format!("{directory}/{}", file.path)));
        for file in unfit {
            let why = "its path is longer or deeper than Waybill keeps";
            self.journal.file_failed(&format!("{directory}/{}", file.path), why);
            all = false;
        }
        let named = |file: &&Remote| (format!("{directory}/{}", file.path), file.fingerprint.clone());
        let known = self.look_up(ImportedKind::Artifact, fitting.iter().map(named).collect()).await?;
        let here = fitting.len();
        let pending: Vec<&Remote> = fitting
            .into_iter()
            .zip(known)
            .filter(|(_, known)| known.state != ImportedState::Complete)
            .map(|(file, _)| file)
            .collect();
        self.journal.files(listing.files.len(), 0, here - pending.len(), 0);
        for some in sessions(&pending) {
            all &= self.session(place, directory, some).await?;
        }
        Ok((all, pending.len()))
    }

    /// Brings some files over in one upload session.
    async fn session(&self, place: &Place, directory: &str, files: &[&Remote]) -> Result<bool, Stopped> {
        let spool = tempfile::tempdir_in(self.spool.path()).map_err(Failure::from)?;
        let fetched = files.iter().enumerate().map(|(number, file)| {
            let into = spool.path().join(number.to_string());
            async move { Ok::<_, Stopped>((*file, self.fetch(place, file, into).await?)) }
        });
        let fetched: Vec<(&Remote, Result<HashedFile, String>)> =
            futures::stream::iter(fetched).buffer_unordered(PARALLEL).try_collect().await?;
        let (mut hashed, mut fingerprints, mut all) = (Vec::new(), BTreeMap::new(), true);
        for (file, outcome) in fetched {
            match outcome {
                Ok(read) => {
                    fingerprints.insert(file.path.clone(), file.fingerprint.clone());
                    hashed.push(read);
                }
                Err(why) => {
                    self.journal.file_failed(&format!("{directory}/{}", file.path), why);
                    all = false;
                }
            }
        }
        if hashed.is_empty() {
            return Ok(all);
        }
        let progress: Arc<dyn Progress> = Arc::clone(&self.watch) as Arc<dyn Progress>;
        let (upload, sent_bytes) =
            push::send_files(&self.client, &hashed, &progress).await.map_err(Failure::from)?;
        let (upload_id, root) = (upload.upload_id, directory.to_owned());
        let asked = ImportArtifacts { upload_id, root, fingerprints };
        let outcome = self.client.import_artifacts(&self.import_id, &asked).await?;
        if outcome.result == ImportResult::Refused {
            self.journal.file_failed(directory, reason(&outcome));
            return Ok(false);
        }
        self.journal.files(0, hashed.len(), 0, sent_bytes);
        Ok(all)
    }

    /// A file of the source with its digest: where it is, or in the spool.
    async fn fetch(
        &self,
        place: &Place,
        file: &Remote,
        into: PathBuf,
    ) -> Result<Result<HashedFile, String>, Stopped> {
        let outcome = match place.local(&file.path) {
            Some(location) => {
                let (path, watch) = (file.path.clone(), Arc::clone(&self.watch));
                let read = move || HashedFile::read(path, location, watch.as_ref());
                tokio::task::spawn_blocking(read).await.map_err(Failure::failed)?.map_err(|e| e.to_string())
            }
            None => match self.download(place, file, into).await {
                Ok(read) => Ok(read),
                Err(Stopped::Source(SourceError::Object(why))) => Err(why),
                Err(stopped) => return Err(stopped),
            },
        };
        Ok(outcome.and_then(|read| match file.size_bytes {
            Some(listed) if listed != read.size_bytes => {
                Err(format!("it was listed with {listed} bytes, and {} came", read.size_bytes))
            }
            _ => Ok(read),
        }))
    }

    async fn download(&self, place: &Place, file: &Remote, into: PathBuf) -> Result<HashedFile, Stopped> {
        let mut chunks = place.open(&file.path).await?;
        let mut written = tokio::fs::File::create(&into).await.map_err(Failure::from)?;
        let (mut hasher, mut size_bytes) = (Hasher::default(), 0);
        while let Some(chunk) = chunks.try_next().await? {
            size_bytes += chunk.len() as u64;
            if file.size_bytes.is_some_and(|listed| size_bytes > listed) {
                let text = format!("more than the listed {} bytes came", file.size_bytes.unwrap_or_default());
                return Err(SourceError::Object(text).into());
            }
            hasher.update(&chunk);
            written.write_all(&chunk).await.map_err(Failure::from)?;
            self.watch.advance(chunk.len() as u64);
        }
        written.flush().await.map_err(Failure::from)?;
        Ok(HashedFile { path: file.path.clone(), location: into, digest: hasher.finish(), size_bytes })
    }
}

/// Whether the registry keeps a path of that length and depth.
fn fits(path: &str) -> bool {
    path.len() <= 1_000 && path.split('/').count() <= 64 && path.split('/').all(|name| name.len() <= 255)
}

/// Files that go together.
fn sessions<'f, 'r>(files: &'f [&'r Remote]) -> Vec<&'f [&'r Remote]> {
    let mut sessions = Vec::new();
    let (mut first, mut bytes) = (0, 0_u64);
    for (at, file) in files.iter().enumerate() {
        let size = file.size_bytes.unwrap_or(BYTES / FILES as u64);
        if at > first && (at - first >= FILES || bytes.saturating_add(size) > BYTES) {
            sessions.push(&files[first..at]);
            (first, bytes) = (at, 0);
        }
        bytes = bytes.saturating_add(size);
    }
    if first < files.len() {
        sessions.push(&files[first..]);
    }
    sessions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_hold_all_files_within_their_limits() {
        let remote = |size| Remote { path: "f".into(), size_bytes: size, fingerprint: "?".into() };
        let sizes: Vec<Remote> = (0..1_200).map(|n| remote((n % 7 != 0).then_some(n * 4_000_000))).collect();
        let files: Vec<&Remote> = sizes.iter().collect();
        let sessions = sessions(&files);
        assert_eq!(sessions.iter().map(|some| some.len()).sum::<usize>(), files.len());
        for some in sessions {
            let bytes: u64 = some.iter().map(|file| file.size_bytes.unwrap_or_default()).sum();
            assert!(!some.is_empty() && some.len() <= FILES && (some.len() == 1 || bytes <= BYTES));
        }
        assert!(super::sessions(&[]).is_empty());
    }
}
