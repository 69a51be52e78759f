//! The manifest: what a model version *is*. An OCI image manifest after the CNCF ModelPack
//! specification with one raw layer per file, without name, number or time, in canonical JSON:
//! the same files give the same digest everywhere.

mod layer;
mod wire;

pub use layer::LayerKind;

use crate::{Digest, json::MAX_SAFE_INTEGER, path};
use serde::{Deserialize, Serialize};

/// Largest manifest in bytes that other OCI registries accept.
pub const MAX_MANIFEST_BYTES: usize = 4 * 1024 * 1024;
/// Names at the root that a pulled folder needs for its own proof.
pub const RESERVED_NAMES: [&str; 2] = [SIGNATURE_FILE, PROVENANCE_FILE];
/// OMS signature bundle in a pulled folder.
pub const SIGNATURE_FILE: &str = "model.sig";
/// Provenance bundle in a pulled folder.
pub const PROVENANCE_FILE: &str = "provenance.sigstore.json";
/// Written by MLflow's client beside the files that it downloads; never part of a version.
pub const MLFLOW_META_FILE: &str = "registered_model_meta";

/// One file of a model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ModelFile {
    /// Relative path, see [`crate::path::check`].
    pub path: String,
    pub digest: Digest,
    pub size_bytes: u64,
}

/// The manifest of a frozen version: at least one file, sorted by path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    files: Vec<ModelFile>,
    kinds: Vec<LayerKind>,
    bytes: Vec<u8>,
    config_bytes: Vec<u8>,
}

/// Files that cannot form a version, or bytes that are not a manifest of one.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("the model has no files; expected at least one")]
    Empty,
    #[error(transparent)]
    Path(#[from] path::InvalidPath),
    #[error(
        "the model contains {0:?}, a name that is kept for the version's own proof; rename or remove that file"
    )]
    Reserved(String),
    #[error("the path {0:?} appears twice")]
    Duplicate(String),
    #[error("{0:?} is a file and a directory of the model at once")]
    FileAndDirectory(String),
    #[error("the file {path:?} has {size_bytes} bytes; expected at most 9007199254740991")]
    FileTooLarge { path: String, size_bytes: u64 },
    #[error(
        "{files} files need a manifest of {bytes} bytes; expected at most 4194304, the limit of OCI registries: put small files into an archive"
    )]
    TooManyFiles { files: usize, bytes: usize },
    #[error("the manifest is not valid: {0}")]
    Json(#[from] serde_json::Error),
    #[error("manifest field {field} is {value:?}; expected {expected}")]
    Field { field: &'static str, value: String, expected: &'static str },
    #[error(
        "the manifest is not in its canonical form (RFC 8785, sorted by path), so its digest would not be the same everywhere"
    )]
    NotCanonical,
    #[error(transparent)]
    Canonical(#[from] crate::json::CanonicalError),
}

impl Manifest {
    /// Builds the manifest of `files`: sorts them, refuses reserved and unsafe names, leaves out
    /// `registered_model_meta`.
    pub fn build(mut files: Vec<ModelFile>) -> Result<Self, ManifestError> {
        files.retain(|file| file.path != MLFLOW_META_FILE);
        files.sort();
        let kinds = files.iter().map(|file| LayerKind::of_path(&file.path)).collect();
        Self::from_sorted(files, kinds)
    }

    /// Reads a manifest that [`Self::build`] made; anything else, and any other form of the same
    /// content, is refused.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > MAX_MANIFEST_BYTES {
            let bytes = bytes.len().to_string();
            return Err(ManifestError::Field {
                field: "length",
                value: bytes,
                expected: "at most 4194304 bytes",
            });
        }
        let (files, kinds) = wire::read(bytes)?;
        if !files.is_sorted_by(|a, b| a.path <= b.path) {
            return Err(ManifestError::NotCanonical);
        }
        let manifest = Self::from_sorted(files, kinds)?;
        if manifest.bytes == bytes { Ok(manifest) } else { Err(ManifestError::NotCanonical) }
    }

    fn from_sorted(files: Vec<ModelFile>, kinds: Vec<LayerKind>) -> Result<Self, ManifestError> {
        check_files(&files)?;
        let config_bytes = wire::config(&files)?;
        let bytes = wire::manifest(&files, &kinds, &config_bytes)?;
        if bytes.len() > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooManyFiles { files: files.len(), bytes: bytes.len() });
        }
        Ok(Self { files, kinds, bytes, config_bytes })
    }

    /// Canonical JSON of the manifest.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    /// Digest of [`Self::to_bytes`]: the identity of the content.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// The ModelPack config blob that the manifest names; stored as a blob of its own.
    pub fn config_bytes(&self) -> &[u8] {
        &self.config_bytes
    }

    pub fn config_digest(&self) -> Digest {
        Digest::of(&self.config_bytes)
    }

    /// The files, sorted by the code points of their path.
    pub fn files(&self) -> &[ModelFile] {
        &self.files
    }

    /// What each of [`Self::files`] is, in the same order.
    pub fn kinds(&self) -> &[LayerKind] {
        &self.kinds
    }

    /// The file at `path`.
    pub fn file(&self, path: &str) -> Option<&ModelFile> {
        self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok().map(|at| &self.files[at])
    }

    /// Sum of the file sizes in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.size_bytes))
    }
}

fn check_files(files: &[ModelFile]) -> Result<(), ManifestError> {
    if files.is_empty() {
        return Err(ManifestError::Empty);
    }
    let mut directories = std::collections::BTreeSet::new();
    for file in files {
        path::check(&file.path)?;
        if RESERVED_NAMES.contains(&file.path.as_str()) {
            return Err(ManifestError::Reserved(file.path.clone()));
        }
        if file.size_bytes > MAX_SAFE_INTEGER {
            return Err(ManifestError::FileTooLarge { path: file.path.clone(), size_bytes: file.size_bytes });
        }
        directories.extend(file.path.match_indices('/').map(|(at, _)| &file.path[..at]));
    }
    for (at, file) in files.iter().enumerate() {
        if at > 0 && files[at - 1].path == file.path {
            return Err(ManifestError::Duplicate(file.path.clone()));
        }
        if directories.contains(file.path.as_str()) {
            return Err(ManifestError::FileAndDirectory(file.path.clone()));
        }
    }
    for name in RESERVED_NAMES.into_iter().chain([MLFLOW_META_FILE]) {
        if directories.contains(name) {
            return Err(ManifestError::Reserved(format!("{name}/")));
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
