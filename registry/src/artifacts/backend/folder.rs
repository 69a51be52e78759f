//! Content in a local folder: durable before it has its name, and nothing half-written after a crash.

use crate::artifacts::keys::Key;
use bytes::Bytes;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, IoSlice, Read as _, Write as _},
    path::{Path, PathBuf},
};

/// Bodies past this size reserve their disk space up front, so that a full disk is known before
/// the body is sent and not after.
const RESERVE_MIN_BYTES: u64 = 1 << 20;
/// Slices per `writev`; the system takes 1,024 at most.
const SLICES_MAX: usize = 256;

pub struct Folder {
    root: PathBuf,
    /// Name of this process's own folder under `incoming/`.
    holder: String,
    /// Held as long as the process lives: tells others that its incoming files are not leftovers.
    _lock: File,
}

impl Folder {
    /// Opens or makes the folder, checks that it can be written, and removes what processes that
    /// died left in `incoming/`.
    pub fn open(root: &Path, holder: String) -> io::Result<Self> {
        let incoming = root.join("incoming");
        fs::create_dir_all(root.join("blobs/sha256"))?;
        fs::create_dir_all(&incoming)?;
        sweep(&incoming)?;
        let own = incoming.join(&holder);
        fs::create_dir(&own)?;
        let lock = OpenOptions::new().write(true).create_new(true).open(own.join(LOCK))?;
        lock.try_lock().map_err(io::Error::from)?;
        for dir in [&own, &incoming, root] {
            sync_dir(dir)?;
        }
        Ok(Self { root: root.to_owned(), holder, _lock: lock })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn read_small(&self, key: &Key, max_bytes: u64) -> io::Result<Option<Bytes>> {
        let mut bytes = Vec::new();
        match File::open(self.path_of(key)) {
            Ok(file) => file.take(max_bytes).read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(bytes.into()))
    }

    pub fn path_of(&self, key: &Key) -> PathBuf {
        self.root.join(key.to_string())
    }

    /// A file for a body of `size_bytes`, when that is known. It goes away unless it is placed.
    pub fn begin(&self, generation: &str, size_bytes: Option<u64>) -> io::Result<IncomingFile> {
        let key = Key::Incoming { holder: self.holder.clone(), generation: generation.to_owned() };
        let path = self.path_of(&key);
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        let incoming = IncomingFile { file, path: Some(path) };
        if let Some(size_bytes) = size_bytes.filter(|size| *size >= RESERVE_MIN_BYTES) {
            incoming.reserve(size_bytes)?;
        }
        Ok(incoming)
    }

    /// Makes the file durable and gives it the name `key`, durably.
    pub fn place(&self, mut incoming: IncomingFile, key: &Key) -> io::Result<()> {
        incoming.file.sync_all()?;
        let target = self.path_of(key);
        let dir = target.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let made = self.make_dirs(dir)?;
        let Some(path) = incoming.path.take() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if let Err(error) = fs::rename(&path, &target) {
            incoming.path = Some(path);
            return Err(error);
        }
        sync_dir(dir)?;
        made.iter().try_for_each(|dir| sync_dir(dir))
    }

    /// Makes `dir` below the root; the directories that got a new entry.
    fn make_dirs(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let missing: Vec<&Path> =
            dir.ancestors().take_while(|d| d.starts_with(&self.root) && !d.is_dir()).collect();
        fs::create_dir_all(dir)?;
        Ok(missing.iter().filter_map(|d| d.parent()).map(Path::to_owned).collect())
    }

    /// Removes an object and the directory that held it alone.
    pub fn remove(&self, key: &Key) -> io::Result<()> {
        let path = self.path_of(key);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if let (Key::Blob { .. }, Some(dir)) = (key, path.parent()) {
            // Not empty when another generation lies beside it.
            let _ = fs::remove_dir(dir);
        }
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let own = self.root.join("incoming").join(&self.holder);
        // What stays behind is swept by whoever opens the folder next.
        let _ = fs::remove_dir_all(own);
    }
}

/// A body on its way in. Dropping it removes the file.
pub struct IncomingFile {
    file: File,
    path: Option<PathBuf>,
}

impl IncomingFile {
    pub fn write(&mut self, batch: &[Bytes]) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> = batch.iter().map(|bytes| IoSlice::new(bytes)).collect();
        let mut rest = slices.as_mut_slice();
        while !rest.is_empty() {
            let head = &rest[..rest.len().min(SLICES_MAX)];
            match self.file.write_vectored(head) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut rest, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A second handle on the same file, to start writing it back while it grows.
    pub fn handle(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    fn reserve(&self, size_bytes: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        match fallocate(&self.file, FallocateFlags::KEEP_SIZE, 0, size_bytes) {
            // Not every file system can: then a full disk shows while writing.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) | Ok(()) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Drop for IncomingFile {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // Best effort: the sweep at the next start gets what this cannot.
            let _ = fs::remove_file(path);
        }
    }
}

const LOCK: &str = "lock";

/// Removes the folders of processes that no longer hold their lock.
fn sweep(incoming: &Path) -> io::Result<()> {
    for entry in fs::read_dir(incoming)? {
        let dir = entry?.path();
        let free = match File::open(dir.join(LOCK)) {
            Ok(lock) => lock.try_lock().is_ok(),
            // A crash between making the folder and its lock; a live process gets there in
            // microseconds, and then fails to open with a clear error rather than lose a file.
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if free {
            tracing::info!(folder = %dir.display(), "removing uploads that a crash cut off");
            fs::remove_dir_all(&dir)?;
        }
    }
    Ok(())
}

/// Makes new names in `dir` durable.
fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_proof::Digest;

    fn incoming_names(root: &Path, holder: &str) -> Vec<String> {
        let dir = root.join("incoming").join(holder);
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn placed_files_have_their_name_and_dropped_ones_are_gone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path(), "me".into()).unwrap();
        let batch: Vec<Bytes> = (0..700u32).map(|i| Bytes::from(i.to_string())).collect();
        let expected: Vec<u8> = batch.concat();

        let mut dropped = folder.begin("g1", None).unwrap();
        dropped.write(&batch).unwrap();
        drop(dropped);
        assert_eq!(incoming_names(dir.path(), "me"), ["lock"]);

        let mut kept = folder.begin("g2", Some(8 << 20)).unwrap();
        kept.write(&batch).unwrap();
        let key = Key::Blob { digest: Digest::of(&expected), generation: "g2".into() };
        folder.place(kept, &key).unwrap();
        assert_eq!(fs::read(folder.path_of(&key)).unwrap(), expected);
        assert_eq!(incoming_names(dir.path(), "me"), ["lock"]);

        folder.remove(&key).unwrap();
        folder.remove(&key).unwrap();
        assert!(!folder.path_of(&key).parent().unwrap().exists());
    }

    #[test]
    fn leftovers_of_the_dead_are_swept_and_those_of_the_living_stay() {
        let dir = tempfile::tempdir().unwrap();
        let dead = dir.path().join("incoming/dead");
        fs::create_dir_all(&dead).unwrap();
        fs::write(dead.join(LOCK), "").unwrap();
        fs::write(dead.join("g1"), "half a bo").unwrap();
        let living = Folder::open(dir.path(), "living".into()).unwrap();
        assert!(!dead.exists());

        let _body = living.begin("g2", None).unwrap();
        let other = Folder::open(dir.path(), "other".into()).unwrap();
        assert_eq!(incoming_names(dir.path(), "living"), ["g2", "lock"]);
        drop(other);
        assert!(!dir.path().join("incoming/other").exists());
    }
}
