//! Build contexts: tars that we write ourselves, so that nothing but what is listed here reaches
//! the builder.

use crate::engine::Context;
use std::{
    io,
    path::{Path, PathBuf},
};

/// A build context under construction.
pub struct ContextTar {
    tar: tar::Builder<Vec<u8>>,
}

impl ContextTar {
    pub fn new(dockerfile: &str) -> io::Result<Self> {
        let mut context = Self { tar: tar::Builder::new(Vec::new()) };
        context.add("Dockerfile", dockerfile.as_bytes())?;
        Ok(context)
    }

    pub fn add(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        // No time: the same files are the same context, which the builder's cache then knows.
        header.set_mtime(0);
        self.tar.append_data(&mut header, name, content)
    }

    /// Adds the wheels of a folder below `name/`; gives their number back.
    pub fn add_wheels(&mut self, name: &str, folder: &Path) -> io::Result<usize> {
        let wheels = wheels(folder)?;
        for wheel in &wheels {
            let file = wheel.file_name().unwrap_or_default().to_string_lossy();
            self.add(&format!("{name}/{file}"), &std::fs::read(wheel)?)?;
        }
        Ok(wheels.len())
    }

    pub fn finish(self) -> io::Result<Context> {
        Ok(Context::Memory(self.tar.into_inner()?.into()))
    }
}

/// The wheels of a folder, by name.
pub fn wheels(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut wheels = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "whl") {
            wheels.push(path);
        }
    }
    wheels.sort();
    Ok(wheels)
}
