//! Sigstore bundles (v0.3) signed with a key: a DSSE envelope and the hint of its key.

use crate::{
    dsse::{self, Envelope, InvalidBase64},
    json::{CanonicalError, canonical},
    keys::{PublicKey, SignError, Signer, TrustedKeys},
    media_type::{IN_TOTO, SIGSTORE_BUNDLE},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Largest bundle that is read, in bytes: an OMS statement over as many files as fit a manifest.
pub const MAX_BUNDLE_BYTES: usize = 16 * 1024 * 1024;

/// A bundle as written in JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bundle {
    pub media_type: String,
    pub verification_material: VerificationMaterial,
    pub dsse_envelope: Envelope,
}

/// What helps to verify a [`Bundle`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VerificationMaterial {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<PublicKeyHint>,
    /// Signing certificates of keyless bundles, which are refused by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x509_certificate_chain: Option<Value>,
    /// Entries of a transparency log; not judged here.
    pub tlog_entries: Vec<Value>,
    /// RFC 3161 timestamps; not judged here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_verification_data: Option<Value>,
}

/// Names the key of a [`Bundle`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicKeyHint {
    #[serde(default)]
    pub hint: String,
}

/// An in-toto statement (v1), its predicate unread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Statement {
    #[serde(rename = "_type")]
    pub statement_type: String,
    pub subject: Vec<Subject>,
    pub predicate_type: String,
    pub predicate: Value,
}

/// What a [`Statement`] is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    #[serde(default)]
    pub name: String,
    /// Hex digest by algorithm.
    pub digest: BTreeMap<String, String>,
}

/// A bundle whose signature was verified with a trusted key.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    /// The signed bytes.
    pub payload: Vec<u8>,
    /// The payload, read as an in-toto statement.
    pub statement: Statement,
    /// Hint of the trusted key whose signature it bears.
    pub signed_by_hint: String,
}

/// A bundle that is damaged or not signed by a trusted key.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error("the bundle has {0} bytes; expected at most 16777216")]
    TooLarge(usize),
    #[error("the bundle is not valid: {0}")]
    Json(#[source] serde_json::Error),
    #[error("the bundle's {field} is {value:?}; expected {expected}")]
    Field { field: &'static str, value: String, expected: &'static str },
    #[error("the bundle is signed with a certificate; expected a signature by a key (publicKey.hint)")]
    Certificate,
    #[error(transparent)]
    Base64(#[from] InvalidBase64),
    #[error("the bundle is signed by key {hint}, which is not trusted; trusted: {}", none_or(.trusted))]
    UnknownKey { hint: String, trusted: Vec<String> },
    #[error("the signature by key {hint} does not match: the content was changed or signed by another key")]
    BadSignature { hint: String },
    #[error("the signed payload is not an in-toto statement: {0}")]
    Statement(#[source] serde_json::Error),
}

fn none_or(hints: &[String]) -> String {
    if hints.is_empty() { "none".to_owned() } else { hints.join(", ") }
}

/// A payload that could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error(transparent)]
    Sign(#[from] SignError),
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

/// Signs `payload` and returns the bundle's JSON.
pub fn sign(signer: &dyn Signer, payload_type: &str, payload: &[u8]) -> Result<Vec<u8>, SealError> {
    let signature = signer.sign_digest(*dsse::pae_digest(payload_type, payload).as_bytes())?;
    Ok(canonical(&Bundle {
        media_type: SIGSTORE_BUNDLE.to_owned(),
        verification_material: VerificationMaterial {
            public_key: Some(PublicKeyHint { hint: signer.hint().to_owned() }),
            certificate: None,
            x509_certificate_chain: None,
            tlog_entries: Vec::new(),
            timestamp_verification_data: None,
        },
        dsse_envelope: Envelope::new(payload_type, payload, &signature),
    })?)
}

/// Signs an in-toto statement.
pub fn sign_statement(signer: &dyn Signer, statement: &[u8]) -> Result<Vec<u8>, SealError> {
    sign(signer, IN_TOTO, statement)
}

/// Reads a bundle and verifies its signature with one of `keys`. What the statement says is for
/// the caller to judge.
pub fn open(bytes: &[u8], keys: &TrustedKeys) -> Result<Opened, BundleError> {
    let bundle = parse(bytes)?;
    let envelope = &bundle.dsse_envelope;
    let payload = envelope.payload_bytes()?;
    let [signature] = envelope.signatures.as_slice() else {
        return Err(field("signatures", &envelope.signatures.len().to_string(), "exactly one signature"));
    };
    let signature = signature.der_bytes()?;
    let digest = dsse::pae_digest(&envelope.payload_type, &payload);
    let hint = hint_of(&bundle)?;
    let signed_by = find_signer(hint, keys, |key| key.verifies(&digest, &signature))?;
    let statement: Statement = serde_json::from_slice(&payload).map_err(BundleError::Statement)?;
    if statement.statement_type != crate::oms::STATEMENT_TYPE {
        return Err(field("payload._type", &statement.statement_type, crate::oms::STATEMENT_TYPE));
    }
    Ok(Opened { payload, statement, signed_by_hint: signed_by.hint().to_owned() })
}

/// Hint of the key that claims to have signed; nothing is verified. Empty when the bundle has none.
pub fn claimed_hint(bytes: &[u8]) -> Result<String, BundleError> {
    parse(bytes).and_then(|bundle| hint_of(&bundle).map(str::to_owned))
}

fn parse(bytes: &[u8]) -> Result<Bundle, BundleError> {
    if bytes.len() > MAX_BUNDLE_BYTES {
        return Err(BundleError::TooLarge(bytes.len()));
    }
    let bundle: Bundle = serde_json::from_slice(bytes).map_err(BundleError::Json)?;
    if bundle.media_type != SIGSTORE_BUNDLE {
        return Err(field("mediaType", &bundle.media_type, SIGSTORE_BUNDLE));
    }
    if bundle.dsse_envelope.payload_type != IN_TOTO {
        return Err(field("dsseEnvelope.payloadType", &bundle.dsse_envelope.payload_type, IN_TOTO));
    }
    Ok(bundle)
}

fn hint_of(bundle: &Bundle) -> Result<&str, BundleError> {
    let material = &bundle.verification_material;
    match &material.public_key {
        Some(key) => Ok(&key.hint),
        None if material.certificate.is_some() || material.x509_certificate_chain.is_some() => {
            Err(BundleError::Certificate)
        }
        None => Err(field("verificationMaterial", "without publicKey", "publicKey.hint")),
    }
}

fn find_signer<'a>(
    hint: &str,
    keys: &'a TrustedKeys,
    verifies: impl Fn(&PublicKey) -> bool,
) -> Result<&'a PublicKey, BundleError> {
    // The hint is optional: without one every trusted key is tried.
    if hint.is_empty() {
        return keys
            .iter()
            .find(|key| verifies(key))
            .ok_or_else(|| BundleError::BadSignature { hint: "(no hint)".to_owned() });
    }
    let Some(key) = keys.get(hint) else {
        let trusted = keys.iter().map(|key| key.hint().to_owned()).collect();
        return Err(BundleError::UnknownKey { hint: hint.chars().take(200).collect(), trusted });
    };
    if verifies(key) { Ok(key) } else { Err(BundleError::BadSignature { hint: hint.to_owned() }) }
}

fn field(field: &'static str, value: &str, expected: &'static str) -> BundleError {
    BundleError::Field { field, value: value.chars().take(200).collect(), expected }
}

#[cfg(test)]
mod tests;
