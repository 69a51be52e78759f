//! What can go wrong while evidence is gathered, signed or attached.

use crate::{
    artifacts::ArtifactError,
    db::DbError,
    error::{Failure, Kind},
};
use waybill_proof::{
    bundle::{BundleError, SealError},
    documents::{DocumentError, InvalidLockfile, RequirementsError},
    json::CanonicalError,
    manifest::ManifestError,
    oms::OmsError,
    statement::{SignStatementError, StatementError},
};

#[derive(Debug, thiserror::Error)]
pub enum ProvenanceError {
    #[error("the files cannot be frozen: {0}")]
    Manifest(#[from] ManifestError),
    #[error("the model's requirements cannot be read: {0}")]
    Requirements(#[from] RequirementsError),
    #[error("experiment_config: {0}")]
    ExperimentConfig(#[source] DocumentError),
    #[error("lockfile: {0}")]
    Lockfile(#[source] DocumentError),
    #[error("lockfile: {0}")]
    LockfileText(#[from] InvalidLockfile),
    #[error(
        "lockfile: it is not a whole resolution ({completeness}); expected every package with one version and --hash"
    )]
    LockfileIncomplete { completeness: &'static str },
    #[error("artifact_type is {found:?}; expected one of {expected}")]
    ArtifactType { found: String, expected: String },
    #[error("content has {bytes} bytes; expected at most {max}")]
    TooLarge { bytes: usize, max: usize },
    #[error(
        "the version's {file} would have {bytes} bytes; expected at most {max}: log less to the run, or smaller \
         dataset schemas and profiles"
    )]
    DocumentTooLarge { file: &'static str, bytes: usize, max: usize },
    #[error("the attached signature is refused: {0}")]
    Signature(#[from] BundleError),
    #[error("the attached statement is refused: {0}")]
    Statement(#[from] StatementError),
    #[error("the lockfile is about requirements {found}; the version's are {expected}")]
    OtherRequirements { found: String, expected: String },
    #[error("no version with files has the uid {uid:?}")]
    NoFrozenVersion { uid: String },
    #[error("no lockfile has the key {key}")]
    NoLockfile { key: String },
    #[error("public_key_pem: {0}")]
    Key(#[from] waybill_proof::keys::InvalidKey),
    #[error("role is {role:?}; expected \"deployer\": the registry makes its own key")]
    KeyRole { role: String },
    #[error("a document could not be written: {0}")]
    Document(#[source] DocumentError),
    #[error("a statement could not be signed: {0}")]
    Sign(#[from] SignStatementError),
    #[error("a signature could not be made: {0}")]
    Seal(#[from] SealError),
    #[error("a signature could not be made: {0}")]
    Oms(#[from] OmsError),
    #[error("a statement could not be written: {0}")]
    Canonical(#[from] CanonicalError),
    #[error("a stored statement cannot be read: {0}")]
    Stored(#[source] serde_json::Error),
    #[error(transparent)]
    Artifacts(#[from] ArtifactError),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Failure for ProvenanceError {
    fn kind(&self) -> Kind {
        match self {
            Self::Manifest(_)
            | Self::Requirements(_)
            | Self::ExperimentConfig(_)
            | Self::Lockfile(_)
            | Self::LockfileText(_)
            | Self::LockfileIncomplete { .. }
            | Self::ArtifactType { .. }
            | Self::Signature(_)
            | Self::Statement(_)
            | Self::OtherRequirements { .. }
            | Self::Key(_)
            | Self::KeyRole { .. } => Kind::Invalid,
            Self::TooLarge { .. } | Self::DocumentTooLarge { .. } => Kind::TooLarge,
            Self::NoFrozenVersion { .. } | Self::NoLockfile { .. } => Kind::NotFound,
            Self::Document(_)
            | Self::Sign(_)
            | Self::Seal(_)
            | Self::Oms(_)
            | Self::Canonical(_)
            | Self::Stored(_) => Kind::Internal,
            Self::Artifacts(error) => error.kind(),
            Self::Db(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Manifest(_) => "FILES_NOT_FREEZABLE",
            Self::Requirements(_) => "REQUIREMENTS_UNREADABLE",
            Self::ExperimentConfig(_) => "EXPERIMENT_CONFIG_INVALID",
            Self::Lockfile(_) | Self::LockfileText(_) | Self::LockfileIncomplete { .. } => "LOCKFILE_INVALID",
            Self::ArtifactType { .. } => "ARTIFACT_TYPE_UNKNOWN",
            Self::TooLarge { .. } => "CONTENT_TOO_LARGE",
            Self::DocumentTooLarge { .. } => "DOCUMENT_TOO_LARGE",
            Self::Signature(_) => "SIGNATURE_REFUSED",
            Self::Statement(_) => "STATEMENT_REFUSED",
            Self::OtherRequirements { .. } => "LOCKFILE_FOR_OTHER_REQUIREMENTS",
            Self::NoFrozenVersion { .. } => "VERSION_NOT_FOUND",
            Self::NoLockfile { .. } => "LOCKFILE_NOT_FOUND",
            Self::Key(_) => "KEY_INVALID",
            Self::KeyRole { .. } => "KEY_ROLE_INVALID",
            Self::Document(_)
            | Self::Sign(_)
            | Self::Seal(_)
            | Self::Oms(_)
            | Self::Canonical(_)
            | Self::Stored(_) => "INTERNAL",
            Self::Artifacts(error) => error.code(),
            Self::Db(error) => error.code(),
        }
    }
}
