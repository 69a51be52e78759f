//! Files of a backup, written durably and hashed on the way.

use super::BackupError;
use sha2::{Digest as _, Sha256};
use std::{
    fs::{self, File, OpenOptions},
    io::{BufReader, BufWriter, Read as _, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};
use waybill_proof::Digest;

const CHUNK_BYTES: usize = 1 << 20;

/// Where the table `name` lies in a backup.
pub fn table_path(dir: &Path, name: &str) -> PathBuf {
    dir.join("tables").join(format!("{name}.jsonl"))
}

/// Where a blob lies in a backup.
pub fn blob_path(dir: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.hex();
    dir.join("blobs/sha256").join(&hex[..2]).join(hex)
}

/// Where the key `name` lies, in a backup and in a data directory.
pub fn key_path(dir: &Path, name: &str) -> PathBuf {
    dir.join("keys").join(name)
}

/// A new file that knows the digest of what was written to it.
pub struct HashedFile {
    path: PathBuf,
    file: BufWriter<File>,
    hasher: Sha256,
}

impl HashedFile {
    /// Fails when the file exists.
    pub fn create(path: &Path) -> Result<Self, BackupError> {
        make_parent(path)?;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(BackupError::io("create", path))?;
        let file = BufWriter::with_capacity(CHUNK_BYTES, file);
        Ok(Self { path: path.to_owned(), file, hasher: Sha256::new() })
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(BackupError::io("write", &self.path))
    }

    /// Makes it durable.
    pub fn finish(mut self) -> Result<Digest, BackupError> {
        let done = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        done.map_err(BackupError::io("write", &self.path))?;
        Ok(Digest::from_bytes(self.hasher.finalize().into()))
    }
}

/// Writes a small file that only its owner may read, durably; it appears whole or not at all. Fails when
/// it exists.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<Digest, BackupError> {
    let draft = draft_path(path);
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(BackupError::io("remove", &draft)(error));
        }
        _ => {}
    }
    let mut file = HashedFile::create(&draft)?;
    file.write(bytes)?;
    let digest = file.finish()?;
    if let Err(error) = move_new(&draft, path) {
        let _ = fs::remove_file(&draft);
        return Err(BackupError::io("create", path)(error));
    }
    sync_dir(path.parent().unwrap_or(path))?;
    Ok(digest)
}

/// Moves a file to a name that nothing has.
fn move_new(from: &Path, to: &Path) -> std::io::Result<()> {
    use rustix::{
        fs::{CWD, RenameFlags, renameat_with},
        io::Errno,
    };
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system that has no such move, as some behind a network: nobody else writes there.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if !to.exists() => fs::rename(from, to),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Err(std::io::ErrorKind::AlreadyExists.into()),
        moved => Ok(moved?),
    }
}

/// Where a file lies until it is whole; what is left there by a process that was killed is in nobody's way.
fn draft_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    path.with_file_name(name)
}

/// Fails with [`BackupError::Damaged`] when the file has another digest.
pub fn check(path: &Path, expected: &Digest) -> Result<(), BackupError> {
    let file = File::open(path).map_err(BackupError::io("open", path))?;
    let mut reader = BufReader::with_capacity(CHUNK_BYTES, file);
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let n = reader.read(&mut chunk).map_err(BackupError::io("read", path))?;
        if n == 0 {
            break;
        }
        hasher.update(&chunk[..n]);
    }
    let found = Digest::from_bytes(hasher.finalize().into());
    if found == *expected {
        return Ok(());
    }
    Err(BackupError::Damaged {
        path: path.to_owned(),
        expected: expected.to_string(),
        found: found.to_string(),
    })
}

pub fn make_parent(path: &Path) -> Result<(), BackupError> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).map_err(BackupError::io("create", parent))
}

pub fn sync_dir(path: &Path) -> Result<(), BackupError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(BackupError::io("sync", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_is_whole_or_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = key_path(folder.path(), "registry.pem");
        make_parent(&path).unwrap();
        // What a process leaves that is killed while it writes.
        fs::write(draft_path(&path), "-----BEG").unwrap();
        write_new(&path, b"whole").unwrap();
        assert!(write_new(&path, b"other").is_err(), "it exists");
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing else is left");
    }
}
