//! Artifacts in the local folder that the operator made the default root (`--default-artifact-root
//! file:///DIR`). Clients write there themselves; this server reads and adds files for MLflow's
//! pages, below that folder and nowhere else.
//!
//! Every path is walked one name at a time without following symbolic links: whoever can write to
//! the folder could otherwise make this server read any file of the machine.

use super::{ArtifactError, ArtifactPath, backend::blocking, tree::Entry};
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use rustix::{
    fd::OwnedFd,
    fs::{self, AtFlags, Dir, FileType, Mode, OFlags},
    io::Errno,
};
use std::{
    ffi::CStr,
    fs::File,
    io::{self, Write as _},
    path::PathBuf,
};

/// Names of files that are being written begin so.
const INCOMING: &str = ".waybill-";

/// A path below the operator's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPath {
    root: PathBuf,
    path: ArtifactPath,
}

impl LocalPath {
    /// Where `uri` lies below the folder `root`; `None` when it does not, or `root` is no folder.
    pub fn of(root: &str, uri: &str) -> Result<Option<Self>, ArtifactError> {
        let (Some(root), Some(at)) = (local_path(root), local_path(uri)) else {
            return Ok(None);
        };
        let root = root.trim_end_matches('/');
        let Some(rest) = at.strip_prefix(root).filter(|rest| rest.is_empty() || rest.starts_with('/')) else {
            return Ok(None);
        };
        let path = ArtifactPath::parse(rest.trim_matches('/'))?;
        Ok(Some(Self { root: PathBuf::from(format!("{root}/")), path }))
    }

    pub fn join(&self, below: &ArtifactPath) -> Result<Self, ArtifactError> {
        Ok(Self { root: self.root.clone(), path: self.path.join(below)? })
    }

    pub fn name(&self) -> &str {
        self.path.name()
    }

    /// The file, and its size in bytes.
    pub async fn open(&self) -> Result<(File, u64), ArtifactError> {
        let path = self.clone();
        self.outcome(blocking(move || path.open_file()).await)
    }

    /// The entries of the directory, by name; none when it is a file or missing.
    pub async fn list(&self) -> Result<Vec<Entry>, ArtifactError> {
        let path = self.clone();
        self.outcome(blocking(move || path.entries()).await)
    }

    /// Writes a file whole: durable, and never seen half.
    pub async fn write(&self, bytes: Bytes, generation: String) -> Result<(), ArtifactError> {
        let path = self.clone();
        self.outcome(blocking(move || path.write_file(&bytes, &generation)).await)
    }

    fn outcome<T>(&self, result: io::Result<T>) -> Result<T, ArtifactError> {
        let path = || self.path.to_string();
        result.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ArtifactError::NotFound { path: path() },
            io::ErrorKind::IsADirectory => ArtifactError::IsDirectory { path: path() },
            io::ErrorKind::NotADirectory => {
                ArtifactError::Occupied { path: path(), existing: path(), what: "file or a link" }
            }
            _ => ArtifactError::io(format!("{}{}", self.root.display(), self.path), error),
        })
    }

    fn open_file(&self) -> io::Result<(File, u64)> {
        let directory = self.directory(self.path.parent().unwrap_or_default(), false).map_err(missing)?;
        // A pipe must not hold the thread until somebody writes to it.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(fs::openat(&directory, self.name(), flags, Mode::empty()).map_err(missing)?);
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !metadata.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok((file, metadata.len()))
    }

    fn entries(&self) -> io::Result<Vec<Entry>> {
        let directory = match self.directory(self.path.as_str(), false) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Vec::new()),
            opened => opened?,
        };
        let mut entries = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let Some(name) = shown_name(entry.file_name()) else { continue };
            let stat = match fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                // Removed since.
                Err(Errno::NOENT) => continue,
                found => found?,
            };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => entries.push(Entry { name: name.to_owned(), size_bytes: None }),
                FileType::RegularFile => {
                    entries.push(Entry { name: name.to_owned(), size_bytes: Some(stat.st_size as u64) });
                }
                _ => {}
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn write_file(&self, bytes: &[u8], generation: &str) -> io::Result<()> {
        let directory =
            self.directory(self.path.parent().unwrap_or_default(), true).map_err(|errno| match errno {
                Errno::LOOP => io::ErrorKind::NotADirectory.into(),
                errno => io::Error::from(errno),
            })?;
        let incoming = format!("{INCOMING}{generation}");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(fs::openat(&directory, &incoming, flags, Mode::from_raw_mode(0o666))?);
        let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| {
            fs::renameat(&directory, &incoming, &directory, self.name()).map_err(io::Error::from)
        });
        if written.is_err() {
            // The first failure is the one to tell.
            let _ = fs::unlinkat(&directory, &incoming, AtFlags::empty());
        }
        written?;
        Ok(fs::fsync(&directory)?)
    }

    /// The directory `path` below the root, where `make` says so made.
    fn directory(&self, path: &str, make: bool) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // The root itself is the operator's word, link or not.
        let mut at = fs::open(&self.root, flags, Mode::empty())?;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            if make {
                match fs::mkdirat(&at, name, Mode::from_raw_mode(0o777)) {
                    Err(Errno::EXIST) => {}
                    made => made?,
                }
            }
            at = fs::openat(&at, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
        }
        Ok(at)
    }
}

/// A link, or a file where a directory should be: nothing is there for a reader.
fn missing(errno: Errno) -> io::Error {
    match errno {
        Errno::LOOP | Errno::NOTDIR => io::ErrorKind::NotFound.into(),
        errno => errno.into(),
    }
}

fn shown_name(name: &CStr) -> Option<&str> {
    // A name that is no text has no spelling in an artifact path.
    let name = name.to_str().ok()?;
    (!matches!(name, "." | "..") && !name.starts_with(INCOMING)).then_some(name)
}

/// The absolute path of `file:///DIR`, `file:/DIR` or `/DIR`, decoded.
fn local_path(uri: &str) -> Option<String> {
    let path = match uri.strip_prefix("file:") {
        Some(rest) => {
            let path = match rest.strip_prefix("//") {
                Some(with_host) => with_host.strip_prefix("localhost").unwrap_or(with_host),
                None => rest,
            };
            percent_decode_str(path).decode_utf8().ok()?.into_owned()
        }
        None => uri.to_owned(),
    };
    path.starts_with('/').then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn path(root: &str, uri: &str) -> Option<String> {
        LocalPath::of(root, uri).ok().flatten().map(|p| p.path.to_string())
    }

    #[test]
    fn only_what_is_below_the_root() {
        for (root, uri, expected) in [
            ("file:///srv/a", "file:///srv/a/1/r/artifacts", Some("1/r/artifacts")),
            ("file:///srv/a/", "/srv/a/1", Some("1")),
            ("/srv/a", "file:///srv/a", Some("")),
            ("file:/srv/a%20b", "file:///srv/a%20b/1", Some("1")),
            ("file:///srv/a", "file:///srv/ab/1", None),
            ("file:///srv/a", "file:///srv/a/../b", None),
            ("file:///srv/a", "file:///srv/a/%2e%2e/b", None),
            ("file:///srv/a", "file://host/srv/a/1", None),
            ("file:///srv/a", "s3://srv/a/1", None),
            ("s3://bucket", "s3://bucket/1", None),
            ("mlflow-artifacts:/", "file:///srv/a", None),
            ("", "/etc", None),
        ] {
            assert_eq!(path(root, uri).as_deref(), expected, "{root} {uri}");
        }
    }

    #[tokio::test]
    async fn files_are_written_listed_and_read() {
        let dir = tempfile::tempdir().unwrap();
        let root =
            LocalPath::of(dir.path().to_str().unwrap(), dir.path().to_str().unwrap()).unwrap().unwrap();
        let at = |text: &str| root.join(&ArtifactPath::parse(text).unwrap()).unwrap();
        assert_eq!(at("none").list().await.unwrap(), []);
        at("a/b.txt").write(Bytes::from_static(b"one"), "g1".into()).await.unwrap();
        at("a/b.txt").write(Bytes::from_static(b"four"), "g2".into()).await.unwrap();
        at("a/c/d").write(Bytes::new(), "g3".into()).await.unwrap();
        let entry = |name: &str, size_bytes| Entry { name: name.into(), size_bytes };
        assert_eq!(at("a").list().await.unwrap(), [entry("b.txt", Some(4)), entry("c", None)]);
        let (file, size_bytes) = at("a/b.txt").open().await.unwrap();
        assert_eq!((io::read_to_string(file).unwrap().as_str(), size_bytes), ("four", 4));
        assert!(matches!(at("a").open().await, Err(ArtifactError::IsDirectory { .. })));
        assert!(matches!(at("a/x").open().await, Err(ArtifactError::NotFound { .. })));
        assert!(matches!(at("a/b.txt/x").open().await, Err(ArtifactError::NotFound { .. })));
        let below_a_file = at("a/b.txt/x").write(Bytes::new(), "g4".into()).await;
        assert!(matches!(below_a_file, Err(ArtifactError::Occupied { .. })), "{below_a_file:?}");
        let onto_a_directory = at("a/c").write(Bytes::new(), "g5".into()).await;
        assert!(matches!(onto_a_directory, Err(ArtifactError::IsDirectory { .. })), "{onto_a_directory:?}");
        assert_eq!(at("a").list().await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn links_lead_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "s").unwrap();
        symlink(outside.path(), dir.path().join("away")).unwrap();
        symlink(outside.path().join("secret"), dir.path().join("file")).unwrap();
        let root =
            LocalPath::of(dir.path().to_str().unwrap(), dir.path().to_str().unwrap()).unwrap().unwrap();
        let at = |text: &str| root.join(&ArtifactPath::parse(text).unwrap()).unwrap();
        for text in ["away/secret", "file"] {
            assert!(matches!(at(text).open().await, Err(ArtifactError::NotFound { .. })), "{text}");
        }
        assert_eq!(at("").list().await.unwrap(), []);
        assert_eq!(at("away").list().await.unwrap(), []);
        let through = at("away/new").write(Bytes::new(), "g".into()).await;
        assert!(matches!(through, Err(ArtifactError::Occupied { .. })), "{through:?}");
        assert!(!outside.path().join("new").exists());
    }
}
