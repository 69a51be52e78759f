//! A backup as one file.

use crate::failure::Failure;
use std::{
    fs::File,
    io::{BufReader, BufWriter},
    path::{Path, PathBuf},
};
use tempfile::TempDir;

pub fn is_archive_name(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tar"))
}

/// An empty folder where `archive` will be, so that both share a file system.
pub fn staging_beside(archive: &Path) -> Result<TempDir, Failure> {
    if archive.exists() {
        return Err(Failure::Failed(format!("{} exists already; name a new file", archive.display())));
    }
    let parent = archive.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(|error| Failure::file("create", parent, &error))?;
    tempfile::Builder::new()
        .prefix(".waybill-backup-")
        .tempdir_in(parent)
        .map_err(|error| Failure::file("write in", parent, &error))
}

/// Packs `folder` into the new file `archive`, readable by its owner only.
pub async fn pack(folder: TempDir, archive: PathBuf) -> Result<(), Failure> {
    let work = move || {
        let fail = |error: std::io::Error| Failure::file("write", &archive, &error);
        // Half an archive must not look like one, not even after a crash: it gets its name when whole.
        let parent = archive.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = tempfile::Builder::new().prefix(".waybill-backup-").tempfile_in(parent).map_err(fail)?;
        let mut tar = tar::Builder::new(BufWriter::with_capacity(1 << 20, file));
        let whole = tar
            .append_dir_all("", folder.path())
            .and_then(|()| tar.into_inner()?.into_inner().map_err(Into::into));
        let file = whole.map_err(fail)?;
        file.as_file().sync_all().map_err(fail)?;
        file.persist_noclobber(&archive).map_err(|error| fail(error.error))?;
        File::open(parent).and_then(|folder| folder.sync_all()).map_err(fail)
    };
    tokio::task::spawn_blocking(work).await.map_err(Failure::failed)?
}

/// Unpacks `archive` into a folder that is removed when dropped.
pub async fn unpack(archive: PathBuf, into: &Path) -> Result<TempDir, Failure> {
    let folder = tempfile::Builder::new()
        .prefix(".waybill-restore-")
        .tempdir_in(into)
        .map_err(|error| Failure::file("write in", into, &error))?;
    let work = move || {
        let file = File::open(&archive).map_err(|error| Failure::file("read", &archive, &error))?;
        tar::Archive::new(BufReader::with_capacity(1 << 20, file)).unpack(folder.path()).map_err(
            |error| Failure::Failed(format!("{} is not a backup archive: {error}", archive.display())),
        )?;
        Ok(folder)
    };
    tokio::task::spawn_blocking(work).await.map_err(Failure::failed)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[tokio::test]
    async fn what_is_packed_comes_back_and_the_archive_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let archive = dir.path().join("new/backup.tar");
        let staging = staging_beside(&archive).unwrap();
        std::fs::create_dir(staging.path().join("keys")).unwrap();
        std::fs::write(staging.path().join("keys/registry.pem"), "secret").unwrap();
        pack(staging, archive.clone()).await.unwrap();
        assert_eq!(std::fs::metadata(&archive).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(archive.parent().unwrap()).unwrap().count(), 1, "nothing else is left");
        let back = unpack(archive.clone(), dir.path()).await.unwrap();
        assert_eq!(std::fs::read_to_string(back.path().join("keys/registry.pem")).unwrap(), "secret");
        assert!(staging_beside(&archive).unwrap_err().to_string().contains("exists already"));
    }

    #[tokio::test]
    async fn other_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.tar");
        std::fs::write(&file, [7; 2000]).unwrap();
        let message = unpack(file, dir.path()).await.unwrap_err().to_string();
        assert!(message.contains("x.tar is not a backup archive"), "{message}");
    }
}
