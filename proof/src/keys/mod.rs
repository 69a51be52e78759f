//! Signing keys: ECDSA over P-256 with SHA-256, behind one seam so that a key file, a KMS or a
//! PKCS#11 token may sign alike.

mod file;
mod public;
mod trusted;

pub use file::FileKey;
pub use public::PublicKey;
pub use trusted::{KeyRole, Trust, TrustedKeys};

use std::path::PathBuf;

/// Something that signs SHA-256 digests with a P-256 key.
pub trait Signer: Send + Sync {
    /// Signs a digest that was made by SHA-256; returns the DER-encoded ECDSA signature.
    fn sign_digest(&self, digest: [u8; 32]) -> Result<Vec<u8>, SignError>;
    /// SPKI PEM text with a final line feed.
    fn public_key_pem(&self) -> &str;
    /// Hex SHA-256 of [`Self::public_key_pem`], as in a Sigstore bundle's `publicKey.hint`.
    fn hint(&self) -> &str;
}

/// A signer that could not sign.
#[derive(Debug, thiserror::Error)]
#[error("signing with key {hint} failed: {reason}")]
pub struct SignError {
    pub hint: String,
    pub reason: String,
}

/// A key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("cannot {action} the key file {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("the key file {} has mode {mode:04o}; expected 0600: others on this machine can read or change the key. Run `chmod 600 {}`, and replace the key if that has been so on a shared machine", path.display(), path.display())]
    LooseMode { path: PathBuf, mode: u32 },
    #[error("the key file {} is damaged: {source}; restore it from a backup (a new key would not verify what was signed before)", path.display())]
    Damaged { path: PathBuf, source: InvalidKey },
    #[error(transparent)]
    Invalid(#[from] InvalidKey),
}

/// Text that is not a P-256 key in one of the PEM forms.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    #[error("found no PEM block; expected {expected}")]
    NoPem { expected: &'static str },
    #[error(
        "the private key is encrypted; expected an unencrypted P-256 key: decrypt it with `openssl pkcs8 -in KEY -out DECRYPTED`"
    )]
    Encrypted,
    #[error("the PEM block {label:?} holds no P-256 key ({reason}); expected {expected}")]
    Content { label: String, reason: String, expected: &'static str },
}

/// The PEM block labelled `label` in `text`, delimiters included: files from `openssl ecparam`
/// carry a block of parameters before the key.
fn pem_block(text: &str, label: &str) -> Option<String> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let start = text.find(&begin)?;
    let length = text[start..].find(&end)? + end.len();
    Some(format!("{}\n", text[start..start + length].replace("\r\n", "\n")))
}

#[cfg(test)]
mod tests;
