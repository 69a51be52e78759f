//! What a verification found.

use crate::{
    keys::{Trust, TrustedKeys},
    oms::{FileFault, join},
};
use serde::{Deserialize, Serialize};
use std::fmt::Display;

/// Every check of a verification and what they rest on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub trust: Trust,
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Stable name, e.g. `files`.
    pub name: String,
    pub ok: Outcome,
    /// What was found, in a sentence.
    pub detail: String,
    /// Hint of the trusted key that signed what was checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// Files that are not as they were signed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileFault>,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok,
    Failed,
    /// There was nothing to check, or nothing to check it with; the detail says which.
    Skipped,
}

impl Report {
    pub(super) fn new(keys: &TrustedKeys) -> Self {
        Self { trust: keys.trust(), checks: Vec::new() }
    }

    /// Whether something was checked and nothing failed.
    pub fn passed(&self) -> bool {
        self.checks.iter().any(|check| check.ok == Outcome::Ok) && self.failures().next().is_none()
    }

    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.ok == Outcome::Failed)
    }

    /// The check called `name`.
    pub fn check(&self, name: &str) -> Option<&Check> {
        self.checks.iter().find(|check| check.name == name)
    }

    pub(super) fn ok(&mut self, name: &str, detail: impl Into<String>, signed_by: Option<&str>) {
        self.push(name, Outcome::Ok, detail.into(), signed_by);
    }

    pub(super) fn failed(&mut self, name: &str, detail: impl Display) {
        self.push(name, Outcome::Failed, detail.to_string(), None);
    }

    pub(super) fn skipped(&mut self, name: &str, detail: impl Into<String>) {
        self.push(name, Outcome::Skipped, detail.into(), None);
    }

    /// Records the comparison of files with the signature `model.sig`.
    pub(super) fn files(&mut self, count: usize, faults: Vec<FileFault>, also: &str) {
        if faults.is_empty() {
            self.ok("files", format!("{count} files are as they were signed{also}"), None);
            return;
        }
        self.failed("files", format!("not as signed: {}", join(&faults)));
        if let Some(check) = self.checks.last_mut() {
            check.files = faults;
        }
    }

    fn push(&mut self, name: &str, ok: Outcome, detail: String, signed_by: Option<&str>) {
        let signed_by = signed_by.map(str::to_owned);
        self.checks.push(Check { name: name.to_owned(), ok, detail, signed_by, files: Vec::new() });
    }
}
