//! The statement about the run that made a version, once it has ended.

use super::{Predicate, version_subjects};
use crate::{Digest, bundle::Subject, documents::RunCompleted};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the run behind a version ended. Changes nothing about what the version is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunEnd {
    /// Uid of the version.
    pub uid: String,
    pub name: String,
    pub version: i64,
    pub manifest_digest: Digest,
    pub oms_root: Digest,
    pub completed: RunCompleted,
}

impl Predicate for RunEnd {
    const TYPE: &'static str = "https://waybill.dev/attestation/run-completed/v1";

    fn subjects(&self) -> Vec<Subject> {
        version_subjects(&self.name, &self.oms_root, &self.manifest_digest)
    }
}
