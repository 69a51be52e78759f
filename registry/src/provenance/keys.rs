//! Public keys that sign for this registry.

use super::{ProvenanceError, store};
use crate::{
    app::App,
    audit::{self, Cause},
};
use waybill_client::api::{PublicKeyInfo, RegisterKey};
use waybill_proof::keys::PublicKey;

/// Signs versions.
pub const REGISTRY: &str = "registry";
/// Signs lockfiles.
pub const DEPLOYER: &str = "deployer";
const ALGORITHM: &str = "ecdsa-p256-sha256";

/// All known keys, the oldest first.
pub async fn list(app: &App) -> Result<Vec<PublicKeyInfo>, ProvenanceError> {
    Ok(store::keys(&mut app.db.read().await?).await?)
}

/// Makes a deployer's key known. Known is not trusted: agents and auditors pin keys themselves.
pub async fn register(
    app: &App,
    cause: Cause,
    request: RegisterKey,
) -> Result<PublicKeyInfo, ProvenanceError> {
    if request.role != DEPLOYER {
        let role = request.role.chars().take(100).collect();
        return Err(ProvenanceError::KeyRole { role });
    }
    let key = PublicKey::from_pem(&request.public_key_pem)?;
    add(app, cause, info(key.hint(), DEPLOYER, key.pem())).await
}

/// Makes the registry's own key known, so that what an earlier key signed can still be verified
/// after the key was changed.
pub async fn remember_own(app: &App, cause: Cause) -> Result<(), ProvenanceError> {
    let signer = &app.signer;
    add(app, cause, info(signer.hint(), REGISTRY, signer.public_key_pem())).await.map(drop)
}

fn info(hint: &str, role: &str, pem: &str) -> PublicKeyInfo {
    PublicKeyInfo {
        hint: hint.to_owned(),
        role: role.to_owned(),
        algorithm: ALGORITHM.to_owned(),
        public_key_pem: pem.to_owned(),
    }
}

async fn add(app: &App, cause: Cause, key: PublicKeyInfo) -> Result<PublicKeyInfo, ProvenanceError> {
    let input = (key.clone(), cause);
    app.db
        .write(input, |tx, (key, cause)| {
            Box::pin(async move {
                if store::insert_key(tx, key, &cause.actor, cause.at_ms).await? {
                    let event = cause.event("key.added", key.hint.clone()).change(None, Some(&key.role));
                    audit::record(tx, &event).await?;
                }
                Ok::<_, ProvenanceError>(())
            })
        })
        .await?;
    Ok(key)
}
