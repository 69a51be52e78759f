//! Dead Simple Signing Envelope (secure-systems-lab/dsse, protocol 1.0).

use crate::Digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

/// Pre-authentication encoding: the bytes that a DSSE signature covers.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    out.extend_from_slice(payload);
    out
}

/// SHA-256 of [`pae`]: what a signer of this project is handed.
pub fn pae_digest(payload_type: &str, payload: &[u8]) -> Digest {
    Digest::of(&pae(payload_type, payload))
}

/// An envelope as written in JSON; payload and signatures in standard base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope {
    pub payload_type: String,
    pub payload: String,
    pub signatures: Vec<Signature>,
}

/// One signature of an [`Envelope`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// DER-encoded ECDSA signature in standard base64.
    pub sig: String,
    /// Left empty by OMS signers: the bundle's key hint names the key.
    #[serde(default)]
    pub keyid: String,
}

/// An envelope field that is not standard, padded base64.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} of the envelope is not standard base64: {reason}")]
pub struct InvalidBase64 {
    pub field: &'static str,
    pub reason: String,
}

impl Envelope {
    /// Wraps a payload with one signature over [`pae`].
    pub fn new(payload_type: &str, payload: &[u8], signature_der: &[u8]) -> Self {
        Self {
            payload_type: payload_type.to_owned(),
            payload: STANDARD.encode(payload),
            signatures: vec![Signature { sig: STANDARD.encode(signature_der), keyid: String::new() }],
        }
    }

    pub fn payload_bytes(&self) -> Result<Vec<u8>, InvalidBase64> {
        decode("payload", &self.payload)
    }
}

impl Signature {
    pub fn der_bytes(&self) -> Result<Vec<u8>, InvalidBase64> {
        decode("sig", &self.sig)
    }
}

fn decode(field: &'static str, text: &str) -> Result<Vec<u8>, InvalidBase64> {
    STANDARD.decode(text).map_err(|error| InvalidBase64 { field, reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::pae;

    #[test]
    fn encodes_the_protocols_example() {
        // Test vector of the DSSE protocol text.
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
        assert_eq!(pae("", b""), b"DSSEv1 0  0 ");
    }
}
