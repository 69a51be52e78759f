//! The documents that are stored and signed with a version, each canonical JSON with a
//! `schema_version` and a generated schema in `schemas/`.

mod experiment_config;
mod integer;
mod lockfile;
mod metric;
mod redact;
mod requirements;
mod run;
mod schema;
mod snapshot;

pub use experiment_config::{ContainerImage, Dataset, Dirty, ExperimentConfig, GitSource, RunSource};
pub use lockfile::{InvalidLockfile, LockInputs, LockMismatch, Lockfile};
pub use metric::MetricNumber;
pub use requirements::{
    Completeness, MAX_FILE_BYTES, MAX_PACKAGES, NotInstallable, Package, Requirements, RequirementsError,
    UnusableLine,
};
pub use run::{MetricValue, RunCompleted, RunSnapshot};
pub use schema::{SchemaVersion, schemas};
pub use snapshot::{LoggedModelSnapshot, RegistrationSnapshot};

use crate::{
    Digest,
    json::{CanonicalError, canonical},
};
use serde::{Serialize, de::DeserializeOwned};

/// Largest document that is read, in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 16 * 1024 * 1024;

/// Bytes that are not the document they should be.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    #[error("the document has {0} bytes; expected at most 16777216")]
    TooLarge(usize),
    #[error("the document is not valid: {0}")]
    Json(#[from] serde_json::Error),
    #[error("field {field} is {value:?}; expected {expected}")]
    Field { field: &'static str, value: String, expected: String },
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

impl DocumentError {
    fn field(field: &'static str, value: &str, expected: &str) -> Self {
        Self::Field { field, value: value.chars().take(200).collect(), expected: expected.to_owned() }
    }
}

/// A document whose canonical bytes are its identity.
pub trait Document: Serialize + DeserializeOwned {
    /// File name of its schema in `schemas/`.
    const FILE: &'static str;
    /// Media type under which it is attached to a version.
    const MEDIA_TYPE: &'static str;

    /// Rules beyond the types of the fields.
    fn validate(&self) -> Result<(), DocumentError> {
        Ok(())
    }

    /// Canonical JSON (RFC 8785): the bytes to store.
    fn to_bytes(&self) -> Result<Vec<u8>, DocumentError> {
        self.validate()?;
        Ok(canonical(self)?)
    }

    /// Digest of [`Self::to_bytes`].
    fn digest(&self) -> Result<Digest, DocumentError> {
        Ok(Digest::of(&self.to_bytes()?))
    }

    /// Reads a document in any JSON form; fields that it does not have are errors.
    fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        if bytes.len() > MAX_DOCUMENT_BYTES {
            return Err(DocumentError::TooLarge(bytes.len()));
        }
        let document: Self = serde_json::from_slice(bytes)?;
        document.validate()?;
        Ok(document)
    }
}

#[cfg(test)]
mod tests;
