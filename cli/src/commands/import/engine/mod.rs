//! Brings objects over in the order in which they need each other: experiments, logged models and
//! runs with their artifacts, traces, then registered models with their versions.

mod artifacts;
mod experiments;
mod logged_models;
mod registry;
mod runs;
mod traces;
mod versions;

use super::{
    error::SourceError,
    mapping::Mapping,
    model::fingerprint,
    progress::Watch,
    report::{Became, Journal, Report},
    source::Source,
};
use crate::failure::Failure;
use std::sync::Arc;
use waybill_client::{
    Client,
    api::{
        CreateImport, IMPORT_OBJECTS_MAX, ImportBatch, ImportComplete, ImportKind, ImportObject,
        ImportOutcome, ImportResult, ImportedKind, ImportedObject, ImportedState, LookUpImported,
        SourceObject,
    },
};

/// Objects on their way at once.
const PARALLEL: usize = 6;

pub struct Engine {
    client: Client,
    source: Source,
    import_id: String,
    mapping: Mapping,
    journal: Journal,
    watch: Arc<Watch>,
    /// Files on their way from a server or bucket.
    spool: tempfile::TempDir,
    options: Options,
}

/// How thorough an import is.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Read runs and logged models that have not changed as well, with every value of their metrics.
    pub recheck: bool,
    /// Take versions also where the whole store has no file.
    pub accept_missing_artifacts: bool,
}

/// Why an import ends before its end.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Target(#[from] Failure),
}

impl From<waybill_client::ClientError> for Stopped {
    fn from(error: waybill_client::ClientError) -> Self {
        Self::Target(error.into())
    }
}

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Source(error) => error.into(),
            Stopped::Target(failure) => failure,
        }
    }
}

impl Engine {
    /// Begins the import of a source, or goes on with it.
    pub async fn begin(
        client: Client,
        source: Source,
        watch: Arc<Watch>,
        options: Options,
    ) -> Result<Self, Failure> {
        let described = source.describe();
        let asked = CreateImport {
            kind: ImportKind::Mlflow,
            source: described.source.clone(),
            detail: described.detail.clone(),
        };
        let import = client.create_import(&asked).await?;
        let journal = Journal::default();
        journal.begin(&described.source, &described.detail, &import.import_id);
        let spool = tempfile::Builder::new().prefix("waybill-import-").tempdir()?;
        let (import_id, mapping) = (import.import_id, Mapping::default());
        Ok(Self { client, source, import_id, mapping, journal, watch, spool, options })
    }

    /// Brings everything over that is not here; the report of it.
    pub async fn run(mut self) -> Result<Report, Stopped> {
        let experiments = self.experiments().await?;
        let mut runs = Vec::new();
        for experiment in &experiments {
            self.watch.about(&experiment.name);
            self.logged_models(experiment).await?;
            runs.extend(self.runs(experiment).await?);
            self.watch.done(1);
        }
        self.traces(&experiments, &runs).await?;
        self.registered_models().await?;
        for left_out in self.source.left_out().await? {
            self.journal.left_out_all(left_out.kind, left_out.count, left_out.why);
        }
        Ok(self.journal.finish())
    }

    /// What is here of objects, each given by id and fingerprint, in their order.
    async fn look_up(
        &self,
        kind: ImportedKind,
        objects: Vec<(String, String)>,
    ) -> Result<Vec<ImportedObject>, Stopped> {
        let mut found = Vec::with_capacity(objects.len());
        for some in objects.chunks(IMPORT_OBJECTS_MAX) {
            let named = |(id, fingerprint): &(String, String)| SourceObject {
                id: id.clone(),
                fingerprint: fingerprint.clone(),
            };
            let asked = LookUpImported { kind, objects: some.iter().map(named).collect() };
            let answer = self.client.look_up_imported(&self.import_id, &asked).await?;
            if answer.objects.len() != some.len() {
                let text = "the registry answered about other objects than it was asked for".to_owned();
                return Err(Failure::Failed(text).into());
            }
            found.extend(answer.objects);
        }
        Ok(found)
    }

    /// Whether an object is here as it is there, so that only its files may be new.
    fn is_whole(&self, known: &ImportedObject) -> bool {
        known.state == ImportedState::Complete && !self.options.recheck
    }

    /// Whether an object of that id came over before, in whatever state.
    async fn is_here(&self, kind: ImportedKind, id: &str) -> Result<bool, Stopped> {
        Ok(self.state_of(kind, id).await? != ImportedState::New)
    }

    /// What is here of an object, whatever it is at the source now: never [`ImportedState::Complete`].
    async fn state_of(&self, kind: ImportedKind, id: &str) -> Result<ImportedState, Stopped> {
        let found = self.look_up(kind, vec![(id.to_owned(), "?".to_owned())]).await?;
        Ok(found.first().map_or(ImportedState::New, |object| object.state))
    }

    /// Sends objects together; the first refusal, or what became of the first object.
    async fn send(&self, objects: Vec<ImportObject>) -> Result<Result<Became, String>, Stopped> {
        let answer = match self.client.import_batch(&self.import_id, &ImportBatch { objects }).await {
            Err(error) if error.status().is_some_and(|status| status == 413) => {
                return Ok(Err("it is larger than the registry takes in one piece".to_owned()));
            }
            answer => answer?,
        };
        let refused = answer.outcomes.iter().find(|outcome| outcome.result == ImportResult::Refused);
        Ok(match (refused, answer.outcomes.first()) {
            (Some(refused), _) => Err(reason(refused)),
            (None, Some(first)) => Ok(became(first)),
            (None, None) => Ok(Became::Unchanged),
        })
    }
}

fn complete(of: ImportedKind, id: &str, fingerprint: &str) -> ImportObject {
    ImportObject::Complete(ImportComplete { of, id: id.to_owned(), fingerprint: fingerprint.to_owned() })
}

fn became(outcome: &ImportOutcome) -> Became {
    match outcome.result {
        ImportResult::Created => Became::Created,
        ImportResult::Updated => Became::Updated,
        ImportResult::Unchanged | ImportResult::Refused => Became::Unchanged,
    }
}

fn reason(outcome: &ImportOutcome) -> String {
    outcome.detail.clone().or_else(|| outcome.code.clone()).unwrap_or_else(|| "refused".to_owned())
}

/// Id and fingerprint of an object.
fn named(id: &str, object: &impl serde::Serialize) -> (String, String) {
    (id.to_owned(), fingerprint(object))
}
