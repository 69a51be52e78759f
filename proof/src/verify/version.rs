//! Verification of a version from what the registry stores about it.

use super::{Report, lockfile};
use crate::{
    Digest,
    bundle::{self, BundleError, Opened, Statement},
    keys::{KeyRole, TrustedKeys},
    manifest::Manifest,
    media_type, oms,
    statement::{Imported, Predicate, ProvenanceSubjects, Registration, RunEnd},
};
use std::{collections::BTreeMap, fmt::Display};

/// What the registry handed out about a version, unjudged.
#[derive(Debug, Clone, Default)]
pub struct VersionEvidence {
    pub manifest: Vec<u8>,
    /// Documents and bundles by media type ([`crate::media_type`]), each as stored.
    pub referrers: BTreeMap<String, Vec<Vec<u8>>>,
    pub expected: Expected,
}

/// The version that was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    pub name: String,
    pub version: i64,
    pub uid: String,
}

/// Verifies that the evidence is a registered version, and the one that was asked for: signature
/// over every file of the manifest, registration, provenance, documents, lockfiles. Whether
/// served bytes are those of the manifest is for whoever reads them: their digests are in it.
pub fn version(evidence: &VersionEvidence, keys: &TrustedKeys) -> Report {
    let mut report = Report::new(keys);
    let manifest = match Manifest::parse(&evidence.manifest) {
        Ok(manifest) => manifest,
        Err(error) => {
            report.failed("manifest", error);
            return report;
        }
    };
    report.ok("manifest", format!("{} files, {}", manifest.files().len(), manifest.digest()), None);
    let registry_keys = keys.for_role(KeyRole::Registry);
    let content = Content { manifest_digest: manifest.digest(), oms_root: oms::root(manifest.files()) };
    check_signature(&mut report, evidence, &manifest, &registry_keys);
    let registration = check_registration(&mut report, evidence, &content, &registry_keys);
    check_provenance(&mut report, evidence, &content, &registry_keys);
    if let Some(registration) = &registration {
        check_documents(&mut report, evidence, registration);
    }
    check_run_end(&mut report, evidence, &content, &registry_keys);
    check_lockfiles(&mut report, evidence, keys);
    report
}

struct Content {
    manifest_digest: Digest,
    oms_root: Digest,
}

fn check_signature(report: &mut Report, evidence: &VersionEvidence, manifest: &Manifest, keys: &TrustedKeys) {
    const NAME: &str = "signature";
    match first_good(evidence.of(media_type::OMS_SIGNATURE), keys, |opened| oms::parse(&opened.payload)) {
        Ok((statement, signed_by)) => {
            report.ok(NAME, "model.sig is a signature by a trusted key", Some(&signed_by));
            let present = manifest.files().iter().map(|file| (file.path.as_str(), file.digest));
            report.files(manifest.files().len(), statement.compare(present), "");
        }
        Err(reason) => report.failed(NAME, format!("model.sig: {reason}")),
    }
}

fn check_registration(
    report: &mut Report,
    evidence: &VersionEvidence,
    content: &Content,
    keys: &TrustedKeys,
) -> Option<Registration> {
    const NAME: &str = "registration";
    let judge = |opened: &Opened| {
        let registration = Registration::read(&opened.statement).map_err(|error| error.to_string())?;
        evidence.expected.compare(&registration.uid, &registration.name, registration.version)?;
        content.compare(registration.manifest_digest, registration.oms_root)?;
        Ok::<_, String>(registration)
    };
    match first_good(evidence.of(media_type::REGISTRATION_STATEMENT), keys, judge) {
        Ok((registration, signed_by)) => {
            let mut detail = format!(
                "{}@{} with uid {} is this content",
                registration.name, registration.version, registration.uid
            );
            if let Some(imported) = &registration.imported {
                detail = format!("{detail}; {}", imported.detail());
            }
            report.ok(NAME, detail, Some(&signed_by));
            Some(registration)
        }
        Err(reason) => {
            report.failed(NAME, reason);
            None
        }
    }
}

fn check_provenance(report: &mut Report, evidence: &VersionEvidence, content: &Content, keys: &TrustedKeys) {
    const NAME: &str = "provenance";
    let judge = |opened: &Opened| {
        let subjects = ProvenanceSubjects::read(&opened.statement).map_err(|error| error.to_string())?;
        content.compare(subjects.manifest_digest, subjects.oms_root)?;
        if subjects.name != evidence.expected.name {
            return Err(format!(
                "it is about {:?}; asked for was {:?}",
                subjects.name, evidence.expected.name
            ));
        }
        Ok(provenance_detail(&opened.statement))
    };
    match first_good(evidence.of(media_type::PROVENANCE), keys, judge) {
        Ok((detail, signed_by)) => report.ok(NAME, detail, Some(&signed_by)),
        Err(reason) => report.failed(NAME, reason),
    }
}

/// What a reader should know of a provenance statement: who says so, and from which commit.
pub(super) fn provenance_detail(statement: &Statement) -> String {
    let builder =
        statement.predicate.pointer("/runDetails/builder/id").and_then(|id| id.as_str()).unwrap_or("unknown");
    let dependencies =
        statement.predicate.pointer("/buildDefinition/resolvedDependencies").and_then(|list| list.as_array());
    let commit =
        dependencies.into_iter().flatten().find_map(|entry| entry.pointer("/digest/gitCommit")?.as_str());
    let commit = match commit {
        Some(commit) => format!("git commit {commit}"),
        None => "no git commit was recorded".to_owned(),
    };
    let imported = statement.predicate.pointer("/buildDefinition/externalParameters/imported");
    match imported.and_then(|value| serde_json::from_value::<Imported>(value.clone()).ok()) {
        Some(imported) => format!("builder {builder}, {commit}; {}", imported.detail()),
        None => format!("builder {builder}, {commit}"),
    }
}

/// The documents that the registration names must be there, byte for byte.
fn check_documents(report: &mut Report, evidence: &VersionEvidence, registration: &Registration) {
    for (name, media_type, digest) in [
        ("requirements", media_type::REQUIREMENTS, registration.requirements_digest),
        ("experiment-config", media_type::EXPERIMENT_CONFIG, registration.experiment_config_digest),
        (
            "registration-snapshot",
            media_type::REGISTRATION_SNAPSHOT,
            Some(registration.registration_snapshot_digest),
        ),
        ("lockfile-at-registration", media_type::LOCKFILE, registration.lockfile_digest),
    ] {
        let Some(digest) = digest else {
            if name != "lockfile-at-registration" {
                report.skipped(name, "the registration names none");
            }
            continue;
        };
        let found: Vec<Digest> = evidence.of(media_type).iter().map(|bytes| Digest::of(bytes)).collect();
        if found.contains(&digest) {
            report.ok(name, format!("{digest}, as registered"), None);
        } else if let Some(other) = found.first() {
            report.failed(name, format!("the document is {other}; registered was {digest}"));
        } else {
            report.failed(name, format!("missing; registered was {digest}"));
        }
    }
}

fn check_run_end(report: &mut Report, evidence: &VersionEvidence, content: &Content, keys: &TrustedKeys) {
    const NAME: &str = "run-completed";
    let bundles = evidence.of(media_type::RUN_COMPLETED);
    if bundles.is_empty() {
        report.skipped(NAME, "no statement about the end of a run");
        return;
    }
    let judge = |opened: &Opened| {
        let end = RunEnd::read(&opened.statement).map_err(|error| error.to_string())?;
        evidence.expected.compare(&end.uid, &end.name, end.version)?;
        content.compare(end.manifest_digest, end.oms_root)?;
        Ok::<_, String>(format!("run {} ended as {}", end.completed.run.run_id, end.completed.run.status))
    };
    match first_good(bundles, keys, judge) {
        Ok((detail, signed_by)) => report.ok(NAME, detail, Some(&signed_by)),
        Err(reason) => report.failed(NAME, reason),
    }
}

fn check_lockfiles(report: &mut Report, evidence: &VersionEvidence, keys: &TrustedKeys) {
    const NAME: &str = "lockfile";
    let bundles = evidence.of(media_type::LOCKFILE_SIGNATURE);
    for document in evidence.of(media_type::LOCKFILE) {
        let mut unknown = None;
        let mut refused = None;
        let verified = bundles.iter().find_map(|bytes| match lockfile(document, bytes, keys) {
            Ok((_, resolution)) => Some((resolution, bundle::claimed_hint(bytes).unwrap_or_default())),
            Err(lockfile::LockfileRefused::Bundle(error @ BundleError::UnknownKey { .. })) => {
                unknown = Some(error.to_string());
                None
            }
            // A signature of another lockfile of the same version says nothing about this one.
            Err(lockfile::LockfileRefused::Other { field: "lockfile", .. }) => None,
            Err(error) => {
                refused = Some(error.to_string());
                None
            }
        });
        let digest = Digest::of(document);
        match (verified, refused, unknown) {
            (Some((resolution, hint)), ..) => {
                let detail =
                    format!("{digest}, resolved by {} with {}", resolution.resolved_by, resolution.resolver);
                report.ok(NAME, detail, Some(&hint).filter(|hint| !hint.is_empty()).map(String::as_str));
            }
            (None, Some(reason), _) => report.failed(NAME, format!("{digest}: {reason}")),
            (None, None, Some(reason)) => report.skipped(NAME, format!("{digest}: {reason}")),
            (None, None, None) => report.skipped(NAME, format!("{digest}: no signature is attached")),
        }
    }
}

/// The first bundle that a trusted key signed and that says what it should; else why the first
/// did not, so that junk attached by others hides nothing.
fn first_good<T, E: Display>(
    bundles: &[Vec<u8>],
    keys: &TrustedKeys,
    judge: impl Fn(&Opened) -> Result<T, E>,
) -> Result<(T, String), String> {
    let mut first_reason = None;
    for bytes in bundles {
        let judged = bundle::open(bytes, keys).map_err(|error| error.to_string()).and_then(|opened| {
            let value = judge(&opened).map_err(|error| error.to_string())?;
            Ok((value, opened.signed_by_hint))
        });
        match judged {
            Ok(good) => return Ok(good),
            Err(reason) => first_reason = first_reason.or(Some(reason)),
        }
    }
    Err(first_reason.unwrap_or_else(|| "missing".to_owned()))
}

impl VersionEvidence {
    fn of(&self, media_type: &str) -> &[Vec<u8>] {
        self.referrers.get(media_type).map_or(&[], Vec::as_slice)
    }
}

impl Expected {
    fn compare(&self, uid: &str, name: &str, version: i64) -> Result<(), String> {
        if (uid, name, version) == (self.uid.as_str(), self.name.as_str(), self.version) {
            return Ok(());
        }
        Err(format!(
            "it is about {name}@{version} with uid {uid}; asked for was {}@{} with uid {}",
            self.name, self.version, self.uid
        ))
    }
}

impl Content {
    fn compare(&self, manifest: Digest, root: Digest) -> Result<(), String> {
        if manifest != self.manifest_digest {
            return Err(format!(
                "it is about the manifest {manifest}; the version has {}",
                self.manifest_digest
            ));
        }
        if root != self.oms_root {
            return Err(format!("it is about the model root {root}; the version has {}", self.oms_root));
        }
        Ok(())
    }
}
