//! OpenSSF Model Signing 1.0 (ossf/model-signing-spec): the statement over every file of a model,
//! method `files` with `sha256`. Bundled by [`crate::bundle`] it is a `model.sig` that the
//! reference verifier accepts.

use crate::{
    Digest,
    json::{CanonicalError, canonical},
    manifest::{MLFLOW_META_FILE, ModelFile, PROVENANCE_FILE, SIGNATURE_FILE},
    path::{self, InvalidPath, UNSIGNED_NAMES},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, fmt};

/// `_type` of every in-toto statement.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// `predicateType` of an OMS statement.
pub const PREDICATE_TYPE: &str = "https://model_signing/signature/v1.0";

/// Names at the model's root that the signature leaves out: itself, what else a pulled folder
/// carries, and the defaults of the reference library.
pub fn ignore_paths() -> Vec<&'static str> {
    [SIGNATURE_FILE, PROVENANCE_FILE, MLFLOW_META_FILE].into_iter().chain(UNSIGNED_NAMES).collect()
}

/// Bytes that are not an OMS statement, or one about other files.
#[derive(Debug, thiserror::Error)]
pub enum OmsError {
    #[error("the model signature's statement is not valid: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the model signature's {field} is {value:?}; expected {expected}")]
    Field { field: &'static str, value: String, expected: String },
    #[error("the model signature lists {0:?} twice")]
    Duplicate(String),
    #[error("the model signature lists a bad path: {0}")]
    Path(#[from] InvalidPath),
    #[error("the files are not those that were signed: {}", join(.0))]
    Files(Vec<FileFault>),
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

/// How a file differs from what was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Signed, but not there.
    Missing,
    /// There, but not signed.
    Extra,
    /// There with other bytes.
    Changed,
}

/// A file that differs from what was signed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileFault {
    pub path: String,
    pub fault: Fault,
}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fault = match self.fault {
            Fault::Missing => "missing",
            Fault::Extra => "extra",
            Fault::Changed => "changed",
        };
        write!(f, "{fault} {:?}", self.path)
    }
}

/// At most ten faults as text, and how many more there are.
pub(crate) fn join(faults: &[FileFault]) -> String {
    let text = faults.iter().take(10).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match faults.len().saturating_sub(10) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

/// What an OMS statement says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelStatement {
    /// Name of the signed directory; informative.
    pub name: String,
    /// SHA-256 over the raw file digests in the order of the resources.
    pub root: Digest,
    /// Digest of each signed file by path.
    pub files: BTreeMap<String, Digest>,
    /// Paths below which nothing is signed.
    pub ignore_paths: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireStatement {
    #[serde(rename = "_type")]
    statement_type: String,
    subject: Vec<WireSubject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: WirePredicate,
}

#[derive(Serialize, Deserialize)]
struct WireSubject {
    name: String,
    digest: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct WirePredicate {
    serialization: WireSerialization,
    resources: Vec<WireResource>,
}

#[derive(Serialize, Deserialize)]
struct WireSerialization {
    method: String,
    hash_type: String,
    #[serde(default)]
    allow_symlinks: bool,
    #[serde(default)]
    ignore_paths: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct WireResource {
    name: String,
    algorithm: String,
    digest: String,
}

/// SHA-256 over the raw digests of `files` ordered by the code points of their path.
pub fn root(files: &[ModelFile]) -> Digest {
    root_of(sorted(files).iter().map(|file| &file.digest))
}

/// The statement about `files`, in canonical JSON: what gets signed. `name` is the subject's name.
pub fn statement(name: &str, files: &[ModelFile]) -> Result<Vec<u8>, OmsError> {
    let resource = |file: &&ModelFile| WireResource {
        name: file.path.clone(),
        algorithm: "sha256".to_owned(),
        digest: file.digest.hex(),
    };
    Ok(canonical(&WireStatement {
        statement_type: STATEMENT_TYPE.to_owned(),
        subject: vec![WireSubject {
            name: name.to_owned(),
            digest: BTreeMap::from([("sha256".to_owned(), root(files).hex())]),
        }],
        predicate_type: PREDICATE_TYPE.to_owned(),
        predicate: WirePredicate {
            serialization: WireSerialization {
                method: "files".to_owned(),
                hash_type: "sha256".to_owned(),
                allow_symlinks: false,
                ignore_paths: ignore_paths().into_iter().map(str::to_owned).collect(),
            },
            resources: sorted(files).iter().map(resource).collect(),
        },
    })?)
}

/// Reads a statement, checks its form and that its root is the root of its resources. Resources
/// may come in any order: the reference library sorts them differently.
pub fn parse(payload: &[u8]) -> Result<ModelStatement, OmsError> {
    let wire: WireStatement = serde_json::from_slice(payload)?;
    expect("_type", &wire.statement_type, STATEMENT_TYPE)?;
    expect("predicateType", &wire.predicate_type, PREDICATE_TYPE)?;
    let serialization = wire.predicate.serialization;
    expect("predicate.serialization.method", &serialization.method, "files")?;
    expect("predicate.serialization.hash_type", &serialization.hash_type, "sha256")?;
    expect("predicate.serialization.allow_symlinks", &serialization.allow_symlinks.to_string(), "false")?;
    let [subject] = wire.subject.as_slice() else {
        return Err(field("subject", &format!("{} subjects", wire.subject.len()), "exactly one subject"));
    };
    let signed_root = subject.digest.get("sha256").map(String::as_str).unwrap_or_default();
    let signed_root = parse_hex("subject[0].digest.sha256", signed_root)?;

    let mut files = BTreeMap::new();
    let mut digests = Vec::with_capacity(wire.predicate.resources.len());
    for resource in wire.predicate.resources {
        expect("predicate.resources[].algorithm", &resource.algorithm, "sha256")?;
        path::check(&resource.name)?;
        let digest = parse_hex("predicate.resources[].digest", &resource.digest)?;
        digests.push(digest);
        if files.insert(resource.name.clone(), digest).is_some() {
            return Err(OmsError::Duplicate(resource.name));
        }
    }
    let root = root_of(digests.iter());
    if root != signed_root {
        return Err(field(
            "subject[0].digest.sha256",
            &signed_root.hex(),
            &format!("{}, the root of its resources", root.hex()),
        ));
    }
    Ok(ModelStatement { name: subject.name.clone(), root, files, ignore_paths: serialization.ignore_paths })
}

/// Checks that `payload` is a statement about exactly `files`; returns the root.
pub fn verify_statement(payload: &[u8], files: &[ModelFile]) -> Result<Digest, OmsError> {
    let statement = parse(payload)?;
    let faults = statement.compare(files.iter().map(|file| (file.path.as_str(), file.digest)));
    if faults.is_empty() { Ok(statement.root) } else { Err(OmsError::Files(faults)) }
}

impl ModelStatement {
    /// Every file that differs from what was signed, sorted by path; empty when all is well.
    pub fn compare<'a>(&self, present: impl IntoIterator<Item = (&'a str, Digest)>) -> Vec<FileFault> {
        let present: BTreeMap<&str, Digest> = present.into_iter().collect();
        let fault = |path: &str, fault| FileFault { path: path.to_owned(), fault };
        let mut faults: Vec<FileFault> = self
            .files
            .iter()
            .filter_map(|(path, signed)| match present.get(path.as_str()) {
                None => Some(fault(path, Fault::Missing)),
                Some(digest) if digest != signed => Some(fault(path, Fault::Changed)),
                Some(_) => None,
            })
            .collect();
        let unsigned = |path: &&&str| !self.files.contains_key(**path) && !self.ignores(path);
        faults.extend(present.keys().filter(unsigned).map(|path| fault(path, Fault::Extra)));
        faults.sort();
        faults
    }

    /// Whether `path` is, or lies below, one of the signed `ignore_paths`.
    pub fn ignores(&self, path: &str) -> bool {
        self.ignore_paths.iter().any(|ignored| {
            path.strip_prefix(ignored.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

fn sorted(files: &[ModelFile]) -> Vec<&ModelFile> {
    let mut sorted: Vec<&ModelFile> = files.iter().collect();
    // UTF-8 sorts by code point, as the specification asks.
    sorted.sort_by(|a, b| a.path.cmp(&b.path));
    sorted
}

fn root_of<'a>(digests: impl Iterator<Item = &'a Digest>) -> Digest {
    let hasher = digests.fold(Sha256::new(), |hasher, digest| hasher.chain_update(digest.as_bytes()));
    Digest::from_bytes(hasher.finalize().into())
}

fn parse_hex(name: &'static str, text: &str) -> Result<Digest, OmsError> {
    Digest::from_hex(text).map_err(|_| field(name, text, "64 lower-case hex digits"))
}

fn expect(name: &'static str, value: &str, expected: &str) -> Result<(), OmsError> {
    if value == expected { Ok(()) } else { Err(field(name, value, expected)) }
}

fn field(field: &'static str, value: &str, expected: &str) -> OmsError {
    OmsError::Field { field, value: value.chars().take(200).collect(), expected: expected.to_owned() }
}

#[cfg(test)]
mod tests;
