//! `uv.lock`: a resolution for every platform at once. The packages that the project needs are
//! reached through the dependency graph; the conditions on the way become markers.

use super::{LockContent, Package, RequirementsError, UnusableLine, marker::Marker, pep508, python::Python};
use crate::Digest;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const FILE: &str = "uv.lock";
/// Alternatives of one package's condition; beyond that it is installed always, which is safe.
const MAX_ALTERNATIVES: usize = 24;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct UvLock {
    version: u64,
    requires_python: Option<String>,
    #[serde(default, rename = "package")]
    packages: Vec<UvPackage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct UvPackage {
    name: String,
    version: Option<String>,
    source: Source,
    #[serde(default)]
    dependencies: Vec<Edge>,
    #[serde(default)]
    optional_dependencies: BTreeMap<String, Vec<Edge>>,
    sdist: Option<Artifact>,
    #[serde(default)]
    wheels: Vec<Artifact>,
}

#[derive(Deserialize)]
struct Source {
    registry: Option<String>,
    r#virtual: Option<String>,
    editable: Option<String>,
}

#[derive(Deserialize)]
struct Edge {
    name: String,
    version: Option<String>,
    marker: Option<String>,
    #[serde(default)]
    extra: Vec<String>,
}

#[derive(Deserialize)]
struct Artifact {
    hash: Option<String>,
}

/// A package, or one of its extras.
type Node = (usize, Option<String>);
/// Alternatives (or) of conditions that hold together (and); an empty set of conditions is "always".
type Condition = BTreeSet<BTreeSet<Marker>>;

pub(super) fn read(text: &str) -> Result<LockContent, RequirementsError> {
    let damaged = |reason: String| RequirementsError::Damaged { file: FILE, reason };
    let lock: UvLock = toml::from_str(text).map_err(|error| damaged(error.message().to_owned()))?;
    if lock.version != 1 {
        return Err(damaged(format!("version is {}; expected 1", lock.version)));
    }
    let roots = roots(&lock.packages);
    if roots.is_empty() && !lock.packages.is_empty() {
        return Err(damaged(
            "no package has source virtual or editable; expected the project itself".to_owned(),
        ));
    }
    let mut content = LockContent {
        python: lock.requires_python.as_deref().map(Python::of).unwrap_or_default(),
        ..LockContent::default()
    };
    for (at, condition) in reach(&lock.packages, &roots).map_err(damaged)? {
        let package = &lock.packages[at];
        let text = format!("{}=={}", package.name, package.version.as_deref().unwrap_or("?"));
        match read_package(package, condition) {
            Ok(package) => content.packages.push(package),
            Err(reason) => content.unusable.push(UnusableLine::new(FILE, at as u64 + 1, &text, &reason)),
        }
    }
    Ok(content)
}

/// The project itself: what stands at `.`, else every package kept as source.
fn roots(packages: &[UvPackage]) -> Vec<usize> {
    let local = |package: &UvPackage| package.source.r#virtual.clone().or(package.source.editable.clone());
    let indexes = |wanted: &dyn Fn(&str) -> bool| -> Vec<usize> {
        let is_root = |package: &UvPackage| local(package).is_some_and(|path| wanted(&path));
        packages.iter().enumerate().filter(|(_, package)| is_root(package)).map(|(at, _)| at).collect()
    };
    let here = indexes(&|path| path == ".");
    if here.is_empty() { indexes(&|_| true) } else { here }
}

/// Every package that the roots need, and when.
fn reach(packages: &[UvPackage], roots: &[usize]) -> Result<BTreeMap<usize, Condition>, String> {
    let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, package) in packages.iter().enumerate() {
        by_name.entry(&package.name).or_default().push(at);
    }
    let always = Condition::from([BTreeSet::new()]);
    let mut conditions: BTreeMap<Node, Condition> =
        roots.iter().map(|at| ((*at, None), always.clone())).collect();
    let mut queue: VecDeque<Node> = conditions.keys().cloned().collect();
    while let Some(node) = queue.pop_front() {
        let package = &packages[node.0];
        let edges = match &node.1 {
            None => &package.dependencies,
            Some(extra) => match package.optional_dependencies.get(extra) {
                Some(edges) => edges,
                None => continue,
            },
        };
        let from = conditions[&node].clone();
        for edge in edges {
            let marker = edge.marker.as_deref().map(Marker::parse).transpose();
            let marker = marker
                .map_err(|reason| format!("package {:?} needs {:?}: {reason}", package.name, edge.name))?;
            let through = restrict(&from, marker.as_ref());
            let targets = by_name.get(edge.name.as_str()).into_iter().flatten();
            for &target in
                targets.filter(|at| edge.version.is_none() || packages[**at].version == edge.version)
            {
                let extras = edge.extra.iter().map(|extra| (target, Some(extra.clone())));
                for next in std::iter::once((target, None)).chain(extras) {
                    let known = conditions.entry(next.clone()).or_default();
                    if widen(known, &through) {
                        queue.push_back(next);
                    }
                }
            }
        }
    }
    let needed = conditions.into_iter().filter(|((at, extra), _)| extra.is_none() && !roots.contains(at));
    Ok(needed.map(|((at, _), condition)| (at, condition)).collect())
}

fn restrict(condition: &Condition, marker: Option<&Marker>) -> Condition {
    let Some(marker) = marker else { return condition.clone() };
    let with = |all: &BTreeSet<Marker>| all.iter().chain([marker]).cloned().collect();
    condition.iter().map(with).collect()
}

/// Adds alternatives; `true` when the condition became wider.
fn widen(known: &mut Condition, more: &Condition) -> bool {
    let before = known.clone();
    for alternative in more {
        if !known.iter().any(|wider| wider.is_subset(alternative)) {
            known.retain(|narrower| !alternative.is_subset(narrower));
            known.insert(alternative.clone());
        }
    }
    if known.len() > MAX_ALTERNATIVES {
        *known = Condition::from([BTreeSet::new()]);
    }
    *known != before
}

fn read_package(package: &UvPackage, condition: Condition) -> Result<Package, String> {
    let version = match &package.version {
        Some(version) if package.source.registry.is_some() => version,
        _ => {
            return Err("it does not come from a package index (git, url, path and directory are not taken)"
                .to_owned());
        }
    };
    let requirement = pep508::parse(&format!("{}=={version}", package.name))?;
    let hashes = package.sdist.iter().chain(&package.wheels).filter_map(|artifact| artifact.hash.as_deref());
    let hashes: BTreeSet<Digest> = hashes
        .map(|hash| {
            hash.parse()
                .map_err(|_| format!("its hash {hash:?} is not `sha256:` and 64 lower-case hex digits"))
        })
        .collect::<Result<_, String>>()?;
    Ok(Package {
        name: requirement.name,
        extras: Vec::new(),
        specifier: requirement.specifier,
        marker: marker_of(condition).map(|marker| marker.to_string()),
        hashes: hashes.into_iter().collect(),
    })
}

fn marker_of(condition: Condition) -> Option<Marker> {
    let join = |mut parts: Vec<Marker>, word: fn(Vec<Marker>) -> Marker| match parts.len() {
        1 => parts.remove(0),
        _ => word(parts),
    };
    if condition.iter().any(BTreeSet::is_empty) {
        return None;
    }
    let alternatives =
        condition.into_iter().map(|all| join(all.into_iter().collect(), Marker::And)).collect();
    Some(join(alternatives, Marker::Or))
}
