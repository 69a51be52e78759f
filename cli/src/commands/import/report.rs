//! What an import took, what it did not, and why.

use super::mapping;
use crate::output;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Reasons that are kept in full; the counts are always whole.
const REASONS_MAX: usize = 10_000;
/// Reasons that are shown to people.
const SHOWN: usize = 30;

/// Objects of one kind.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Count {
    pub found: u64,
    pub created: u64,
    pub updated: u64,
    pub unchanged: u64,
    pub not_taken: u64,
}

/// Something that was not taken.
#[derive(Debug, Clone, Serialize)]
pub struct NotTaken {
    pub kind: String,
    pub id: String,
    pub why: String,
    /// Whether it should have been taken: trying again, or a change on either side, may help.
    pub failed: bool,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Files {
    pub found: u64,
    pub brought: u64,
    pub unchanged: u64,
    pub sent_bytes: u64,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    pub source: String,
    pub detail: String,
    pub import_id: String,
    pub objects: BTreeMap<&'static str, Count>,
    pub files: Files,
    pub not_taken: Vec<NotTaken>,
    /// What was taken, but not in full.
    pub notes: Vec<NotTaken>,
    pub failures: u64,
    /// Whether anything here is other than before.
    pub changed: bool,
    #[serde(skip)]
    has_artifacts_outside: bool,
    /// Paths here of files, or of folders of files, that could not be taken.
    #[serde(skip)]
    failed_paths: BTreeSet<String>,
}

/// The report in the making. Several tasks write it.
#[derive(Debug, Default)]
pub struct Journal(Mutex<Report>);

/// What became of an object that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    Created,
    Updated,
    Unchanged,
}

impl Journal {
    fn lock(&self) -> MutexGuard<'_, Report> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn begin(&self, source: &str, detail: &str, import_id: &str) {
        let mut report = self.lock();
        source.clone_into(&mut report.source);
        detail.clone_into(&mut report.detail);
        import_id.clone_into(&mut report.import_id);
    }

    pub fn found(&self, kind: &'static str, count: usize) {
        self.lock().objects.entry(kind).or_default().found += count as u64;
    }

    pub fn became(&self, kind: &'static str, became: Became) {
        let mut report = self.lock();
        let count = report.objects.entry(kind).or_default();
        match became {
            Became::Created => count.created += 1,
            Became::Updated => count.updated += 1,
            Became::Unchanged => count.unchanged += 1,
        }
        report.changed |= became != Became::Unchanged;
    }

    /// One object that should have been taken and was not.
    pub fn failed(&self, kind: &'static str, id: &str, why: impl std::fmt::Display) {
        let mut report = self.lock();
        report.objects.entry(kind).or_default().not_taken += 1;
        report.failures += 1;
        push(&mut report.not_taken, kind, id, &why.to_string(), true);
    }

    /// One object that was left out on purpose.
    pub fn left_out(&self, kind: &'static str, id: &str, why: &str) {
        let mut report = self.lock();
        report.objects.entry(kind).or_default().not_taken += 1;
        push(&mut report.not_taken, kind, id, why, false);
    }

    /// So many objects of a kind that imports do not take; `None`: nobody knows how many.
    pub fn left_out_all(&self, kind: &'static str, count: Option<u64>, why: &str) {
        let shown = match count {
            Some(0) => return,
            Some(count) => format!("all {count}"),
            None => "(number unknown)".to_owned(),
        };
        push(&mut self.lock().not_taken, kind, &shown, why, false);
    }

    /// An object whose artifacts lie outside what can be read.
    pub fn outside(&self, kind: &'static str, id: &str, what: &str) {
        self.lock().has_artifacts_outside = true;
        self.note(kind, id, what);
    }

    /// Whether the source keeps any file, here or elsewhere, as far as it was read.
    pub fn has_files(&self) -> bool {
        let report = self.lock();
        report.files.found > 0 || report.has_artifacts_outside
    }

    /// Files of an object that should have been taken and were not.
    pub fn file_failed(&self, path: &str, why: impl std::fmt::Display) {
        let mut report = self.lock();
        report.failures += 1;
        report.failed_paths.insert(path.to_owned());
        push(&mut report.not_taken, "file", path, &why.to_string(), true);
    }

    /// Whether an artifact of a run or logged model, at that path or below it, could not be taken, or a folder
    /// that holds it.
    pub fn file_failed_of(&self, owner: &str, path: &str) -> bool {
        let (root, path) = (format!("/{owner}/artifacts"), format!("/{path}"));
        self.lock().failed_paths.iter().any(|failed| {
            let failed = format!("/{failed}");
            let Some((_, rest)) = failed.split_once(&root) else { return false };
            mapping::below(rest, &path).is_some() || mapping::below(&path, rest).is_some()
        })
    }

    /// An object that was taken, but not in full.
    pub fn note(&self, kind: &'static str, id: &str, what: &str) {
        push(&mut self.lock().notes, kind, id, what, false);
    }

    pub fn files(&self, found: usize, brought: usize, unchanged: usize, sent_bytes: u64) {
        let mut report = self.lock();
        report.files.found += found as u64;
        report.files.brought += brought as u64;
        report.files.unchanged += unchanged as u64;
        report.files.sent_bytes += sent_bytes;
        report.changed |= brought > 0;
    }

    pub fn finish(self) -> Report {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

fn push(list: &mut Vec<NotTaken>, kind: &str, id: &str, why: &str, failed: bool) {
    if list.len() < REASONS_MAX {
        list.push(NotTaken { kind: kind.to_owned(), id: id.to_owned(), why: why.to_owned(), failed });
    }
}

/// For people.
pub fn print(report: &Report) {
    output::line(format!("From {} ({})", output::plain(&report.source), output::plain(&report.detail)));
    let rows = report
        .objects
        .iter()
        .map(|(kind, count)| {
            [
                if *kind == "alias" { "aliases".to_owned() } else { format!("{kind}s") },
                count.found.to_string(),
                count.created.to_string(),
                count.updated.to_string(),
                count.unchanged.to_string(),
                count.not_taken.to_string(),
            ]
        })
        .collect();
    output::table(["", "FOUND", "NEW", "UPDATED", "HERE ALREADY", "NOT TAKEN"], rows, "Nothing was found.");
    let files = &report.files;
    output::line(format!(
        "{} files found, {} brought ({} sent), {} here already",
        files.found,
        files.brought,
        output::size(files.sent_bytes),
        files.unchanged
    ));
    reasons("Not taken:", &report.not_taken);
    reasons("Taken, but not in full:", &report.notes);
    if report.objects.values().all(|count| count.found == 0) {
        output::line("The source is empty. Is it the right one?");
    } else if !report.changed && report.failures == 0 {
        output::line("Nothing was changed: everything that can be taken was here already.");
    }
}

fn reasons(title: &str, list: &[NotTaken]) {
    if list.is_empty() {
        return;
    }
    output::line(title);
    for entry in list.iter().take(SHOWN) {
        let mark = if entry.failed { output::mark(false) } else { "-" };
        let (id, why) = (output::plain(&entry.id), output::plain(&entry.why));
        output::line(format!("  {mark} {} {id}: {why}", entry.kind));
    }
    if list.len() > SHOWN {
        output::line(format!("  and {} more; --json lists them", list.len() - SHOWN));
    }
}

#[cfg(test)]
mod tests {
    use super::Journal;

    #[test]
    fn failed_files_are_told_by_their_owner_and_directory() {
        let journal = Journal::default();
        journal.file_failed("1/r1/artifacts/model/data/w.bin", "away");
        journal.file_failed("1/r2/artifacts", "refused");
        for (owner, path) in [("r1", ""), ("r1", "model"), ("r1", "model/data"), ("r2", ""), ("r2", "any")] {
            assert!(journal.file_failed_of(owner, path), "{owner} {path}");
        }
        for (owner, path) in [("r1", "mod"), ("r1", "other"), ("1", ""), ("r", ""), ("r3", "model")] {
            assert!(!journal.file_failed_of(owner, path), "{owner} {path}");
        }
    }
}
