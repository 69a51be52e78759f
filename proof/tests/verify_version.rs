//! A version verifies as the one that was registered, and as nothing else.

#[expect(dead_code, reason = "every test binary uses its own part of the fixture")]
mod common;

use common::{FILES, Version, lockfile, version};
use waybill_proof::{
    Digest,
    documents::{Document, Lockfile},
    keys::{FileKey, KeyRole, Signer, Trust, TrustedKeys},
    media_type,
    statement::Predicate,
    verify::{self, Outcome, Report, VersionEvidence},
};

fn setup() -> (FileKey, TrustedKeys, Version) {
    let key = FileKey::generate().unwrap();
    let trusted = TrustedKeys::pinned([key.public_key().clone()]);
    let version = version(&key, "iris", 1, &FILES);
    (key, trusted, version)
}

fn failed(report: &Report) -> Vec<&str> {
    report.failures().map(|check| check.name.as_str()).collect()
}

fn detail<'a>(report: &'a Report, name: &str) -> &'a str {
    &report.check(name).unwrap_or_else(|| panic!("no check {name} in {report:?}")).detail
}

#[test]
fn a_registered_version_passes_every_check() {
    let (key, trusted, version) = setup();
    let report = verify::version(&version.evidence, &trusted);
    assert!(report.passed(), "{report:#?}");
    assert_eq!(report.trust, Trust::Pinned);
    let names: Vec<&str> = report.checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "manifest",
            "signature",
            "files",
            "registration",
            "provenance",
            "requirements",
            "experiment-config",
            "registration-snapshot",
            "run-completed"
        ]
    );
    assert!(report.checks.iter().all(|check| check.ok == Outcome::Ok), "{report:#?}");
    for signed in ["signature", "registration", "provenance", "run-completed"] {
        assert_eq!(report.check(signed).unwrap().signed_by.as_deref(), Some(key.hint()), "{signed}");
    }
    assert!(
        detail(&report, "provenance").contains("client-reported")
            && detail(&report, "provenance").contains("c0ffee")
    );
    let from_registry = TrustedKeys::from_registry([key.public_key().clone()]);
    assert_eq!(verify::version(&version.evidence, &from_registry).trust, Trust::FromRegistry);
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
}

/// The row of `iris@1` was pointed at the content and statements of another signed model.
#[test]
fn another_signed_model_under_the_same_row_fails() {
    let (key, trusted, iris) = setup();
    let other_files = [("model.pkl", "other weights")];
    for (name, number) in [("evil", 1), ("iris", 2)] {
        let other = version(&key, name, number, &other_files);
        let evidence = VersionEvidence { expected: iris.evidence.expected.clone(), ..other.evidence };
        let report = verify::version(&evidence, &trusted);
        assert!(failed(&report).contains(&"registration"), "{report:#?}");
        assert!(detail(&report, "registration").contains("asked for was iris@1 with uid uid-iris-1"));
    }
    // Only the manifest was exchanged, or only some of the statements.
    let other = version(&key, "iris", 2, &other_files);
    let exchanged = VersionEvidence { manifest: other.evidence.manifest.clone(), ..iris.evidence.clone() };
    assert_eq!(
        failed(&verify::version(&exchanged, &trusted)),
        ["files", "registration", "provenance", "run-completed"]
    );
    for (kind, check) in [
        (media_type::OMS_SIGNATURE, "files"),
        (media_type::REGISTRATION_STATEMENT, "registration"),
        (media_type::PROVENANCE, "provenance"),
        (media_type::RUN_COMPLETED, "run-completed"),
    ] {
        let mut evidence = iris.evidence.clone();
        evidence.referrers.insert(kind.to_owned(), other.evidence.referrers[kind].clone());
        let report = verify::version(&evidence, &trusted);
        assert_eq!(failed(&report), [check], "{report:#?}");
    }
}

/// A model deleted and created again starts at version 1: same name and number, another uid.
#[test]
fn a_recreated_version_is_another() {
    let (_, trusted, version) = setup();
    let mut evidence = version.evidence;
    evidence.expected.uid = "uid-of-the-second-iris-1".to_owned();
    assert_eq!(failed(&verify::version(&evidence, &trusted)), ["registration", "run-completed"]);
}

#[test]
fn nothing_passes_with_a_strangers_key() {
    let (_, _, version) = setup();
    let stranger = FileKey::generate().unwrap();
    for trusted in [TrustedKeys::pinned([stranger.public_key().clone()]), TrustedKeys::pinned([])] {
        let report = verify::version(&version.evidence, &trusted);
        assert_eq!(failed(&report), ["signature", "registration", "provenance", "run-completed"]);
        assert!(detail(&report, "signature").contains("not trusted"));
    }
    let mut deployer_only = TrustedKeys::pinned([]);
    let (key, _, version) = setup();
    deployer_only.insert_for(key.public_key().clone(), KeyRole::Deployer);
    assert!(
        !verify::version(&version.evidence, &deployer_only).passed(),
        "a deployer's key signs no versions"
    );
}

#[test]
fn what_is_missing_or_damaged_is_named() {
    let (_, trusted, version) = setup();
    for (kind, check) in [
        (media_type::OMS_SIGNATURE, "signature"),
        (media_type::REGISTRATION_STATEMENT, "registration"),
        (media_type::PROVENANCE, "provenance"),
        (media_type::REQUIREMENTS, "requirements"),
        (media_type::EXPERIMENT_CONFIG, "experiment-config"),
        (media_type::REGISTRATION_SNAPSHOT, "registration-snapshot"),
    ] {
        let mut missing = version.evidence.clone();
        missing.referrers.remove(kind);
        let report = verify::version(&missing, &trusted);
        assert_eq!(failed(&report), [check]);
        assert!(detail(&report, check).contains("missing"), "{report:#?}");

        let mut damaged = version.evidence.clone();
        let bytes = &mut damaged.referrers.get_mut(kind).unwrap()[0];
        let middle = bytes.len() / 2;
        bytes[middle] = if bytes[middle] == b'A' { b'B' } else { b'A' };
        assert_eq!(failed(&verify::version(&damaged, &trusted)), [check]);
    }
    let mut without_run = version.evidence.clone();
    without_run.referrers.remove(media_type::RUN_COMPLETED);
    let report = verify::version(&without_run, &trusted);
    assert!(report.passed());
    assert_eq!(report.check("run-completed").unwrap().ok, Outcome::Skipped);

    let no_manifest = VersionEvidence { manifest: b"{}".to_vec(), ..version.evidence };
    let report = verify::version(&no_manifest, &trusted);
    assert_eq!(failed(&report), ["manifest"]);
    assert!(!verify::version(&VersionEvidence::default(), &trusted).passed());
}

#[test]
fn junk_that_others_attach_hides_nothing() {
    let (_, trusted, version) = setup();
    let mut evidence = version.evidence;
    let stranger = FileKey::generate().unwrap();
    let foreign = common::version(&stranger, "iris", 1, &FILES);
    for (kind, bundles) in &mut evidence.referrers {
        bundles.insert(0, b"junk".to_vec());
        bundles.insert(0, foreign.evidence.referrers[kind][0].clone());
    }
    assert!(verify::version(&evidence, &trusted).passed());
}

#[test]
fn lockfiles_are_checked_with_deployer_keys() {
    let (_, _, version) = setup();
    let (registry, deployer) = (FileKey::generate().unwrap(), FileKey::generate().unwrap());
    let version_of_registry = common::version(&registry, "iris", 1, &FILES);
    let mut trusted = TrustedKeys::pinned([]);
    trusted.insert_for(registry.public_key().clone(), KeyRole::Registry);
    let (document, signature) = lockfile(&version, &deployer);
    let with = |document: &[u8], signature: &[u8]| {
        let mut evidence = version_of_registry.evidence.clone();
        evidence.referrers.insert(media_type::LOCKFILE.to_owned(), vec![document.to_vec()]);
        evidence.referrers.insert(media_type::LOCKFILE_SIGNATURE.to_owned(), vec![signature.to_vec()]);
        evidence
    };
    let report = verify::version(&with(&document, &signature), &trusted);
    assert!(report.passed());
    let check = report.check("lockfile").unwrap();
    assert!(check.ok == Outcome::Skipped && check.detail.contains("not trusted"), "{check:?}");

    trusted.insert_for(deployer.public_key().clone(), KeyRole::Deployer);
    let report = verify::version(&with(&document, &signature), &trusted);
    assert!(report.passed());
    assert!(detail(&report, "lockfile").contains("resolved by embedded with uv 0.9.8"));
    let (read, resolution) = verify::lockfile(&document, &signature, &trusted).unwrap();
    assert_eq!(read.digest().unwrap(), resolution.lockfile_digest);
    assert_eq!(read.to_bytes().unwrap(), document);

    let (_, by_registry) = lockfile(&version, &registry);
    assert!(
        verify::lockfile(&document, &by_registry, &trusted).is_err(),
        "the registry's key signs no lockfiles"
    );
    let changed = String::from_utf8(document.clone()).unwrap().replace("1.26.4", "1.26.5");
    let error = verify::lockfile(changed.as_bytes(), &signature, &trusted).unwrap_err().to_string();
    assert!(error.contains("the signature is about the lockfile sha256:"), "{error}");

    let parsed = Lockfile::parse(&document).unwrap();
    let lying = waybill_proof::statement::LockfileResolution {
        requirements_digest: Digest::of(b"other"),
        ..resolution
    };
    assert_ne!(parsed.inputs.requirements_digest, lying.requirements_digest);
    let lying = lying.sign(&deployer).unwrap();
    assert!(verify::lockfile(&document, &lying, &trusted).is_err());
    assert_eq!(failed(&verify::version(&with(&document, &lying), &trusted)), ["lockfile"]);
}

#[test]
fn provenance_says_what_slsa_asks_for() {
    let (_, trusted, version) = setup();
    let bundle = &version.evidence.referrers[media_type::PROVENANCE][0];
    let statement = waybill_proof::bundle::open(bundle, &trusted).unwrap().statement;
    assert_eq!(statement.predicate_type, "https://slsa.dev/provenance/v1");
    let predicate = &statement.predicate;
    for pointer in [
        "/buildDefinition/buildType",
        "/buildDefinition/externalParameters/params",
        "/buildDefinition/internalParameters/run_id",
        "/runDetails/builder/id",
        "/runDetails/metadata/invocationId",
    ] {
        assert!(predicate.pointer(pointer).is_some(), "{pointer} in {predicate:#}");
    }
    assert_eq!(predicate["runDetails"]["metadata"]["startedOn"], "2023-11-14T22:13:20Z");
    let dependencies = predicate["buildDefinition"]["resolvedDependencies"].as_array().unwrap();
    let names: Vec<&str> = dependencies.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["experiment-config", "requirements", "source"]);
    // SLSA: each resource has at least one of uri, digest, content.
    assert!(dependencies.iter().all(|entry| entry.get("uri").or(entry.get("digest")).is_some()));
    assert_eq!(statement.subject[1].digest["sha256"], version.manifest.digest().hex());
}
