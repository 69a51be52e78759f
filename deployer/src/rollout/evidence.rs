//! Verification before anything else happens: what the registry says is believed only as far as
//! the keys in our own configuration signed it.

use super::{Order, RolloutError, log::RolloutLog, reason};
use crate::{patience, shared::Shared};
use std::{collections::BTreeMap, future::Future};
use waybill_client::{
    ClientError,
    api::{Custody, Referrer},
};
use waybill_proof::{
    Digest, bundle,
    keys::KeyRole,
    manifest::Manifest,
    media_type,
    statement::{Predicate, Registration},
    verify::{self, Expected, VersionEvidence},
};

/// More documents than any version has; each is fetched.
const MAX_REFERRERS: usize = 500;
/// Together; they are held in memory.
const MAX_REFERRERS_BYTES: usize = 64 << 20;

/// A version whose signatures hold.
pub struct Verified {
    pub manifest: Manifest,
    pub registration: Registration,
    /// Documents and bundles by media type; those that the registration names are as signed.
    pub referrers: BTreeMap<String, Vec<Vec<u8>>>,
}

impl Verified {
    /// The attached document with this digest.
    pub fn document(&self, media_type: &str, digest: Digest) -> Option<&[u8]> {
        self.of(media_type).iter().find(|bytes| Digest::of(bytes) == digest).map(Vec::as_slice)
    }

    pub fn of(&self, media_type: &str) -> &[Vec<u8>] {
        self.referrers.get(media_type).map_or(&[], Vec::as_slice)
    }
}

/// Fetches a version's proof and verifies it.
pub async fn verify(shared: &Shared, order: &Order, log: &RolloutLog) -> Result<Verified, RolloutError> {
    let version = shared.client.get_version_by_uid(&order.version_uid).await?;
    if version.custody != Custody::Frozen {
        return Err(RolloutError::failed(
            reason::VERSION_NOT_DEPLOYABLE,
            format!(
                "{}@{} has its files outside of the registry; expected a frozen version",
                order.model, order.version
            ),
        ));
    }
    let evidence = VersionEvidence {
        manifest: stored(|| shared.client.manifest(&order.version_uid)).await?.to_vec(),
        referrers: fetch(shared, &order.version_uid).await?,
        expected: Expected {
            name: order.model.clone(),
            version: order.version,
            uid: order.version_uid.clone(),
        },
    };
    judge(shared, evidence, log)
}

fn judge(shared: &Shared, evidence: VersionEvidence, log: &RolloutLog) -> Result<Verified, RolloutError> {
    let invalid = |message: String| RolloutError::failed(reason::SIGNATURE_INVALID, message);
    let report = verify::version(&evidence, &shared.trusted);
    if !report.passed() {
        let failures: Vec<_> =
            report.failures().map(|check| format!("{}: {}", check.name, check.detail)).collect();
        let failures = match failures.as_slice() {
            [] => "nothing could be checked".to_owned(),
            _ => failures.join("; "),
        };
        return Err(invalid(format!(
            "{}@{} is not what the trusted keys signed. {failures}",
            evidence.expected.name, evidence.expected.version
        )));
    }
    let manifest = Manifest::parse(&evidence.manifest).map_err(|e| invalid(e.to_string()))?;
    let registration = registration(shared, &evidence, &manifest)
        .ok_or_else(|| invalid("no registration statement by a trusted key".to_owned()))?;
    log.event(&format!(
        "verified {} checks of {}@{} with pinned keys: manifest {}",
        report.checks.len(),
        registration.name,
        registration.version,
        registration.manifest_digest
    ));
    Ok(Verified { manifest, registration, referrers: evidence.referrers })
}

/// The statement that the report's `registration` check accepted.
fn registration(shared: &Shared, evidence: &VersionEvidence, manifest: &Manifest) -> Option<Registration> {
    let keys = shared.trusted.for_role(KeyRole::Registry);
    let bundles = evidence.referrers.get(media_type::REGISTRATION_STATEMENT)?;
    bundles.iter().find_map(|bytes| {
        let opened = bundle::open(bytes, &keys).ok()?;
        let found = Registration::read(&opened.statement).ok()?;
        let same = found.uid == evidence.expected.uid
            && found.name == evidence.expected.name
            && found.version == evidence.expected.version
            && found.manifest_digest == manifest.digest();
        same.then_some(found)
    })
}

/// Bytes that the registry keeps for a version. Damaged ones end the rollout: they stay as they are.
pub(super) async fn stored<T, F>(ask: impl FnMut() -> F) -> Result<T, RolloutError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    patience::ask(ask, patience::may_be_damage).await.map_err(|error| {
        if patience::may_be_damage(&error) {
            return RolloutError::failed(reason::REGISTRY_REFUSED, error.to_string());
        }
        error.into()
    })
}

async fn fetch(shared: &Shared, uid: &str) -> Result<BTreeMap<String, Vec<Vec<u8>>>, RolloutError> {
    let referrers = Referrer::to_verify(shared.client.referrers(uid).await?);
    let too_many = |message: String| RolloutError::failed(reason::VERSION_NOT_DEPLOYABLE, message);
    if referrers.len() > MAX_REFERRERS {
        return Err(too_many(format!(
            "the version has {} attached documents; expected at most {MAX_REFERRERS}",
            referrers.len()
        )));
    }
    let mut found: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    let mut total_bytes = 0;
    for Referrer { artifact_type, digest, .. } in referrers {
        let bytes = stored(|| shared.client.blob(&digest)).await?;
        total_bytes += bytes.len();
        if total_bytes > MAX_REFERRERS_BYTES {
            return Err(too_many(format!(
                "the version's attached documents have more than {MAX_REFERRERS_BYTES} bytes"
            )));
        }
        if Digest::of(&bytes) != digest {
            return Err(RolloutError::failed(
                reason::SIGNATURE_INVALID,
                format!("the registry's bytes for {artifact_type} {digest} have another digest"),
            ));
        }
        found.entry(artifact_type).or_default().push(bytes.to_vec());
    }
    Ok(found)
}
