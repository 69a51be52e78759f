//! The lockfile of a version: one that the user gave, one that is known, or a new resolution.

use super::{
    Order, RolloutError,
    evidence::{self, Verified},
    log::RolloutLog,
    reason,
};
use crate::{
    engine::Image,
    images::{self, PYTHON_VERSION_LABEL, ResolveRequest, UV_VERSION_LABEL},
    labels,
    lockstore::SignedLock,
    shared::Shared,
};
use waybill_client::api::{AttachReferrer, LogStream};
use waybill_proof::{
    Digest,
    documents::{Document, LockInputs, Lockfile, Requirements},
    media_type,
    statement::{LockfileResolution, Predicate},
    verify,
};

const PYPI: &str = "https://pypi.org/simple";

/// What gets installed.
pub struct Locked {
    pub digest: Digest,
    /// In `requirements.txt` format, every package with version and hashes.
    pub text: String,
    /// No resolution took place.
    pub reused: bool,
    /// Platform and minor version of Python that it was resolved for; none where the user gave it.
    made_for: Option<(String, String)>,
}

impl Locked {
    /// Whether what it names can be installed on a base.
    pub fn fits(&self, base: &Image) -> bool {
        let python = base.labels.get(PYTHON_VERSION_LABEL).map(|version| minor(version));
        self.made_for.as_ref().is_none_or(|(platform, for_python)| {
            *platform == base.platform && python.as_ref() == Some(for_python)
        })
    }
}

fn minor(version: &str) -> String {
    version.split('.').take(2).collect::<Vec<_>>().join(".")
}

/// The lockfile that the version ran with when it served last, whatever base, index or cut-off this
/// deployer is told by now: where it came with the version, or is attached and a trusted key signed
/// it.
pub fn on_record(
    shared: &Shared,
    order: &Order,
    verified: &Verified,
    log: &RolloutLog,
) -> Result<Option<Locked>, RolloutError> {
    let Some(digest) = order.served_as.as_ref().map(|revision| revision.lock_digest) else {
        return Ok(None);
    };
    if let Some(named) = verified.registration.lockfile_digest {
        return if named == digest { given(verified, digest, log).map(Some) } else { Ok(None) };
    }
    let (requirements, requirements_digest) = requirements(verified)?;
    let Some(document) = verified.document(media_type::LOCKFILE, digest) else {
        log.event(&format!("lockfile {digest}, which served before, is not attached any more"));
        return Ok(None);
    };
    for signature in verified.of(media_type::LOCKFILE_SIGNATURE) {
        let of_it = verify::lockfile(document, signature, &shared.trusted)
            .is_ok_and(|(_, resolution)| resolution.requirements_digest == requirements_digest);
        if of_it {
            let signed = SignedLock::new(document.to_vec(), signature.clone());
            return accepted(shared, &signed, &requirements, true, log).map(Some);
        }
    }
    log.event(&format!("lockfile {digest}, which served before, is not signed by a trusted key"));
    Ok(None)
}

/// Finds the version's lockfile, or resolves, signs and attaches one.
pub async fn lock(
    shared: &Shared,
    order: &Order,
    verified: &Verified,
    base: &Image,
    log: &RolloutLog,
) -> Result<Locked, RolloutError> {
    if let Some(digest) = verified.registration.lockfile_digest {
        return given(verified, digest, log);
    }
    let (requirements, requirements_digest) = requirements(verified)?;
    warn_of_other_python(&requirements, base, log);
    let inputs = LockInputs {
        requirements_digest,
        platform: base.platform.clone(),
        python_version: base.labels.get(PYTHON_VERSION_LABEL).cloned().unwrap_or_default(),
        index_url: shared.config.images.index_url.clone().unwrap_or_else(|| PYPI.to_owned()),
        base: base.id.clone(),
        cutoff_date: shared.config.images.cut_off.clone(),
    };
    let key = inputs.key();
    // Two environments that need the same resolution make it once.
    let _turn = shared.turns.take(&format!("lock {key}")).await;
    let (signed, reused) = match known(shared, verified, &key, log).await? {
        Some(signed) => (signed, true),
        None => (resolve(shared, &requirements, inputs, base, log).await?, false),
    };
    attach(shared, order, verified, &signed).await?;
    accepted(shared, &signed, &requirements, reused, log)
}

/// A lockfile that came with the registration is taken as it is: its digest is in the signed
/// statement.
fn given(verified: &Verified, digest: Digest, log: &RolloutLog) -> Result<Locked, RolloutError> {
    let unusable = |detail: String| {
        RolloutError::failed(
            reason::REQUIREMENTS_UNRESOLVABLE,
            format!("the lockfile {digest} that came with the version: {detail}"),
        )
    };
    let bytes = verified
        .document(media_type::LOCKFILE, digest)
        .ok_or_else(|| unusable("the registry does not hand it out".to_owned()))?;
    let text = match Lockfile::parse(bytes) {
        Ok(lockfile) => lockfile.text,
        Err(_) => String::from_utf8(bytes.to_vec()).map_err(|e| unusable(e.to_string()))?,
    };
    log.event(&format!("lockfile {digest} came with the version"));
    Ok(Locked { digest, text, reused: true, made_for: None })
}

fn requirements(verified: &Verified) -> Result<(Requirements, Digest), RolloutError> {
    let missing = |detail: &str| {
        RolloutError::failed(
            reason::REQUIREMENTS_MISSING,
            format!(
                "the version {detail}; expected one of {} at the model's root, or a lockfile",
                Requirements::FILE_NAMES.join(", ")
            ),
        )
    };
    let digest = verified.registration.requirements_digest.ok_or_else(|| missing("names no requirements"))?;
    let bytes = verified
        .document(media_type::REQUIREMENTS, digest)
        .ok_or_else(|| missing("lacks its requirements document"))?;
    let requirements = Requirements::parse(bytes)
        .map_err(|e| RolloutError::failed(reason::REQUIREMENTS_UNRESOLVABLE, e.to_string()))?;
    Ok((requirements, digest))
}

/// Pickles may not survive a change of Python's minor version; most do.
fn warn_of_other_python(requirements: &Requirements, base: &Image, log: &RolloutLog) {
    let (Some(model), Some(here)) = (
        requirements.python_version.as_deref().map(minor),
        base.labels.get(PYTHON_VERSION_LABEL).map(|v| minor(v)),
    ) else {
        return;
    };
    if model != here {
        log.event(&format!(
            "warning: the model was made with Python {model}, the base image has {here}; build one \
             with `waybill images base --python {model}` if the model does not load"
        ));
    }
}

/// A lockfile under this key, signed by a key that we trust: attached to this version, made here
/// before, or attached to another version with the same requirements.
async fn known(
    shared: &Shared,
    verified: &Verified,
    key: &Digest,
    log: &RolloutLog,
) -> Result<Option<SignedLock>, RolloutError> {
    for document in verified.of(media_type::LOCKFILE) {
        for signature in verified.of(media_type::LOCKFILE_SIGNATURE) {
            let candidate = SignedLock::new(document.clone(), signature.clone());
            if trusted(shared, &candidate, key, log) {
                return Ok(Some(candidate));
            }
        }
    }
    if let Some(candidate) = shared.locks.get(key)
        && trusted(shared, &candidate, key, log)
    {
        return Ok(Some(candidate));
    }
    let Some(found) = evidence::stored(|| shared.client.find_lockfile(key)).await? else {
        return Ok(None);
    };
    let Some(signature) = found.signature else {
        return Ok(None);
    };
    let candidate = SignedLock::new(found.content.into_bytes(), signature.into_bytes());
    Ok(trusted(shared, &candidate, key, log).then_some(candidate))
}

fn trusted(shared: &Shared, candidate: &SignedLock, key: &Digest, log: &RolloutLog) -> bool {
    match verify::lockfile(&candidate.document, &candidate.signature, &shared.trusted) {
        Ok((_, resolution)) => resolution.lock_key == *key,
        Err(verify::LockfileRefused::Other { field: "lockfile", .. }) => false,
        Err(error) => {
            log.event(&format!("a lockfile is not used: {error}"));
            false
        }
    }
}

async fn resolve(
    shared: &Shared,
    requirements: &Requirements,
    inputs: LockInputs,
    base: &Image,
    log: &RolloutLog,
) -> Result<SignedLock, RolloutError> {
    let unresolvable =
        |e: &dyn std::fmt::Display| RolloutError::failed(reason::REQUIREMENTS_UNRESOLVABLE, e.to_string());
    let input = requirements.to_resolver_input().map_err(|e| unresolvable(&e))?;
    log.event(&format!("resolving {} requirements of {}", requirements.packages.len(), requirements.source));
    let started = std::time::Instant::now();
    let resolution = images::resolve(
        shared.engine.as_ref(),
        ResolveRequest {
            base,
            requirements: &input,
            index: shared.config.images.index(),
            cut_off: shared.config.images.cut_off.as_deref(),
            labels: labels::of(&shared.instance, labels::RESOLVE),
        },
        &|line| log.line(LogStream::Resolve, line),
    )
    .await?;
    let lockfile = Lockfile::new(inputs, &resolution.text).map_err(|e| unresolvable(&e))?;
    let signed = sign(shared, &lockfile, base)?;
    shared.locks.put(&lockfile.key(), &signed);
    log.event(&format!(
        "resolved {} packages in {:.1} s",
        lockfile.package_count,
        started.elapsed().as_secs_f64()
    ));
    Ok(signed)
}

fn sign(shared: &Shared, lockfile: &Lockfile, base: &Image) -> Result<SignedLock, RolloutError> {
    let error = |e: &dyn std::fmt::Display| RolloutError::failed(reason::DEPLOYER_ERROR, e.to_string());
    let document = lockfile.to_bytes().map_err(|e| error(&e))?;
    let uv = base.labels.get(UV_VERSION_LABEL);
    let statement = LockfileResolution {
        lockfile_digest: Digest::of(&document),
        lock_key: lockfile.key(),
        requirements_digest: lockfile.inputs.requirements_digest,
        resolver: format!("uv {}", uv.map_or("of unknown version", String::as_str)),
        resolved_by: shared.holder.clone(),
        wheels_only: true,
        resolved_at_ms: super::log::now_ms(),
    };
    let signature = statement.sign(&shared.signer).map_err(|e| error(&e))?;
    Ok(SignedLock::new(document, signature))
}

/// Attaches what this version does not carry yet.
async fn attach(
    shared: &Shared,
    order: &Order,
    verified: &Verified,
    signed: &SignedLock,
) -> Result<(), RolloutError> {
    for (artifact_type, bytes) in
        [(media_type::LOCKFILE, &signed.document), (media_type::LOCKFILE_SIGNATURE, &signed.signature)]
    {
        if verified.of(artifact_type).contains(bytes) {
            continue;
        }
        let referrer = AttachReferrer {
            artifact_type: artifact_type.to_owned(),
            content: String::from_utf8_lossy(bytes).into_owned(),
        };
        shared.client.attach_referrer(&order.version_uid, &referrer).await?;
    }
    Ok(())
}

fn accepted(
    shared: &Shared,
    signed: &SignedLock,
    requirements: &Requirements,
    reused: bool,
    log: &RolloutLog,
) -> Result<Locked, RolloutError> {
    let unresolvable =
        |e: &dyn std::fmt::Display| RolloutError::failed(reason::REQUIREMENTS_UNRESOLVABLE, e.to_string());
    let (lockfile, resolution) = verify::lockfile(&signed.document, &signed.signature, &shared.trusted)
        .map_err(|e| unresolvable(&e))?;
    let text = lockfile.narrowed_to(requirements).map_err(|e| unresolvable(&e))?.text;
    if reused {
        log.event(&format!("lockfile {} is known: nothing to resolve", resolution.lockfile_digest));
    }
    let made_for = Some((lockfile.inputs.platform.clone(), minor(&lockfile.inputs.python_version)));
    Ok(Locked { digest: resolution.lockfile_digest, text, reused, made_for })
}
