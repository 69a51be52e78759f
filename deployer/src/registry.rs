//! The registry that this deployer serves. What is desired by another one, such as the empty
//! database that a wrong path makes, must not take away what runs.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Why nothing is done for the registry that answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this deployer has served the registry {remembered}, and {found} answers now: another database, or \
     a new and empty one. Nothing is started or removed, and routes stay. Check --data-dir and \
     --database-url, or restore a backup; if {found} is meant to take over, and to remove what it does \
     not desire, start once with `waybill serve --accept-registry {found}`"
)]
pub struct Stranger {
    pub remembered: String,
    pub found: String,
}

/// Whom we serve, across restarts.
#[derive(Debug)]
pub struct KnownRegistry {
    path: PathBuf,
    accepted: Option<String>,
    remembered: Mutex<Option<String>>,
}

impl KnownRegistry {
    /// `accepted` may take the place of the one served so far.
    pub fn open(folder: &Path, accepted: Option<String>) -> io::Result<Self> {
        let path = folder.join("registry");
        let remembered = match fs::read_to_string(&path) {
            Ok(text) => Some(text.trim().to_owned()).filter(|id| !id.is_empty()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Self { path, accepted, remembered: Mutex::new(remembered) })
    }

    /// Whether the registry with this id is the one that we serve; the first one is, for ever.
    pub fn check(&self, found: &str) -> io::Result<Result<(), Stranger>> {
        let mut remembered = self.remembered();
        match remembered.as_deref() {
            Some(known) if known == found => return Ok(Ok(())),
            Some(known) if self.accepted.as_deref() != Some(found) => {
                return Ok(Err(Stranger { remembered: known.to_owned(), found: found.to_owned() }));
            }
            Some(known) => tracing::warn!(known, found, "another registry is served from now on"),
            None => {}
        }
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        io::Write::write_all(&mut file, found.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        *remembered = Some(found.to_owned());
        Ok(Ok(()))
    }

    fn remembered(&self) -> MutexGuard<'_, Option<String>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &tempfile::TempDir, accepted: Option<&str>) -> KnownRegistry {
        KnownRegistry::open(folder.path(), accepted.map(str::to_owned)).unwrap()
    }

    #[test]
    fn the_first_registry_is_remembered_and_another_one_needs_a_word() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(open(&folder, None).check("a").unwrap(), Ok(()));
        let later = open(&folder, None);
        assert_eq!(later.check("a").unwrap(), Ok(()));
        let stranger = later.check("b").unwrap().unwrap_err();
        assert_eq!(stranger, Stranger { remembered: "a".into(), found: "b".into() });
        assert!(stranger.to_string().contains("--accept-registry b"), "{stranger}");
        assert!(open(&folder, Some("c")).check("b").unwrap().is_err(), "another one was meant");
        assert_eq!(open(&folder, Some("b")).check("b").unwrap(), Ok(()));
        assert!(open(&folder, None).check("a").unwrap().is_err(), "the change is remembered");
    }
}
