//! The lockfile: one whole resolution of some requirements for one platform, Python and index.

use super::{
    Document, DocumentError, Package, Requirements, SchemaVersion,
    requirements::{parse_line, render, split},
};
use crate::{Digest, json::canonical, media_type};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What decides a resolution; equal inputs reuse it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockInputs {
    pub requirements_digest: Digest,
    /// Operating system and architecture as container engines write them, e.g. `linux/amd64`.
    pub platform: String,
    /// Version of Python in the base image, e.g. `3.11.2`.
    pub python_version: String,
    /// Package index, e.g. `https://pypi.org/simple`; without credentials.
    pub index_url: String,
    /// Id of the base image that it was resolved in.
    pub base: String,
    /// Packages published after this moment were not looked at (RFC 3339); null: none was left out.
    pub cutoff_date: Option<String>,
}

/// A whole resolution: every package with one version and the digests of its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lockfile {
    pub schema_version: SchemaVersion,
    pub inputs: LockInputs,
    /// Count of the packages in `text`.
    pub package_count: u64,
    /// A requirements file for `--require-hashes`: one package a line, sorted by name.
    pub text: String,
}

/// Text or inputs that make no lockfile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLockfile {
    #[error("lockfile input {field} is {value:?}; expected {expected}")]
    Input { field: &'static str, value: String, expected: &'static str },
    #[error("lockfile line {line}, {text:?}: {reason}")]
    Line { line: u64, text: String, reason: String },
    #[error("the lockfile names {0:?} twice for the same environment")]
    Duplicate(String),
}

/// A lockfile that does not answer the requirements.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockMismatch {
    #[error("the lockfile lacks {0:?}, which the model requires")]
    Missing(String),
    #[error("the lockfile has {name} {locked}; the model requires {name}{required}")]
    Version { name: String, locked: String, required: String },
    #[error("no file that the lockfile allows for {0:?} has a digest that the model's own lock knows")]
    Hashes(String),
    #[error(transparent)]
    Document(#[from] InvalidLockfile),
}

impl LockInputs {
    /// Digest of the canonical JSON of the inputs: under this key a resolution is found again.
    pub fn key(&self) -> Digest {
        let bytes = canonical(self).expect("text fields always have a canonical form");
        Digest::of(&bytes)
    }

    /// Whether `url` can name the package index of a lockfile: it is signed and published with it.
    pub fn check_index_url(url: &str) -> Result<(), InvalidLockfile> {
        let good = url.split_once("://").is_some_and(|(scheme, rest)| {
            let authority = rest.split('/').next().unwrap_or_default();
            matches!(scheme, "http" | "https") && !authority.is_empty() && !authority.contains('@')
        });
        // Passwords are not repeated.
        let shown = super::redact::url_passwords(url);
        check("index_url", &shown, good, "an http or https URL without user and password")
    }

    fn validate(&self) -> Result<(), InvalidLockfile> {
        let platform =
            self.platform.split_once('/').is_some_and(|(os, arch)| !os.is_empty() && !arch.is_empty());
        check("platform", &self.platform, platform, "a system and an architecture such as \"linux/amd64\"")?;
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let python = self.python_version.contains('.') && self.python_version.split('.').all(digits);
        check("python_version", &self.python_version, python, "a version such as \"3.11.2\"")?;
        Self::check_index_url(&self.index_url)?;
        check("base", &self.base, true, "the id of an image")?;
        self.cutoff_date.as_deref().map_or(Ok(()), Self::check_cutoff_date)
    }

    /// Whether `date` can be the time that a lockfile's packages were there at.
    pub fn check_cutoff_date(date: &str) -> Result<(), InvalidLockfile> {
        let good = date.parse::<jiff::Timestamp>().is_ok() || date.parse::<jiff::civil::Date>().is_ok();
        check("cutoff_date", date, good, "a date or time after RFC 3339")
    }
}

/// An input is printable text of a bounded size, and `good` by its own rule.
fn check(
    field: &'static str,
    value: &str,
    good: bool,
    expected: &'static str,
) -> Result<(), InvalidLockfile> {
    let word = !value.is_empty() && value.len() <= 500 && value.chars().all(|c| c.is_ascii_graphic());
    if good && word {
        return Ok(());
    }
    Err(InvalidLockfile::Input { field, value: value.chars().take(200).collect(), expected })
}

impl Lockfile {
    /// Makes a lockfile of what a resolver wrote (`uv pip compile --generate-hashes`): comments
    /// go, every line must be one version with its hashes, order and form become canonical.
    pub fn new(inputs: LockInputs, text: &str) -> Result<Self, InvalidLockfile> {
        inputs.validate()?;
        Self::of_packages(inputs, read_packages(text)?)
    }

    fn of_packages(inputs: LockInputs, mut packages: Vec<Package>) -> Result<Self, InvalidLockfile> {
        packages.sort();
        let same = |pair: &[Package]| pair[0].name == pair[1].name && pair[0].marker == pair[1].marker;
        if let Some(pair) = packages.windows(2).find(|pair| same(pair)) {
            return Err(InvalidLockfile::Duplicate(pair[0].name.clone()));
        }
        let text = render(&packages);
        Ok(Self { schema_version: SchemaVersion, inputs, package_count: packages.len() as u64, text })
    }

    /// The packages, sorted by name.
    pub fn packages(&self) -> Result<Vec<Package>, InvalidLockfile> {
        read_packages(&self.text)
    }

    /// Key under which the resolution is found again.
    pub fn key(&self) -> Digest {
        self.inputs.key()
    }

    /// Checks that every package that `requirements` pins is locked to that version. Where the
    /// requirements know file digests, the lockfile keeps only those: what a model's own lock
    /// names cannot be exchanged at the index.
    pub fn narrowed_to(&self, requirements: &Requirements) -> Result<Self, LockMismatch> {
        let mut locked = self.packages()?;
        let mut wanted: BTreeMap<&str, Vec<&Package>> = BTreeMap::new();
        for package in &requirements.packages {
            wanted.entry(&package.name).or_default().push(package);
        }
        for (name, choices) in wanted {
            let conditional = choices.iter().any(|choice| choice.marker.is_some());
            let Some(found) = locked.iter_mut().find(|package| package.name == name) else {
                // A marker may leave a package out on this platform.
                if conditional {
                    continue;
                }
                return Err(LockMismatch::Missing(name.to_owned()));
            };
            narrow(found, &choices)?;
        }
        Ok(Self::of_packages(self.inputs.clone(), locked)?)
    }
}

fn narrow(locked: &mut Package, choices: &[&Package]) -> Result<(), LockMismatch> {
    let version = locked.pinned_version().unwrap_or_default().to_owned();
    let fits =
        |choice: &&&Package| choice.pinned_version().is_none_or(|wanted| same_version(wanted, &version));
    let Some(choice) = choices.iter().find(fits) else {
        let required =
            choices.iter().map(|choice| choice.specifier.as_str()).collect::<Vec<_>>().join(" or ");
        return Err(LockMismatch::Version { name: locked.name.clone(), locked: version, required });
    };
    if !choice.hashes.is_empty() {
        locked.hashes.retain(|hash| choice.hashes.contains(hash));
        if locked.hashes.is_empty() {
            return Err(LockMismatch::Hashes(locked.name.clone()));
        }
    }
    Ok(())
}

/// Whether two version texts mean one version, as far as a resolver rewrites them (PEP 440: case,
/// a leading `v`, trailing zeros; without a local part asked for, any local part will do).
fn same_version(wanted: &str, found: &str) -> bool {
    let split = |text: &str| {
        let text = text.trim_start_matches(['v', 'V']).to_ascii_lowercase();
        let (public, local) =
            text.split_once('+').map_or((text.as_str(), None), |(a, b)| (a, Some(b.to_owned())));
        let end = public.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(public.len());
        let (release, suffix) = public.split_at(end);
        let mut numbers: Vec<String> = release
            .trim_end_matches('.')
            .split('.')
            .map(|part| part.trim_start_matches('0').to_owned())
            .collect();
        while numbers.len() > 1 && numbers.last().is_some_and(String::is_empty) {
            numbers.pop();
        }
        let suffix: String = suffix.chars().filter(|c| !matches!(c, '.' | '-' | '_')).collect();
        (numbers, suffix, local)
    };
    let ((numbers_a, suffix_a, local_a), (numbers_b, suffix_b, local_b)) = (split(wanted), split(found));
    numbers_a == numbers_b && suffix_a == suffix_b && (local_a.is_none() || local_a == local_b)
}

fn read_packages(text: &str) -> Result<Vec<Package>, InvalidLockfile> {
    let mut packages = Vec::new();
    for line in split(text) {
        let refuse = |reason: String| InvalidLockfile::Line {
            line: line.number,
            text: super::redact::url_passwords(&line.text).chars().take(200).collect(),
            reason,
        };
        let package = parse_line(&line.text).map_err(refuse)?;
        if package.pinned_version().is_none() {
            return Err(refuse("it allows several versions; expected `==` and one version".to_owned()));
        }
        if package.hashes.is_empty() {
            return Err(refuse("it has no `--hash=sha256:…`".to_owned()));
        }
        packages.push(package);
    }
    Ok(packages)
}

impl Document for Lockfile {
    const FILE: &'static str = "lockfile.json";
    const MEDIA_TYPE: &'static str = media_type::LOCKFILE;

    fn validate(&self) -> Result<(), DocumentError> {
        let again = Self::new(self.inputs.clone(), &self.text).map_err(|error| {
            DocumentError::field("lockfile", &error.to_string(), "a whole resolution with hashes")
        })?;
        if again.text != self.text {
            return Err(DocumentError::field(
                "text",
                &self.text,
                "one package a line, sorted, without comments",
            ));
        }
        if again.package_count != self.package_count {
            return Err(DocumentError::field(
                "package_count",
                &self.package_count.to_string(),
                &again.package_count.to_string(),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
