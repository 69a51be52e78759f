//! Statements name the model, so a renamed model's are signed again under the new name. The old
//! ones stay: they were true.

use super::{
    ProvenanceError,
    evidence::inline_bundle,
    store::{self, NewReferrer},
};
use crate::{app::App, models::Version};
use serde_json::Value;
use waybill_proof::{
    bundle::{Bundle, BundleError, sign_statement},
    json::canonical,
    media_type,
};

/// Statements whose first subject is the model's name.
const NAMED: [&str; 3] =
    [media_type::REGISTRATION_STATEMENT, media_type::PROVENANCE, media_type::RUN_COMPLETED];

/// The newest statement of each kind about `version`, under `new_name`.
pub async fn sign_again(
    app: &App,
    version: &Version,
    new_name: &str,
) -> Result<Vec<NewReferrer>, ProvenanceError> {
    let mut conn = app.db.read().await?;
    let attached = store::of_version(&mut conn, &version.uid).await?;
    let mut made = Vec::new();
    for artifact_type in NAMED {
        let Some(last) = attached.iter().rev().find(|r| r.artifact_type == artifact_type) else {
            continue;
        };
        let bytes = super::attach::document_in(app, &mut conn, &last.digest, last.size_bytes).await?;
        let bundle: Bundle = serde_json::from_slice(&bytes).map_err(ProvenanceError::Stored)?;
        let payload = bundle.dsse_envelope.payload_bytes().map_err(BundleError::from)?;
        let mut statement: Value = serde_json::from_slice(&payload).map_err(ProvenanceError::Stored)?;
        for place in ["/subject/0/name", "/predicate/name"] {
            if let Some(name) = statement.pointer_mut(place) {
                *name = new_name.into();
            }
        }
        let signed = sign_statement(app.signer.as_ref(), &canonical(&statement)?)?;
        made.push(inline_bundle(app.signer.as_ref(), artifact_type, &signed));
    }
    Ok(made)
}
