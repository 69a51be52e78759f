//! The statement of whoever resolved a lockfile.

use super::{Predicate, subject};
use crate::{Digest, bundle::Subject};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who resolved a lockfile, from what and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockfileResolution {
    /// Digest of the lockfile document's bytes.
    pub lockfile_digest: Digest,
    /// Key under which the resolution is found again.
    pub lock_key: Digest,
    pub requirements_digest: Digest,
    /// Program and version that resolved it, e.g. `uv 0.9.8`.
    pub resolver: String,
    /// Which deployer did it.
    pub resolved_by: String,
    /// Whether only wheels were allowed: building a source package runs its code.
    pub wheels_only: bool,
    pub resolved_at_ms: i64,
}

impl Predicate for LockfileResolution {
    const TYPE: &'static str = "https://waybill.dev/attestation/lockfile-resolution/v1";

    fn subjects(&self) -> Vec<Subject> {
        vec![subject("lockfile", &self.lockfile_digest)]
    }
}
