//! `pylock.toml` (PEP 751).

use super::{LockContent, Package, RequirementsError, UnusableLine, marker::Marker, pep508, python::Python};
use crate::Digest;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

const FILE: &str = "pylock.toml";

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Pylock {
    lock_version: String,
    requires_python: Option<String>,
    #[serde(default)]
    packages: Vec<PylockPackage>,
}

#[derive(Deserialize)]
struct PylockPackage {
    name: String,
    version: Option<String>,
    marker: Option<String>,
    sdist: Option<Artifact>,
    #[serde(default)]
    wheels: Vec<Artifact>,
}

#[derive(Deserialize)]
struct Artifact {
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

pub(super) fn read(text: &str) -> Result<LockContent, RequirementsError> {
    let lock: Pylock = toml::from_str(text)
        .map_err(|error| RequirementsError::Damaged { file: FILE, reason: error.message().to_owned() })?;
    if lock.lock_version.split('.').next() != Some("1") {
        let reason = format!("lock-version is {:?}; expected 1.x (PEP 751)", lock.lock_version);
        return Err(RequirementsError::Damaged { file: FILE, reason });
    }
    let mut content = LockContent {
        python: lock.requires_python.as_deref().map(Python::of).unwrap_or_default(),
        ..LockContent::default()
    };
    for (at, package) in lock.packages.into_iter().enumerate() {
        let text = format!("{}=={}", package.name, package.version.as_deref().unwrap_or("?"));
        match read_package(package) {
            Ok(package) => content.packages.push(package),
            Err(reason) => content.unusable.push(UnusableLine::new(FILE, at as u64 + 1, &text, &reason)),
        }
    }
    Ok(content)
}

fn read_package(package: PylockPackage) -> Result<Package, String> {
    let version = match package.version {
        Some(version) if package.sdist.is_some() || !package.wheels.is_empty() => version,
        _ => {
            return Err(
                "it has no wheel or sdist of a package index (vcs, directory and archive are not taken)"
                    .to_owned(),
            );
        }
    };
    let requirement = pep508::parse(&format!("{}=={version}", package.name))?;
    let marker = package.marker.as_deref().map(Marker::parse).transpose()?;
    let hashes =
        package.sdist.iter().chain(&package.wheels).filter_map(|artifact| artifact.hashes.get("sha256"));
    Ok(Package {
        name: requirement.name,
        extras: Vec::new(),
        specifier: requirement.specifier,
        marker: marker.map(|marker| marker.to_string()),
        hashes: hashes.map(|hash| sha256(hash)).collect::<Result<BTreeSet<_>, _>>()?.into_iter().collect(),
    })
}

fn sha256(hex: &str) -> Result<Digest, String> {
    Digest::from_hex(hex).map_err(|_| format!("its sha256 {hex:?} is not 64 lower-case hex digits"))
}
