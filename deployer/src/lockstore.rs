//! Lockfiles that this deployer resolved: found again without asking anybody, and only as good
//! as their signature, which is checked at every use.

use std::{fs, io, path::PathBuf};
use waybill_proof::Digest;

/// A lockfile document with the bundle that signs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedLock {
    pub document: Vec<u8>,
    pub signature: Vec<u8>,
}

impl SignedLock {
    pub fn new(document: Vec<u8>, signature: Vec<u8>) -> Self {
        Self { document, signature }
    }
}

#[derive(Debug)]
pub struct LockStore {
    folder: PathBuf,
}

impl LockStore {
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    pub fn get(&self, key: &Digest) -> Option<SignedLock> {
        let read = |suffix| fs::read(self.path(key, suffix)).ok();
        Some(SignedLock::new(read("json")?, read("sigstore.json")?))
    }

    /// Losing one costs a resolution, so a failure to write is only logged.
    pub fn put(&self, key: &Digest, lock: &SignedLock) {
        let write = |suffix: &str, bytes: &[u8]| {
            let target = self.path(key, suffix);
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            io::Write::write_all(&mut file, bytes)?;
            file.persist(target).map_err(|e| e.error)
        };
        let written = write("json", &lock.document).and_then(|_| write("sigstore.json", &lock.signature));
        if let Err(error) = written {
            tracing::warn!(%error, folder = %self.folder.display(), "a lockfile was not kept");
        }
    }

    fn path(&self, key: &Digest, suffix: &str) -> PathBuf {
        self.folder.join(format!("{}.{suffix}", key.hex()))
    }
}
