//! The registration statement: which version some content is.

use super::{Imported, Predicate, version_subjects};
use crate::{Digest, bundle::Subject};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Binds a version's uid, name and number to its content and documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// Which version it is, for ever.
    pub uid: String,
    /// Registered model.
    pub name: String,
    /// Number of the version within the model.
    pub version: i64,
    /// `frozen`: the registry holds the files.
    pub custody: String,
    pub manifest_digest: Digest,
    /// Root over all file digests (OpenSSF Model Signing 1.0).
    pub oms_root: Digest,
    /// Absent when the model carries no requirements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requirements_digest: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment_config_digest: Option<Digest>,
    pub registration_snapshot_digest: Digest,
    /// Lockfile that came with the registration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lockfile_digest: Option<Digest>,
    pub registered_at_ms: i64,
    /// There when the version came from another registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
}

impl Predicate for Registration {
    const TYPE: &'static str = "https://waybill.dev/attestation/registration/v1";

    fn subjects(&self) -> Vec<Subject> {
        version_subjects(&self.name, &self.oms_root, &self.manifest_digest)
    }
}
