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
                let directory = Some(self.directory(&experiment));
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
            return format!("mlflow-artifacts:/{}", experiment.id);
        };
        if let Some(path) = proxied(location) {
            return format!("mlflow-artifacts:/{path}");
        }
        if self.source.may_read(location) {
            self.mapping.add(location, &experiment.id);
            return format!("mlflow-artifacts:/{}", experiment.id);
        }
        location.to_owned()
    }

    /// Brings one over; false when it was refused.
    async fn experiment(
        &self,
        experiment: &ImportExperiment,
        directory: Option<String>,
    ) -> Result<bool, Stopped> {
        let (id, fingerprint) = named(&experiment.id, experiment);
        let brought = ImportExperiment { artifact_location: directory, ..experiment.clone() };
        let objects =
            vec![ImportObject::Experiment(brought), complete(ImportedKind::Experiment, &id, &fingerprint)];
        Ok(match self.send(objects).await? {
            Ok(became) => {
                self.journal.became(KIND, became);
                true
            }
            Err(why) => {
                self.journal.failed(KIND, &experiment.name, why);
                false
            }
        })
    }
}
