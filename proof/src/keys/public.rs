//! Public keys and the check of a signature.

use super::{InvalidKey, pem_block};
use crate::Digest;
use p256::{
    ecdsa::{DerSignature, VerifyingKey, signature::hazmat::PrehashVerifier},
    pkcs8::{DecodePublicKey, EncodePublicKey, LineEnding},
};
use std::fmt;

const LABEL: &str = "PUBLIC KEY";
const EXPECTED: &str = "a P-256 public key as `-----BEGIN PUBLIC KEY-----` (SPKI)";

/// A P-256 public key.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    key: VerifyingKey,
    pem: String,
    hint: String,
}

impl PublicKey {
    /// Reads SPKI PEM; text around the block is ignored.
    pub fn from_pem(text: &str) -> Result<Self, InvalidKey> {
        let block = pem_block(text, LABEL).ok_or(InvalidKey::NoPem { expected: EXPECTED })?;
        let content = |error: p256::pkcs8::spki::Error| InvalidKey::Content {
            label: LABEL.to_owned(),
            reason: error.to_string(),
            expected: EXPECTED,
        };
        Self::new(VerifyingKey::from_public_key_pem(&block).map_err(content)?).map_err(content)
    }

    pub(super) fn new(key: VerifyingKey) -> Result<Self, p256::pkcs8::spki::Error> {
        let pem = key.to_public_key_pem(LineEnding::LF)?;
        let hint = Digest::of(pem.as_bytes()).hex();
        Ok(Self { key, pem, hint })
    }

    /// SPKI PEM text with a final line feed.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Hex SHA-256 of [`Self::pem`].
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// Whether `signature_der` is this key's signature of `digest`.
    pub fn verifies(&self, digest: &Digest, signature_der: &[u8]) -> bool {
        DerSignature::try_from(signature_der)
            .is_ok_and(|signature| self.key.verify_prehash(digest.as_bytes(), &signature).is_ok())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.hint)
    }
}
