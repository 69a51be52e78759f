use super::{Engine, PARALLEL, Stopped, complete, named, runs::Artifacts};
use crate::commands::import::{error::SourceError, model::SourceLoggedModel, report::Became};
use futures::{StreamExt, TryStreamExt};
use waybill_client::api::{ImportExperiment, ImportLoggedModel, ImportObject, ImportedKind, ImportedState};

const KIND: &str = "logged model";

impl Engine {
    /// Brings the logged models of an experiment over, with their artifacts.
    pub(super) async fn logged_models(&self, experiment: &ImportExperiment) -> Result<(), Stopped> {
        let mut token: Option<String> = None;
        loop {
            let page = self.source.logged_models(&experiment.id, token.as_deref()).await?;
            self.journal.found(KIND, page.rows.len());
            let mut active = Vec::new();
            for SourceLoggedModel { model, deleted } in page.rows {
                if deleted {
                    self.journal.left_out(KIND, &model.id, "it is deleted there");
                } else {
                    active.push(model);
                }
            }
            let asked = active.iter().map(|model| named(&model.id, model)).collect();
            let states = self.look_up(ImportedKind::LoggedModel, asked).await?;
            let mut pending = Vec::new();
            for (model, known) in active.into_iter().zip(states) {
                if known.state == ImportedState::Complete {
                    self.journal.became(KIND, Became::Unchanged);
                } else {
                    pending.push(model);
                }
            }
            self.watch.ahead(pending.len());
            let brought = pending.into_iter().map(|model| self.logged_model_of(model));
            futures::stream::iter(brought).buffer_unordered(PARALLEL).try_collect::<()>().await?;
            token = page.next;
            if token.is_none() {
                return Ok(());
            }
        }
    }

    async fn logged_model_of(&self, model: ImportLoggedModel) -> Result<(), Stopped> {
        let id = model.id.clone();
        match self.one_logged_model(model).await {
            Err(Stopped::Source(SourceError::Object(why))) => self.journal.failed(KIND, &id, why),
            outcome => outcome?,
        }
        self.watch.done(1);
        Ok(())
    }

    async fn one_logged_model(&self, model: ImportLoggedModel) -> Result<(), Stopped> {
        let (id, fingerprint) = named(&model.id, &model);
        let uri = model.artifact_location.clone().unwrap_or_default();
        let place = self.source.place_of_logged_model(&id, &uri);
        let artifacts = self.listed(KIND, &id, &uri, place).await?;
        let artifact_location = match &artifacts {
            Some(artifacts) => Some(format!("mlflow-artifacts:/{}", artifacts.directory)),
            None => model.artifact_location.clone(),
        };
        let brought = ImportLoggedModel { artifact_location, ..model };
        let done = complete(ImportedKind::LoggedModel, &id, &fingerprint);
        let mut objects = vec![ImportObject::LoggedModel(Box::new(brought))];
        let whole = artifacts.as_ref().is_none_or(Artifacts::is_empty);
        if whole {
            objects.push(done.clone());
        }
        let became = match self.send(objects).await? {
            Ok(became) => became,
            Err(why) => {
                self.journal.failed(KIND, &id, why);
                return Ok(());
            }
        };
        if !whole
            && let Some(artifacts) = artifacts
            && self.bring(&artifacts).await?
            && let Err(why) = self.send(vec![done]).await?
        {
            self.journal.failed(KIND, &id, why);
            return Ok(());
        }
        self.journal.became(KIND, became);
        Ok(())
    }
}
