use super::{Engine, Stopped, became, reason};
use crate::commands::import::{error::SourceError, mapping, places::Place, report::Became};
use waybill_client::api::{ImportResult, ImportVersion, ImportedKind, ImportedState};

pub(super) const KIND: &str = "model version";
/// What MLflow's clients post for prompts, which have no files.
const PLACEHOLDERS: [&str; 2] = ["dummy-source", "prompt-template"];

impl Engine {
    /// Brings a version over, or the files of one that came without; what became of it, `None` when it was not
    /// taken.
    pub(super) async fn version(
        &self,
        mut version: ImportVersion,
        known: ImportedState,
    ) -> Result<Option<Became>, Stopped> {
        let subject = format!("{}@{}", version.name, version.version);
        if known == ImportedState::New {
            self.note_absent_run(&subject, &version).await?;
        }
        match self.locate(&version, known).await {
            Ok(source) => version.source = source,
            // It is what it was.
            Err(Stopped::Source(SourceError::Object(why))) if known == ImportedState::Incomplete => {
                self.journal.note(KIND, &subject, &format!("it stays a pointer: {why}"));
                self.journal.became(KIND, Became::Unchanged);
                return Ok(Some(Became::Unchanged));
            }
            Err(Stopped::Source(SourceError::Object(why))) => {
                self.journal.failed(KIND, &subject, why);
                return Ok(None);
            }
            Err(stopped) => return Err(stopped),
        }
        let outcome = self.client.import_version(&self.import_id, &version).await?;
        if outcome.result == ImportResult::Refused {
            self.journal.failed(KIND, &subject, reason(&outcome));
            return Ok(None);
        }
        if let (ImportResult::Created, Some(detail)) = (outcome.result, &outcome.detail) {
            self.journal.note(KIND, &subject, detail);
        }
        let became = became(&outcome);
        self.journal.became(KIND, became);
        Ok(Some(became))
    }

    /// Sees to it that the version's files are here, and says under which source. Those of a run or
    /// logged model came with it; where that was not taken, they come alone.
    async fn locate(&self, version: &ImportVersion, known: ImportedState) -> Result<String, Stopped> {
        let source = version.source.clone();
        if PLACEHOLDERS.contains(&source.as_str()) {
            return Ok(source);
        }
        if self.source_is_here(&source).await? {
            if known != ImportedState::Changed && self.lacks_files(&source) {
                let text = "some of its files could not be taken".to_owned();
                return Err(SourceError::Object(text).into());
            }
            // A pointer to another version has no files of its own.
            let is_version =
                source.starts_with("models:/") && source.trim_start_matches("models:/").contains('/');
            return if is_version { Ok(source) } else { self.without_files(source, known) };
        }
        let referred = ["runs:/", "models:/"].iter().any(|scheme| source.starts_with(scheme));
        let uri = if referred {
            self.source.download_uri(&version.name, version.version).await?.unwrap_or_default()
        } else {
            source.clone()
        };
        let Some(directory) = self.mapping.target(&uri).filter(|path| !path.is_empty()) else {
            return Ok(source);
        };
        let place = self.place_of(version, &uri, &directory);
        match self.listed(KIND, &format!("{}@{}", version.name, version.version), &uri, place).await? {
            Some(artifacts) if !artifacts.is_empty() => {
                if self.bring(&artifacts).await? {
                    Ok(format!("mlflow-artifacts:/{directory}"))
                } else {
                    let text = "some of its files could not be taken".to_owned();
                    Err(SourceError::Object(text).into())
                }
            }
            _ => self.without_files(source, known),
        }
    }

    /// Whether some files of a run's directory or of a logged model could not be taken: half of a model is not to
    /// be signed as one.
    fn lacks_files(&self, source: &str) -> bool {
        let referred = source.strip_prefix("runs:/").or_else(|| source.strip_prefix("models:/"));
        let (owner, path) = referred.map_or(("", ""), |rest| {
            let rest = rest.trim_matches('/');
            rest.split_once('/').unwrap_or((rest, ""))
        });
        !owner.is_empty() && self.journal.file_failed_of(owner, path)
    }

    /// A version of which no file is found is a pointer until some are. Where the whole store has none, that
    /// is rather the wrong folder, or one that the old server does not reach now.
    fn without_files(&self, source: String, known: ImportedState) -> Result<String, Stopped> {
        if known != ImportedState::New || self.journal.has_files() || self.options.accept_missing_artifacts {
            return Ok(source);
        }
        let text = "no file was found, nor any other in the old server's artifact store: it would be a pointer without \
             proof. See that --artifacts names that store, or that the old server reaches it; \
             --accept-missing-artifacts takes it as it is";
        Err(SourceError::Object(text.to_owned()).into())
    }

    async fn note_absent_run(&self, subject: &str, version: &ImportVersion) -> Result<(), Stopped> {
        let Some(run_id) = version.run_id.as_deref().filter(|run_id| !run_id.is_empty()) else {
            return Ok(());
        };
        if !self.is_here(ImportedKind::Run, run_id).await? {
            self.journal.note(
                KIND,
                subject,
                &format!("its run {run_id} was not taken: it names one that is not here"),
            );
        }
        Ok(())
    }

    /// Where the files can be read: through the old server outside its own store only by the run.
    fn place_of(&self, version: &ImportVersion, uri: &str, directory: &str) -> Option<Place> {
        if mapping::proxied(uri).is_some() {
            return self.source.place_of_run("", uri, "");
        }
        let run_id = version.run_id.as_deref()?;
        let (_, below) = directory.split_once(&format!("{run_id}/artifacts"))?;
        self.source.place_of_run(run_id, uri, below.trim_matches('/'))
    }

    /// Whether what a `runs:/` or `models:/` source refers to was imported.
    async fn source_is_here(&self, source: &str) -> Result<bool, Stopped> {
        Ok(self.state_of_source(source).await? != ImportedState::New)
    }

    /// Whether what it refers to is all that it will be: a version that is a pointer may get its files yet.
    pub(super) async fn source_is_settled(&self, source: &str) -> Result<bool, Stopped> {
        let is_version = source.trim_start_matches("models:/").contains('/');
        Ok(match self.state_of_source(source).await? {
            ImportedState::New => false,
            ImportedState::Incomplete => !is_version,
            ImportedState::Changed | ImportedState::Complete => true,
        })
    }

    async fn state_of_source(&self, source: &str) -> Result<ImportedState, Stopped> {
        let (kind, id) = if let Some(rest) = source.strip_prefix("runs:/") {
            (ImportedKind::Run, rest.trim_start_matches('/').split('/').next().unwrap_or_default())
        } else {
            let rest = source.strip_prefix("models:/").unwrap_or_default().trim_start_matches('/');
            let is_version = rest.contains('/');
            (if is_version { ImportedKind::ModelVersion } else { ImportedKind::LoggedModel }, rest)
        };
        if id.is_empty() { Ok(ImportedState::New) } else { self.state_of(kind, id).await }
    }
}
