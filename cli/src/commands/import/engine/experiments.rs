use super::{Engine, Stopped, complete, named};
use crate::commands::import::{mapping::proxied, report::Became};
use waybill_client::api::{ImportExperiment, ImportObject, ImportedKind, ImportedState};

const KIND: &str = "experiment";

impl Engine {
    /// Experiments that are here once this returns, with the artifact locations that they have there.
    pub(super) async fn experiments(&mut self) -> Result<Vec<ImportExperiment>, Stopped> {
        self.watch.about("experiments");
        let mut here = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let page = self.source.experiments(token.as_deref()).await?;
            self.journal.found(KIND, page.rows.len());
            let mut active = Vec::new();
            for found in page.rows {
                if found.deleted {
                    self.journal.left_out(KIND, &found.experiment.name, "it is deleted there");
                } else {
                    active.push(found.experiment);
                }
            }
            let asked = active.iter().map(|experiment| named(&experiment.id, experiment)).collect();
            let states = self.look_up(ImportedKind::Experiment, asked).await?;
            for (experiment, known) in active.into_iter().zip(states) {
                let directory = self.directory(&experiment);
                if known.state == ImportedState::Complete {
                    self.journal.became(KIND, Became::Unchanged);
                    here.push(experiment);
                } else if self.experiment(&experiment, directory).await? {
                    here.push(experiment);
                }
            }
            token = page.next;
            if token.is_none() {
                self.watch.ahead(here.len());
                return Ok(here);
            }
        }
    }

    /// Where the experiment's artifacts go: below the same path, below its id, or, where they cannot
    /// be read, they stay.
    fn directory(&mut self, experiment: &ImportExperiment) -> String {
        let Some(location) = experiment.artifact_location.as_deref().filter(|text| !text.is_empty()) else {
            return own_location(experiment);
        };
        if let Some(path) = proxied(location) {
            return format!("mlflow-artifacts:/{path}");
        }
        if self.source.may_read(location) {
            self.mapping.add(location, &experiment.id);
            return own_location(experiment);
        }
        location.to_owned()
    }

    /// Brings one over; false when it was refused. A location that no new experiment may have here is not
    /// kept: its runs keep theirs, new ones go into this registry's store.
    async fn experiment(&self, experiment: &ImportExperiment, location: String) -> Result<bool, Stopped> {
        let why = match self.located(experiment, location.clone()).await? {
            Ok(became) => {
                self.journal.became(KIND, became);
                return Ok(true);
            }
            Err(why) => why,
        };
        if proxied(&location).is_none()
            && let Ok(became) = self.located(experiment, own_location(experiment)).await?
        {
            self.journal.became(KIND, became);
            self.journal.note(KIND, &experiment.name, &format!("new runs do not go to {location}: {why}"));
            return Ok(true);
        }
        self.journal.failed(KIND, &experiment.name, why);
        Ok(false)
    }

    async fn located(
        &self,
        experiment: &ImportExperiment,
        location: String,
    ) -> Result<Result<Became, String>, Stopped> {
        let (id, fingerprint) = named(&experiment.id, experiment);
        let brought = ImportExperiment { artifact_location: Some(location), ..experiment.clone() };
        let objects =
            vec![ImportObject::Experiment(brought), complete(ImportedKind::Experiment, &id, &fingerprint)];
        self.send(objects).await
    }
}

fn own_location(experiment: &ImportExperiment) -> String {
    format!("mlflow-artifacts:/{}", experiment.id)
}
