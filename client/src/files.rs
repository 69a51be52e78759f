//! A model's files in a local folder: found, checked, hashed.

use crate::progress::Progress;
use sha2::{Digest as _, Sha256};
use std::{
    io::Read,
    path::{Path, PathBuf},
};
use waybill_proof::{
    Digest,
    manifest::{MLFLOW_META_FILE, RESERVED_NAMES},
    path::InvalidPath,
};

/// One read; large enough that system calls do not count.
const CHUNK_BYTES: usize = 1 << 20;

/// A folder that cannot be pushed or pulled into.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error(
        "{} is a symbolic link; a model holds regular files only: put the file itself there", .0.display()
    )]
    SymbolicLink(PathBuf),
    #[error("{} is neither a file nor a directory; a model holds regular files only", .0.display())]
    NotAFile(PathBuf),
    #[error("{} is not a directory", .0.display())]
    NotADirectory(PathBuf),
    #[error("the name of {} is not UTF-8; rename the file", .0.display())]
    NotText(PathBuf),
    #[error(transparent)]
    InvalidPath(#[from] InvalidPath),
    #[error("{} is a name kept for a version's own proof; push a folder without it", .0.display())]
    Reserved(PathBuf),
    #[error("{} holds no files", .0.display())]
    Empty(PathBuf),
    #[error("{} was changed while it was read; push again when nothing writes to it", .0.display())]
    Changed(PathBuf),
}

impl FilesError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// A file that a walk found.
#[derive(Debug, Clone)]
pub(crate) struct FoundFile {
    /// With `/`, relative to the folder.
    pub path: String,
    pub location: PathBuf,
    pub size_bytes: u64,
}

/// A local file whose content is known.
#[derive(Debug, Clone)]
pub struct HashedFile {
    /// With `/`, relative to where it belongs.
    pub path: String,
    pub location: PathBuf,
    pub digest: Digest,
    pub size_bytes: u64,
}

impl HashedFile {
    /// Reads the file at `location` through. Blocks.
    pub fn read(path: String, location: PathBuf, progress: &dyn Progress) -> Result<Self, FilesError> {
        let (digest, size_bytes) = hash_file(&location, progress)?;
        Ok(Self { path, location, digest, size_bytes })
    }
}

/// The files of a folder that is to become a model, sorted by path. Empty directories are no
/// part of a model; `registered_model_meta`, which MLflow leaves in downloads, is left out.
pub(crate) fn walk_model(dir: &Path) -> Result<Vec<FoundFile>, FilesError> {
    let mut files = walk(dir)?;
    files.retain(|file| file.path != MLFLOW_META_FILE);
    for file in &files {
        waybill_proof::path::check(&file.path)?;
        if RESERVED_NAMES.contains(&file.path.as_str()) {
            return Err(FilesError::Reserved(file.location.clone()));
        }
    }
    if files.is_empty() {
        return Err(FilesError::Empty(dir.to_owned()));
    }
    Ok(files)
}

/// Every regular file below `dir`; links and special files are refused.
pub(crate) fn walk(dir: &Path) -> Result<Vec<FoundFile>, FilesError> {
    let metadata = std::fs::metadata(dir).map_err(FilesError::io("read", dir))?;
    if !metadata.is_dir() {
        return Err(FilesError::NotADirectory(dir.to_owned()));
    }
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(dir).min_depth(1).sort_by_file_name() {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(dir).to_owned();
            FilesError::Io { action: "read", path, source: error.into() }
        })?;
        let kind = entry.file_type();
        if kind.is_dir() {
            continue;
        }
        let location = entry.path().to_owned();
        if kind.is_symlink() {
            return Err(FilesError::SymbolicLink(location));
        }
        if !kind.is_file() {
            return Err(FilesError::NotAFile(location));
        }
        let size_bytes =
            entry.metadata().map_err(|error| FilesError::io("read", &location)(error.into()))?.len();
        files.push(FoundFile { path: relative(dir, &location)?, location, size_bytes });
    }
    Ok(files)
}

fn relative(dir: &Path, location: &Path) -> Result<String, FilesError> {
    let not_text = || FilesError::NotText(location.to_owned());
    let below = location.strip_prefix(dir).map_err(|_| not_text())?;
    let segments: Option<Vec<&str>> = below.iter().map(|segment| segment.to_str()).collect();
    Ok(segments.ok_or_else(not_text)?.join("/"))
}

/// Hashes content that arrives in pieces.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(self) -> Digest {
        Digest::from_bytes(self.0.finalize().into())
    }
}

/// Digest and size in bytes of a file, read once from its begin to its end. Blocks.
pub(crate) fn hash_file(location: &Path, progress: &dyn Progress) -> Result<(Digest, u64), FilesError> {
    let io = |source| FilesError::Io { action: "read", path: location.to_owned(), source };
    let mut file = std::fs::File::open(location).map_err(io)?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut size_bytes = 0;
    loop {
        let count = file.read(&mut buffer).map_err(io)?;
        if count == 0 {
            return Ok((hasher.finish(), size_bytes));
        }
        hasher.update(&buffer[..count]);
        size_bytes += count as u64;
        progress.advance(count as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use std::fs;

    #[test]
    fn a_walk_is_sorted_and_skips_what_is_no_model_file() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("b/empty")).unwrap();
        fs::write(dir.path().join("b/x"), "12").unwrap();
        fs::write(dir.path().join("a"), "").unwrap();
        fs::write(dir.path().join("registered_model_meta"), "").unwrap();
        let found = walk_model(dir.path()).unwrap();
        let shown: Vec<_> = found.iter().map(|f| (f.path.as_str(), f.size_bytes)).collect();
        assert_eq!(shown, [("a", 0), ("b/x", 2)]);
    }

    #[test]
    fn a_hash_is_that_of_the_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..CHUNK_BYTES + 7).map(|i| i as u8).collect();
        fs::write(dir.path().join("x"), &bytes).unwrap();
        let hashed = hash_file(&dir.path().join("x"), &Silent).unwrap();
        assert_eq!(hashed, (Digest::of(&bytes), bytes.len() as u64));
    }

    #[test]
    fn what_cannot_be_in_a_model_is_named() {
        let refused = |make: &dyn Fn(&Path)| {
            let dir = tempfile::tempdir().unwrap();
            make(dir.path());
            walk_model(dir.path()).unwrap_err().to_string()
        };
        let link = refused(&|dir| std::os::unix::fs::symlink("/etc/passwd", dir.join("link")).unwrap());
        assert!(link.contains("link is a symbolic link"), "{link}");
        let folder = refused(&|dir| std::os::unix::fs::symlink("/etc", dir.join("folder")).unwrap());
        assert!(folder.contains("folder is a symbolic link"), "{folder}");
        let signature = refused(&|dir| fs::write(dir.join("model.sig"), "x").unwrap());
        assert!(signature.contains("model.sig is a name kept"), "{signature}");
        let hash = refused(&|dir| fs::write(dir.join("a#b"), "x").unwrap());
        assert!(hash.contains("a#b"), "{hash}");
        assert!(refused(&|_| ()).contains("holds no files"));
    }
}
