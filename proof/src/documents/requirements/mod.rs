//! Requirements: what a model asks of its Python environment, normalised from the files that it
//! carries. Lines never reach a shell: they are parsed, and written again from their parts.

mod lines;
mod marker;
mod pep508;
mod pylock;
mod python;
mod uv_lock;

pub(super) use lines::{parse_line, split};

use super::{Document, DocumentError, SchemaVersion, redact};
use crate::{Digest, media_type};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// Largest file that is read, in bytes.
pub const MAX_FILE_BYTES: usize = 16 * 1024 * 1024;
/// Most packages that one document names.
pub const MAX_PACKAGES: usize = 20_000;

/// How much of the environment the requirements decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Completeness {
    /// Some package may come in several versions, or some line cannot be used.
    Open,
    /// Every package named has one version; those that they need in turn are left open.
    Direct,
    /// A whole resolution, one version each, not every file's digest.
    Pinned,
    /// Every package has one version and the digests of its files.
    Hashed,
}

/// One package that is required.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Normalised name (PEP 503).
    pub name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extras: Vec<String>,
    /// Version specifiers (PEP 440) joined with commas, e.g. `==1.2.3`; empty for any version.
    pub specifier: String,
    /// Environment marker (PEP 508); absent when it is always required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
    /// SHA-256 of each file that may be installed; empty when not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hashes: Vec<Digest>,
}

impl Package {
    /// The one version that is allowed, when there is one.
    pub fn pinned_version(&self) -> Option<&str> {
        pep508::pinned_version(&self.specifier)
    }
}

/// The requirement on one line, hashes included.
impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if !self.extras.is_empty() {
            write!(f, "[{}]", self.extras.join(","))?;
        }
        f.write_str(&self.specifier)?;
        if let Some(marker) = &self.marker {
            write!(f, " ; {marker}")?;
        }
        self.hashes.iter().try_for_each(|hash| write!(f, " --hash={hash}"))
    }
}

/// A line that names no package of an index: kept so that it can be named, never used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnusableLine {
    pub file: String,
    /// Line of a text file, place in the list of a structured one; from 1.
    pub line: u64,
    /// The text, cut to 500 characters, passwords in URLs left out.
    pub text: String,
    pub reason: String,
}

impl UnusableLine {
    fn new(file: &str, line: u64, text: &str, reason: &str) -> Self {
        let text = redact::url_passwords(text).chars().take(500).collect();
        Self { file: file.to_owned(), line, text, reason: redact::url_passwords(reason) }
    }
}

impl fmt::Display for UnusableLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} line {}, {:?}: {}", self.file, self.line, self.text, self.reason)
    }
}

/// What a model asks of its Python environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Requirements {
    pub schema_version: SchemaVersion,
    /// The file of the model that this was read from.
    pub source: String,
    pub completeness: Completeness,
    /// Version of Python that the model was made with, e.g. `3.11.2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python_version: Option<String>,
    /// Range of Python versions that the model's files ask for, e.g. `>=3.10`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires_python: Option<String>,
    /// Sorted by name.
    pub packages: Vec<Package>,
    /// Lines that cannot be used; while there are any, no environment can be built.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unusable: Vec<UnusableLine>,
}

/// A file that cannot be read as what its name says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequirementsError {
    #[error("{file} has {bytes} bytes; expected at most 16777216")]
    TooLarge { file: String, bytes: usize },
    #[error("{file} is not UTF-8 text")]
    NotText { file: String },
    #[error("{file} is damaged: {reason}")]
    Damaged { file: &'static str, reason: String },
    #[error("{file} names {count} packages; expected at most 20000")]
    TooManyPackages { file: &'static str, count: usize },
}

/// Requirements with a line that names no package of an index.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the model's requirements cannot be installed: {0}")]
pub struct NotInstallable(pub UnusableLine);

/// Packages of a file that claims to be a whole resolution.
#[derive(Debug, Default, PartialEq, Eq)]
struct LockContent {
    python: python::Python,
    packages: Vec<Package>,
    unusable: Vec<UnusableLine>,
}

impl Requirements {
    /// The files at a model's root that [`Self::from_files`] reads.
    pub const FILE_NAMES: [&str; 6] =
        ["uv.lock", "pylock.toml", "requirements.txt", "conda.yaml", "python_env.yaml", ".python-version"];

    /// Reads the best of the files that describe an environment, by name at the model's root:
    /// `uv.lock`, `pylock.toml`, `requirements.txt`, then `conda.yaml` with `python_env.yaml`.
    /// `None` when there is none of them. The Python version may come from another of the files.
    pub fn from_files(files: &BTreeMap<String, Vec<u8>>) -> Result<Option<Self>, RequirementsError> {
        let text = |name: &str| files.get(name).map(|bytes| read_text(name, bytes)).transpose();
        let python_env =
            text("python_env.yaml")?.map(|text| python::python_env("python_env.yaml", text)).transpose()?;
        let conda = text("conda.yaml")?.map(|text| python::conda("conda.yaml", text)).transpose()?;
        let pin = text(".python-version")?
            .and_then(|text| text.lines().next())
            .map(python::Python::of)
            .unwrap_or_default();
        let pin = python::Python { requires: None, ..pin };
        let described =
            [&python_env, &conda].into_iter().flatten().map(|environment| environment.python.clone());
        let python = described.chain([pin]).reduce(python::Python::or).unwrap_or_default();

        let (source, whole, content) = if let Some(text) = text("uv.lock")? {
            ("uv.lock", true, uv_lock::read(text)?)
        } else if let Some(text) = text("pylock.toml")? {
            ("pylock.toml", true, pylock::read(text)?)
        } else if let Some(text) = text("requirements.txt")? {
            let (packages, unusable) = lines::read("requirements.txt", &lines::split(text));
            ("requirements.txt", false, LockContent { packages, unusable, ..LockContent::default() })
        } else if let Some(conda) = conda {
            (
                "conda.yaml",
                false,
                LockContent { packages: conda.packages, unusable: conda.unusable, ..LockContent::default() },
            )
        } else if let Some(env) = python_env {
            (
                "python_env.yaml",
                false,
                LockContent { packages: env.packages, unusable: env.unusable, ..LockContent::default() },
            )
        } else {
            return Ok(None);
        };
        Self::new(source, whole, python, content).map(Some)
    }

    fn new(
        source: &'static str,
        whole: bool,
        python: python::Python,
        content: LockContent,
    ) -> Result<Self, RequirementsError> {
        let mut packages = content.packages;
        if packages.len() > MAX_PACKAGES {
            return Err(RequirementsError::TooManyPackages { file: source, count: packages.len() });
        }
        packages.sort();
        packages.dedup();
        let python = python.or(content.python);
        Ok(Self {
            schema_version: SchemaVersion,
            source: source.to_owned(),
            completeness: completeness(whole, &packages, &content.unusable),
            python_version: python.version,
            requires_python: python.requires,
            packages,
            unusable: content.unusable,
        })
    }

    /// The requirements as a file for a resolver, one line each; the first line that cannot be
    /// used is the error.
    pub fn to_resolver_input(&self) -> Result<String, NotInstallable> {
        match self.unusable.first() {
            Some(line) => Err(NotInstallable(line.clone())),
            None => Ok(render(&self.packages)),
        }
    }
}

impl Document for Requirements {
    const FILE: &'static str = "requirements.json";
    const MEDIA_TYPE: &'static str = media_type::REQUIREMENTS;

    fn validate(&self) -> Result<(), DocumentError> {
        for package in &self.packages {
            let line = package.to_string();
            // What is written must read back as itself: a stored document is not trusted more than a line.
            if parse_line(&line).as_ref() != Ok(package) {
                return Err(DocumentError::field(
                    "packages",
                    &line,
                    "a requirement (PEP 508) in normal form",
                ));
            }
        }
        let version = self.python_version.as_deref();
        if let Some(version) = version.filter(|text| !python::Python::of(text).is_version(text)) {
            return Err(DocumentError::field("python_version", version, "a version such as \"3.11.2\""));
        }
        if let Some(range) = self.requires_python.as_deref().filter(|text| !python::is_range(text)) {
            return Err(DocumentError::field("requires_python", range, "specifiers such as \">=3.10\""));
        }
        Ok(())
    }
}

/// The packages as a requirements file, one line each.
pub(super) fn render(packages: &[Package]) -> String {
    let lines = packages.iter().map(|package| [package.to_string().as_str(), "\n"].concat());
    lines.collect()
}

fn completeness(whole: bool, packages: &[Package], unusable: &[UnusableLine]) -> Completeness {
    let all_pinned = packages.iter().all(|package| package.pinned_version().is_some());
    let all_hashed = !packages.is_empty() && packages.iter().all(|package| !package.hashes.is_empty());
    match (unusable.is_empty() && all_pinned, all_hashed, whole) {
        (false, _, _) => Completeness::Open,
        (true, true, _) => Completeness::Hashed,
        (true, false, true) => Completeness::Pinned,
        (true, false, false) => Completeness::Direct,
    }
}

fn read_text<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str, RequirementsError> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(RequirementsError::TooLarge { file: name.to_owned(), bytes: bytes.len() });
    }
    std::str::from_utf8(bytes).map_err(|_| RequirementsError::NotText { file: name.to_owned() })
}

#[cfg(test)]
mod tests;
