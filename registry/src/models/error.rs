//! What can go wrong with registered models and their versions.

use crate::{
    db::DbError,
    error::{Failure, Kind},
};
use waybill_proof::manifest::ManifestError;

#[derive(Debug, thiserror::Error)]
pub enum ModelsError {
    /// A name, number, alias, tag or other field that breaks its rule.
    #[error("{message}")]
    Invalid { code: &'static str, message: String },
    #[error("Registered Model with name={name} not found")]
    ModelNotFound { name: String },
    #[error("Model Version (name={name}, version={version}) not found")]
    VersionNotFound { name: String, version: i64 },
    #[error("Model Version (name={name}, version={version}) exists or existed here already")]
    VersionTaken { name: String, version: i64 },
    #[error("no model version has the uid {uid:?}")]
    UidNotFound { uid: String },
    #[error("Registered model alias {alias} not found.")]
    AliasNotFound { alias: String },
    #[error("{message}")]
    ModelExists { message: String },
    #[error("{reference:?} names no version of {name}: {expected}")]
    ReferenceNotFound { reference: String, name: String, expected: String },
    #[error("{reference:?} is ambiguous: {choices}; write the one that you mean in full")]
    ReferenceAmbiguous { reference: String, choices: String },
    /// Deleting or renaming would pull the ground from under something that runs.
    #[error("{subject} is in {environments}: take it out of that stage first, or promote another version")]
    Deployed { subject: String, environments: String },
    #[error("{what} already has {limit} {items}, the most that are kept")]
    TooMany { what: String, limit: i64, items: &'static str },
    /// The files cannot become a frozen version.
    #[error("the files cannot be frozen: {0}")]
    Manifest(#[from] ManifestError),
    #[error("version {subject} holds no files of its own (custody {custody}): {source_uri}")]
    NotFrozen { subject: String, custody: &'static str, source_uri: String },
    #[error(transparent)]
    Claim(#[from] crate::idempotency::ClaimError),
    #[error(transparent)]
    Provenance(#[from] crate::provenance::ProvenanceError),
    #[error(transparent)]
    Artifacts(#[from] crate::artifacts::ArtifactError),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl ModelsError {
    pub fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { code, message: message.into() }
    }

    pub fn model_not_found(name: &str) -> Self {
        Self::ModelNotFound { name: name.to_owned() }
    }

    pub fn version_not_found(name: &str, version: i64) -> Self {
        Self::VersionNotFound { name: name.to_owned(), version }
    }
}

impl Failure for ModelsError {
    fn kind(&self) -> Kind {
        match self {
            Self::Invalid { .. } | Self::Manifest(_) | Self::NotFrozen { .. } | Self::TooMany { .. } => {
                Kind::Invalid
            }
            Self::ModelNotFound { .. }
            | Self::VersionNotFound { .. }
            | Self::UidNotFound { .. }
            | Self::AliasNotFound { .. }
            | Self::ReferenceNotFound { .. } => Kind::NotFound,
            Self::ModelExists { .. } | Self::VersionTaken { .. } => Kind::AlreadyExists,
            Self::ReferenceAmbiguous { .. } | Self::Deployed { .. } => Kind::Conflict,
            Self::Claim(error) => error.kind(),
            Self::Provenance(error) => error.kind(),
            Self::Artifacts(error) => error.kind(),
            Self::Db(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Invalid { code, .. } => code,
            Self::ModelNotFound { .. } => "MODEL_NOT_FOUND",
            Self::VersionNotFound { .. } | Self::UidNotFound { .. } => "VERSION_NOT_FOUND",
            Self::VersionTaken { .. } => "VERSION_TAKEN",
            Self::AliasNotFound { .. } => "ALIAS_NOT_FOUND",
            Self::ModelExists { .. } => "MODEL_EXISTS",
            Self::ReferenceNotFound { .. } => "REFERENCE_NOT_FOUND",
            Self::ReferenceAmbiguous { .. } => "REFERENCE_AMBIGUOUS",
            Self::Deployed { .. } => "VERSION_DEPLOYED",
            Self::TooMany { .. } => "TOO_MANY",
            Self::Manifest(_) => "FILES_NOT_FREEZABLE",
            Self::NotFrozen { .. } => "VERSION_NOT_FROZEN",
            Self::Claim(error) => error.code(),
            Self::Provenance(error) => error.code(),
            Self::Artifacts(error) => error.code(),
            Self::Db(error) => error.code(),
        }
    }
}
