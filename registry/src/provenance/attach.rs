//! What is attached to a version, read and added to.

use super::{
    ProvenanceError,
    store::{self, NewReferrer},
};
use crate::{
    app::App,
    audit::{self, Cause},
    db::Conn,
    models::{Version, store::versions},
};
use bytes::Bytes;
use waybill_client::api::{AttachReferrer, FoundLockfile, Referrer};
use waybill_proof::{
    Digest, bundle,
    documents::{Document, Lockfile, MAX_DOCUMENT_BYTES},
    keys::{KeyRole, PublicKey, TrustedKeys},
    media_type,
    statement::{LockfileResolution, Predicate},
};

/// Types that a caller may attach: the rest is made by the registry itself.
const ATTACHABLE: [&str; 2] = [media_type::LOCKFILE, media_type::LOCKFILE_SIGNATURE];

/// Signatures of one lock key that are searched for a lockfile's.
const SIGNATURES_MAX: i64 = 100;

/// The manifest's bytes of a frozen version.
pub async fn manifest(app: &App, uid: &str) -> Result<(Digest, Bytes), ProvenanceError> {
    let version = frozen(&mut app.db.read().await?, uid).await?;
    let digest = version.content.map(|content| content.manifest_digest);
    let digest = digest.ok_or_else(|| ProvenanceError::NoFrozenVersion { uid: uid.to_owned() })?;
    let bytes = app.content.read_bytes(&digest, MAX_DOCUMENT_BYTES as u64).await?;
    Ok((digest, bytes))
}

async fn frozen(conn: &mut Conn, uid: &str) -> Result<Version, ProvenanceError> {
    let found = versions::find_by_uid(conn, uid).await?.filter(|version| version.content.is_some());
    found.ok_or_else(|| ProvenanceError::NoFrozenVersion { uid: uid.chars().take(100).collect() })
}

/// What is attached to a frozen version.
pub async fn referrers(app: &App, uid: &str) -> Result<Vec<Referrer>, ProvenanceError> {
    let mut conn = app.db.snapshot().await?;
    frozen(&mut conn, uid).await?;
    Ok(store::of_version(&mut conn, uid).await?)
}

/// The text of a document that was made in a transaction and so stands in a row, not in the
/// content store.
pub async fn inline_document(app: &App, digest: &Digest) -> Result<Option<String>, ProvenanceError> {
    Ok(store::inline_content(&mut app.db.read().await?, digest).await?)
}

pub(super) async fn document_in(
    app: &App,
    conn: &mut Conn,
    digest: &Digest,
    size_bytes: u64,
) -> Result<Bytes, ProvenanceError> {
    match store::inline_content(conn, digest).await? {
        Some(text) => Ok(text.into()),
        None => Ok(app.content.read_bytes_with(conn, digest, size_bytes).await?),
    }
}

/// The newest lockfile that was resolved for `key`, with the signature that came with it.
pub async fn find_lockfile(app: &App, key: &Digest) -> Result<FoundLockfile, ProvenanceError> {
    let mut conn = app.db.snapshot().await?;
    let found = store::under_lock_key(&mut conn, key, media_type::LOCKFILE, 1).await?.pop();
    let referrer = found.ok_or_else(|| ProvenanceError::NoLockfile { key: key.to_string() })?;
    let content = text_of(app, &mut conn, &referrer).await?;
    let signatures =
        store::under_lock_key(&mut conn, key, media_type::LOCKFILE_SIGNATURE, SIGNATURES_MAX).await?;
    for candidate in signatures {
        let text = text_of(app, &mut conn, &candidate).await?;
        if signs(&text, &referrer.digest) {
            return Ok(FoundLockfile { referrer, content, signature: Some(text) });
        }
    }
    Ok(FoundLockfile { referrer, content, signature: None })
}

async fn text_of(app: &App, conn: &mut Conn, referrer: &Referrer) -> Result<String, ProvenanceError> {
    let bytes = document_in(app, conn, &referrer.digest, referrer.size_bytes).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether the bundle says to be about the lockfile; whether it is to be believed is for whoever
/// uses it.
fn signs(bundle: &str, lockfile: &Digest) -> bool {
    let statement = || {
        let bundle: bundle::Bundle = serde_json::from_str(bundle).ok()?;
        serde_json::from_slice(&bundle.dsse_envelope.payload_bytes().ok()?).ok()
    };
    statement()
        .and_then(|statement| LockfileResolution::read(&statement).ok())
        .is_some_and(|resolution| resolution.lockfile_digest == *lockfile)
}

/// Attaches a lockfile, or a deployer's signature of one, to a frozen version. The document is
/// checked before it is kept; attaching the same again changes nothing.
pub async fn attach(
    app: &App,
    cause: Cause,
    uid: &str,
    request: AttachReferrer,
) -> Result<Referrer, ProvenanceError> {
    if request.content.len() > MAX_DOCUMENT_BYTES {
        let bytes = request.content.len();
        return Err(ProvenanceError::TooLarge { bytes, max: MAX_DOCUMENT_BYTES });
    }
    let version = frozen(&mut app.db.read().await?, uid).await?;
    let new = check(app, &version, &request).await?;
    app.content.put_bytes(request.content.into_bytes()).await?;
    let input = (version, new, cause);
    app.db
        .write(input, |tx, (version, new, cause)| {
            Box::pin(async move {
                if store::insert(tx, &version.uid, new, cause.at_ms).await? {
                    let event = cause
                        .event("model_version.document_attached", version.subject())
                        .change(None, Some(&format!("{} {}", new.artifact_type, new.digest)));
                    audit::record(tx, &event).await?;
                }
                let attached = store::find(tx, &version.uid, new.artifact_type, &new.digest).await?;
                attached.ok_or_else(|| ProvenanceError::NoFrozenVersion { uid: version.uid.clone() })
            })
        })
        .await
}

async fn check(
    app: &App,
    version: &Version,
    request: &AttachReferrer,
) -> Result<NewReferrer, ProvenanceError> {
    let unknown = || ProvenanceError::ArtifactType {
        found: request.artifact_type.chars().take(200).collect(),
        expected: ATTACHABLE.join(", "),
    };
    let artifact_type =
        ATTACHABLE.into_iter().find(|known| *known == request.artifact_type).ok_or_else(unknown)?;
    let bytes = request.content.as_bytes();
    let mut new = NewReferrer {
        artifact_type,
        digest: Digest::of(bytes),
        size_bytes: bytes.len() as u64,
        signed_by: None,
        content: None,
        lock_key: None,
    };
    let requirements = version.content.as_ref().and_then(|content| content.requirements_digest);
    let same_requirements = |found: Digest| {
        if requirements == Some(found) {
            return Ok(());
        }
        Err(ProvenanceError::OtherRequirements {
            found: found.to_string(),
            expected: requirements.map_or_else(|| "none".to_owned(), |digest| digest.to_string()),
        })
    };
    if artifact_type == media_type::LOCKFILE {
        let lockfile = Lockfile::parse(bytes).map_err(ProvenanceError::Lockfile)?;
        same_requirements(lockfile.inputs.requirements_digest)?;
        new.lock_key = Some(lockfile.key());
    } else {
        let opened = bundle::open(bytes, &deployer_keys(app).await?)?;
        let resolution = LockfileResolution::read(&opened.statement)?;
        same_requirements(resolution.requirements_digest)?;
        new.signed_by = Some(opened.signed_by_hint);
        new.lock_key = Some(resolution.lock_key);
    }
    Ok(new)
}

/// Keys that deployers registered, to tell a damaged signature from a good one. Whether a
/// deployer's key is trusted is for whoever uses the lockfile, from its own configuration.
async fn deployer_keys(app: &App) -> Result<TrustedKeys, ProvenanceError> {
    let mut keys = TrustedKeys::from_registry([]);
    for key in store::keys(&mut app.db.read().await?).await? {
        if key.role == super::keys::DEPLOYER {
            keys.insert_for(PublicKey::from_pem(&key.public_key_pem)?, KeyRole::Deployer);
        }
    }
    Ok(keys)
}
