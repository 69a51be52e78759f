//! A pulled folder verifies offline; whatever is changed in it is named.

#[expect(dead_code, reason = "every test binary uses its own part of the fixture")]
mod common;

use common::{FILES, pull, version};
use std::{fs, path::Path};
use waybill_proof::{
    keys::{FileKey, TrustedKeys},
    oms::Fault,
    verify::{self, Outcome, Report},
};

fn pulled() -> (tempfile::TempDir, FileKey) {
    let directory = tempfile::tempdir().unwrap();
    let key = FileKey::generate().unwrap();
    pull(&version(&key, "iris", 1, &FILES), &FILES, directory.path());
    (directory, key)
}

fn check(directory: &Path, key: &FileKey) -> Report {
    verify::folder(directory, &TrustedKeys::pinned([key.public_key().clone()]))
}

fn faults(report: &Report) -> Vec<(&str, Fault)> {
    let files = &report.check("files").unwrap().files;
    files.iter().map(|file| (file.path.as_str(), file.fault)).collect()
}

#[test]
fn an_untouched_folder_passes() {
    let (directory, key) = pulled();
    // What MLflow's client adds on download is no part of the model.
    fs::write(directory.path().join("registered_model_meta"), "model_name: iris").unwrap();
    fs::create_dir(directory.path().join("empty")).unwrap();
    let report = check(directory.path(), &key);
    assert!(report.passed(), "{report:#?}");
    let names: Vec<&str> = report.checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(names, ["signature", "files", "provenance"]);
    let detail = &report.check("files").unwrap().detail;
    assert_eq!(
        detail,
        "5 files are as they were signed; not covered by the signature: registered_model_meta"
    );
}

#[test]
fn every_change_is_named() {
    let (directory, key) = pulled();
    let root = directory.path();
    let mut bytes = fs::read(root.join("model.pkl")).unwrap();
    bytes[3] ^= 1;
    fs::write(root.join("model.pkl"), bytes).unwrap();
    fs::remove_file(root.join("sub/tok.txt")).unwrap();
    fs::write(root.join("sub/model.sig"), "x").unwrap();
    fs::write(root.join(".hidden"), "x").unwrap();
    let report = check(root, &key);
    assert!(!report.passed());
    assert_eq!(
        faults(&report),
        [
            (".hidden", Fault::Extra),
            ("model.pkl", Fault::Changed),
            ("sub/model.sig", Fault::Extra),
            ("sub/tok.txt", Fault::Missing)
        ]
    );
    let detail = &report.check("files").unwrap().detail;
    assert!(
        detail.contains("changed \"model.pkl\"") && detail.contains("missing \"sub/tok.txt\""),
        "{detail}"
    );
}

#[test]
fn links_and_odd_names_are_refused() {
    use std::os::unix::{ffi::OsStrExt, fs::symlink};
    let (directory, key) = pulled();
    let link = directory.path().join("model.pkl");
    fs::remove_file(&link).unwrap();
    symlink("/etc/passwd", &link).unwrap();
    let report = check(directory.path(), &key);
    assert!(
        report.check("files").unwrap().detail.contains("\"model.pkl\" is a link or special file"),
        "{report:#?}"
    );

    let (directory, key) = pulled();
    symlink("/etc", directory.path().join("more")).unwrap();
    assert!(!check(directory.path(), &key).passed(), "a linked directory is not followed");

    let (directory, key) = pulled();
    fs::write(directory.path().join(std::ffi::OsStr::from_bytes(b"\xff.bin")), "x").unwrap();
    let report = check(directory.path(), &key);
    assert!(report.check("files").unwrap().detail.contains("not UTF-8"), "{report:#?}");
}

#[test]
fn proof_that_is_missing_or_foreign_is_named() {
    let (directory, key) = pulled();
    let root = directory.path();
    let stranger = FileKey::generate().unwrap();
    let report = check(root, &stranger);
    assert!(!report.passed() && report.checks.len() == 1);
    assert!(report.checks[0].detail.contains("not trusted"));

    fs::remove_file(root.join("provenance.sigstore.json")).unwrap();
    let report = check(root, &key);
    assert!(report.passed());
    assert_eq!(report.check("provenance").unwrap().ok, Outcome::Skipped);

    let other = tempfile::tempdir().unwrap();
    pull(&version(&key, "other", 1, &FILES[..2]), &FILES[..2], other.path());
    fs::copy(other.path().join("provenance.sigstore.json"), root.join("provenance.sigstore.json")).unwrap();
    let report = check(root, &key);
    assert_eq!(report.failures().map(|check| check.name.as_str()).collect::<Vec<_>>(), ["provenance"]);

    fs::write(root.join("model.sig"), "{").unwrap();
    assert!(check(root, &key).checks[0].detail.starts_with("model.sig: the bundle is not valid"));
    fs::remove_file(root.join("model.sig")).unwrap();
    fs::create_dir(root.join("model.sig")).unwrap();
    assert!(check(root, &key).checks[0].detail.contains("not a regular file"));
    assert!(check(Path::new("/no/such/folder"), &key).checks[0].detail.contains("missing \"model.sig\""));
}
