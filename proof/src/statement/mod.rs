//! The in-toto statements of this project: what they bind, and how they are read again.

mod imported;
mod lockfile_resolution;
mod provenance;
mod registration;
mod run_end;

pub use imported::Imported;
pub use lockfile_resolution::LockfileResolution;
pub use provenance::{
    BUILDER_CLIENT_REPORTED, BUILDER_IMPORTED, BUILDER_REGISTRY, Provenance, ProvenanceSubjects,
    run_invocation_id,
};
pub use registration::Registration;
pub use run_end::RunEnd;

use crate::{
    Digest,
    bundle::{SealError, Statement, Subject, sign_statement},
    json::{CanonicalError, canonical},
    keys::Signer,
    oms::STATEMENT_TYPE,
};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;

/// Name of the subject that is a version's manifest, beside the model's own.
pub const MANIFEST_SUBJECT: &str = "manifest";

/// A statement that is of another kind or contradicts itself.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    #[error("the statement's predicateType is {found:?}; expected {expected:?}")]
    PredicateType { found: String, expected: &'static str },
    #[error("the statement's predicate is not valid: {0}")]
    Predicate(#[from] serde_json::Error),
    #[error("the statement's subjects are not those that its predicate names")]
    Subjects,
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

/// The predicate of a statement: what it says about its subjects.
pub trait Predicate: Serialize + DeserializeOwned {
    /// URI of the predicate's meaning.
    const TYPE: &'static str;

    /// What the statement is about; follows from the predicate.
    fn subjects(&self) -> Vec<Subject>;

    /// The in-toto statement in canonical JSON: what gets signed.
    fn statement(&self) -> Result<Vec<u8>, StatementError> {
        Ok(canonical(&Statement {
            statement_type: STATEMENT_TYPE.to_owned(),
            subject: self.subjects(),
            predicate_type: Self::TYPE.to_owned(),
            predicate: serde_json::to_value(self)?,
        })?)
    }

    /// The statement, signed: bytes of a Sigstore bundle.
    fn sign(&self, signer: &dyn Signer) -> Result<Vec<u8>, SignStatementError> {
        Ok(sign_statement(signer, &self.statement()?)?)
    }

    /// Reads the predicate of a statement and checks that the subjects follow from it.
    fn read(statement: &Statement) -> Result<Self, StatementError> {
        if statement.predicate_type != Self::TYPE {
            let found = statement.predicate_type.chars().take(200).collect();
            return Err(StatementError::PredicateType { found, expected: Self::TYPE });
        }
        let predicate: Self = serde_json::from_value(statement.predicate.clone())?;
        if predicate.subjects() == statement.subject { Ok(predicate) } else { Err(StatementError::Subjects) }
    }
}

/// A statement that could not be made or signed.
#[derive(Debug, thiserror::Error)]
pub enum SignStatementError {
    #[error(transparent)]
    Statement(#[from] StatementError),
    #[error(transparent)]
    Seal(#[from] SealError),
}

fn subject(name: &str, digest: &Digest) -> Subject {
    Subject { name: name.to_owned(), digest: BTreeMap::from([("sha256".to_owned(), digest.hex())]) }
}

/// Model and manifest: the subjects of every statement about a version.
fn version_subjects(name: &str, oms_root: &Digest, manifest_digest: &Digest) -> Vec<Subject> {
    vec![subject(name, oms_root), subject(MANIFEST_SUBJECT, manifest_digest)]
}

#[cfg(test)]
mod tests {
    use super::{LockfileResolution, Predicate, ProvenanceSubjects, Registration, StatementError};
    use crate::{Digest, bundle::Statement};
    use serde_json::json;

    fn registration() -> Registration {
        Registration {
            uid: "u1".to_owned(),
            name: "iris".to_owned(),
            version: 1,
            custody: "frozen".to_owned(),
            manifest_digest: Digest::of(b"manifest"),
            oms_root: Digest::of(b"root"),
            requirements_digest: None,
            experiment_config_digest: None,
            registration_snapshot_digest: Digest::of(b"snapshot"),
            lockfile_digest: None,
            registered_at_ms: 1,
            imported: None,
        }
    }

    fn statement() -> Statement {
        serde_json::from_slice(&registration().statement().unwrap()).unwrap()
    }

    #[test]
    fn a_predicate_is_read_as_it_was_written() {
        assert_eq!(Registration::read(&statement()).unwrap(), registration());
        assert_eq!(statement().subject[0].name, "iris");
        assert_eq!(statement().subject[0].digest["sha256"], Digest::of(b"root").hex());
        assert_eq!(statement().subject[1].digest["sha256"], Digest::of(b"manifest").hex());
    }

    #[test]
    fn a_statement_of_another_kind_is_refused() {
        let error = LockfileResolution::read(&statement()).unwrap_err();
        assert!(matches!(error, StatementError::PredicateType { .. }), "{error}");
        assert!(matches!(ProvenanceSubjects::read(&statement()), Err(StatementError::PredicateType { .. })));
    }

    #[test]
    fn subjects_must_follow_from_the_predicate() {
        let mut other_root = statement();
        other_root.subject[0].digest.insert("sha256".to_owned(), Digest::of(b"other").hex());
        assert!(matches!(Registration::read(&other_root), Err(StatementError::Subjects)));
        let mut fewer = statement();
        fewer.subject.pop();
        assert!(matches!(Registration::read(&fewer), Err(StatementError::Subjects)));
        let mut unknown = statement();
        unknown.predicate["approved"] = json!(true);
        assert!(matches!(Registration::read(&unknown), Err(StatementError::Predicate(_))));
    }
}
