//! Keys and the server itself.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A public key that signs for this registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PublicKeyInfo {
    /// Hex SHA-256 of the SPKI PEM text, as in a Sigstore bundle's `publicKey.hint`.
    pub hint: String,
    /// `registry` signs versions, `deployer` signs lockfiles.
    pub role: String,
    pub algorithm: String,
    pub public_key_pem: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct KeyList {
    pub keys: Vec<PublicKeyInfo>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerInfo {
    pub version: String,
    /// Names the registry for ever: made with its database, kept by backup and restore.
    pub registry_id: String,
    /// `sqlite` or `postgresql`.
    pub database: String,
    /// `file` or `s3`.
    pub artifacts: String,
    /// `embedded`, `agent` or `off`.
    pub deployer: String,
    /// Address of the gateway, where one runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_url: Option<String>,
}

/// Makes a signer's public key known to the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegisterKey {
    /// `deployer`: the registry's own key is made by the registry.
    pub role: String,
    /// SPKI PEM of a P-256 key.
    pub public_key_pem: String,
}
