//! Verification of a pulled folder: no server, only files and a public key.

use super::{Report, version::provenance_detail};
use crate::{
    Digest, bundle,
    keys::{KeyRole, TrustedKeys},
    manifest::{PROVENANCE_FILE, SIGNATURE_FILE},
    oms::{self, ModelStatement},
    statement::ProvenanceSubjects,
};
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read},
    path::Path,
};

const BUFFER_BYTES: usize = 1024 * 1024;

/// Verifies the model in `directory`: `model.sig` against `keys`, every file against it, and the
/// provenance beside it. Works without network and without a registry.
pub fn folder(directory: &Path, keys: &TrustedKeys) -> Report {
    let mut report = Report::new(keys);
    let keys = keys.for_role(KeyRole::Registry);
    let Some(statement) = check_signature(&mut report, directory, &keys) else {
        return report;
    };
    match scan(directory, &statement) {
        Ok(found) => {
            let present = found.files.iter().map(|(path, digest)| (path.as_str(), *digest));
            let also = match found.ignored.len() {
                0 => String::new(),
                _ => format!(
                    "; not covered by the signature: {}",
                    found.ignored.into_iter().collect::<Vec<_>>().join(", ")
                ),
            };
            report.files(statement.files.len(), statement.compare(present), &also);
        }
        Err(reason) => report.failed("files", reason),
    }
    check_provenance(&mut report, directory, &statement, &keys);
    report
}

fn check_signature(report: &mut Report, directory: &Path, keys: &TrustedKeys) -> Option<ModelStatement> {
    const NAME: &str = "signature";
    let opened = match read_bundle(&directory.join(SIGNATURE_FILE)) {
        Ok(Some(bytes)) => bundle::open(&bytes, keys),
        Ok(None) => {
            report.failed(NAME, format!("missing {SIGNATURE_FILE:?} in {}", directory.display()));
            return None;
        }
        Err(reason) => {
            report.failed(NAME, format!("{SIGNATURE_FILE}: {reason}"));
            return None;
        }
    };
    let parsed = opened.map_err(|error| error.to_string()).and_then(|opened| {
        let statement = oms::parse(&opened.payload).map_err(|error| error.to_string())?;
        Ok((statement, opened.signed_by_hint))
    });
    match parsed {
        Ok((statement, signed_by)) => {
            let detail = format!("{SIGNATURE_FILE} signs {:?} with root {}", statement.name, statement.root);
            report.ok(NAME, detail, Some(&signed_by));
            Some(statement)
        }
        Err(reason) => {
            report.failed(NAME, format!("{SIGNATURE_FILE}: {reason}"));
            None
        }
    }
}

fn check_provenance(report: &mut Report, directory: &Path, statement: &ModelStatement, keys: &TrustedKeys) {
    const NAME: &str = "provenance";
    let bytes = match read_bundle(&directory.join(PROVENANCE_FILE)) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            report.skipped(NAME, format!("there is no {PROVENANCE_FILE}"));
            return;
        }
        Err(reason) => {
            report.failed(NAME, format!("{PROVENANCE_FILE}: {reason}"));
            return;
        }
    };
    let judged = bundle::open(&bytes, keys).map_err(|error| error.to_string()).and_then(|opened| {
        let subjects = ProvenanceSubjects::read(&opened.statement).map_err(|error| error.to_string())?;
        // Other tools order resources differently, so their root for the same files differs.
        if subjects.oms_root != statement.root {
            return Err(format!(
                "it is about the model root {}; {SIGNATURE_FILE} signs {}",
                subjects.oms_root, statement.root
            ));
        }
        Ok((provenance_detail(&opened.statement), opened.signed_by_hint))
    });
    match judged {
        Ok((detail, signed_by)) => report.ok(NAME, detail, Some(&signed_by)),
        Err(reason) => report.failed(NAME, format!("{PROVENANCE_FILE}: {reason}")),
    }
}

/// `None` when the file is not there. Never follows a link, never reads more than a bundle has.
fn read_bundle(path: &Path) -> Result<Option<Vec<u8>>, String> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.is_file() => return Err("not a regular file".to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    let limit = bundle::MAX_BUNDLE_BYTES as u64 + 1;
    file.take(limit).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(Some(bytes))
}

#[derive(Default)]
struct Found {
    files: BTreeMap<String, Digest>,
    /// Top-level names that the signature leaves out, other than the folder's own proof.
    ignored: BTreeSet<String>,
}

/// Hashes every file that the signature should cover. Links and special files are errors: what
/// they lead to can change without the folder changing.
fn scan(directory: &Path, statement: &ModelStatement) -> Result<Found, String> {
    let mut found = Found::default();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut walk = walkdir::WalkDir::new(directory).min_depth(1).sort_by_file_name().into_iter();
    while let Some(entry) = walk.next() {
        let entry = entry.map_err(|error| error.to_string())?;
        let relative = entry.path().strip_prefix(directory).unwrap_or(entry.path());
        let Some(path) = relative.to_str() else {
            return Err(format!(
                "extra {}: its name is not UTF-8, so it cannot have been signed",
                relative.display()
            ));
        };
        if statement.ignores(path) {
            if path != SIGNATURE_FILE && path != PROVENANCE_FILE {
                found.ignored.insert(path.to_owned());
            }
            if entry.file_type().is_dir() {
                walk.skip_current_dir();
            }
            continue;
        }
        if entry.file_type().is_dir() {
            continue;
        }
        if !entry.file_type().is_file() {
            return Err(format!("{path:?} is a link or special file; expected regular files only"));
        }
        let digest =
            hash_file(entry.path(), &mut buffer).map_err(|error| format!("cannot read {path:?}: {error}"))?;
        found.files.insert(path.to_owned(), digest);
    }
    Ok(found)
}

fn hash_file(path: &Path, buffer: &mut [u8]) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    loop {
        match file.read(buffer) {
            Ok(0) => return Ok(Digest::from_bytes(hasher.finalize().into())),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
