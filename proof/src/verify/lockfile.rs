//! Verification of a lockfile that somebody else resolved.

use crate::{
    Digest,
    bundle::{self, BundleError},
    documents::{Document, DocumentError, Lockfile},
    keys::{KeyRole, TrustedKeys},
    statement::{LockfileResolution, Predicate, StatementError},
};

/// A lockfile that must not be used.
#[derive(Debug, thiserror::Error)]
pub enum LockfileRefused {
    #[error("the lockfile's signature: {0}")]
    Bundle(#[from] BundleError),
    #[error("the lockfile's signature: {0}")]
    Statement(#[from] StatementError),
    #[error("the lockfile: {0}")]
    Document(#[from] DocumentError),
    #[error("the signature is about the {field} {signed}; the lockfile has {found}")]
    Other { field: &'static str, signed: Digest, found: Digest },
}

/// Verifies that `bundle` is a trusted deployer's statement about exactly the lockfile `document`.
pub fn lockfile(
    document: &[u8],
    bundle: &[u8],
    keys: &TrustedKeys,
) -> Result<(Lockfile, LockfileResolution), LockfileRefused> {
    let opened = bundle::open(bundle, &keys.for_role(KeyRole::Deployer))?;
    let resolution = LockfileResolution::read(&opened.statement)?;
    let same = |field, signed: Digest, found: Digest| {
        if signed == found { Ok(()) } else { Err(LockfileRefused::Other { field, signed, found }) }
    };
    same("lockfile", resolution.lockfile_digest, Digest::of(document))?;
    let lockfile = Lockfile::parse(document)?;
    same("requirements", resolution.requirements_digest, lockfile.inputs.requirements_digest)?;
    same("lock key", resolution.lock_key, lockfile.key())?;
    Ok((lockfile, resolution))
}
