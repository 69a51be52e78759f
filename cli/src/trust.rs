//! The keys that a verification believes.

use crate::failure::Failure;
use std::path::{Path, PathBuf};
use waybill_client::Client;
use waybill_proof::keys::{KeyRole, PublicKey, TrustedKeys};

#[derive(Debug, clap::Args)]
pub struct TrustArgs {
    /// A PEM file with a public key to believe; may be given more than once
    #[arg(
        long = "key",
        value_name = "FILE",
        env = "WAYBILL_TRUSTED_KEYS",
        value_delimiter = ':',
        hide_env_values = true
    )]
    keys: Vec<PathBuf>,
}

impl TrustArgs {
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that the user named: they prove origin.
    pub fn pinned(&self) -> Result<TrustedKeys, Failure> {
        let keys: Vec<PublicKey> =
            self.keys.iter().map(|path| read_keys(path)).collect::<Result<Vec<_>, _>>()?.concat();
        Ok(TrustedKeys::pinned(keys))
    }

    /// The keys that the user named, or else those that the registry hands out.
    pub async fn pinned_or_from_registry(&self, client: &Client) -> Result<TrustedKeys, Failure> {
        if !self.is_empty() {
            return self.pinned();
        }
        let mut trusted = TrustedKeys::from_registry([]);
        for info in client.keys().await?.keys {
            let key = PublicKey::from_pem(&info.public_key_pem).map_err(|error| {
                Failure::Verification(format!("the registry handed out a key that is none: {error}"))
            })?;
            match info.role.as_str() {
                "registry" => trusted.insert_for(key, KeyRole::Registry),
                "deployer" => trusted.insert_for(key, KeyRole::Deployer),
                // A role of a newer server signs nothing that this version checks.
                _ => {}
            }
        }
        Ok(trusted)
    }
}

/// All public keys in a PEM file.
pub fn read_keys(path: &Path) -> Result<Vec<PublicKey>, Failure> {
    const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
    let text = std::fs::read_to_string(path).map_err(|error| Failure::file("read", path, &error))?;
    let blocks: Vec<String> = text.split(BEGIN).skip(1).map(|rest| format!("{BEGIN}{rest}")).collect();
    // A file without a block is read as it is, for the error that says what was expected.
    let blocks = if blocks.is_empty() { vec![text] } else { blocks };
    blocks
        .iter()
        .map(|block| {
            PublicKey::from_pem(block)
                .map_err(|error| Failure::Usage(format!("{} is not a public key: {error}", path.display())))
        })
        .collect()
}
