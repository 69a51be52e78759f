//! One process per data folder.

use crate::failure::Failure;
use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    os::unix::fs::DirBuilderExt,
    path::Path,
};

/// In the data folder; holds the id of the process that has it.
pub const FILE: &str = "lock";

/// Holds the data folder; the system gives it up when the process ends, however it ends.
pub struct DataDirLock(#[expect(dead_code, reason = "held, not used: the lock ends with the file")] File);

impl DataDirLock {
    /// Makes the folder where it is missing, readable by its owner only, and takes it.
    pub fn take(data_dir: &Path) -> Result<Self, Failure> {
        DirBuilder::new().recursive(true).mode(0o700).create(data_dir).map_err(|error| {
            Failure::Failed(format!("cannot create the data folder {}: {error}", data_dir.display()))
        })?;
        let path = data_dir.join(FILE);
        let io = |error: std::io::Error| Failure::Failed(format!("cannot lock {}: {error}", path.display()));
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(data_dir, &mut file)),
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        file.set_len(0).map_err(io)?;
        file.rewind().map_err(io)?;
        write!(file, "{}", std::process::id()).map_err(io)?;
        Ok(Self(file))
    }
}

fn in_use(data_dir: &Path, file: &mut File) -> Failure {
    let mut pid = String::new();
    let holder = match file.read_to_string(&mut pid) {
        Ok(_) if !pid.is_empty() => format!("process {pid}"),
        _ => "another process".to_owned(),
    };
    Failure::Failed(format!(
        "the data folder {} is in use by {holder}; stop it, or name another folder with --data-dir",
        data_dir.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_taker_learns_who_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("new/data");
        let held = DataDirLock::take(&data_dir).unwrap();
        let message = DataDirLock::take(&data_dir).err().unwrap().to_string();
        assert!(message.contains(&format!("in use by process {}", std::process::id())), "{message}");
        assert!(message.contains(&data_dir.display().to_string()), "{message}");
        drop(held);
        DataDirLock::take(&data_dir).unwrap();
    }
}
