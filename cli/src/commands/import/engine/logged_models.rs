use super::{Engine, PARALLEL, Stopped, complete, named, runs::Artifacts};
use crate::commands::import::{error::SourceError, model::SourceLoggedModel};
use futures::{StreamExt, TryStreamExt};
use waybill_client::api::{ImportExperiment, ImportLoggedModel, ImportObject, ImportedKind};

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
            self.watch.ahead(active.len());
            let pairs = active.into_iter().zip(states);
            let brought = pairs.map(|(model, known)| self.logged_model_of(model, self.is_whole(&known)));
            futures::stream::iter(brought).buffer_unordered(PARALLEL).try_collect::<()>().await?;
            token = page.next;
            if token.is_none() {
                return Ok(());
            }
        }
    }

    async fn logged_model_of(&self, model: ImportLoggedModel, is_whole: bool) -> Result<(), Stopped> {
        let id = model.id.clone();
        let outcome = if is_whole {
            self.new_files_of_logged_model(&model).await
        } else {
            self.one_logged_model(model).await
        };
        match outcome {
            Err(Stopped::Source(SourceError::Object(why))) => self.journal.failed(KIND, &id, why),
            outcome => outcome?,
        }
        self.watch.done(1);
        Ok(())
    }

    async fn artifacts_of_logged_model(
        &self,
        model: &ImportLoggedModel,
    ) -> Result<Option<Artifacts>, Stopped> {
        let uri = model.artifact_location.as_deref().unwrap_or_default();
        let place = self.source.place_of_logged_model(&model.id, uri);
        self.listed(KIND, &model.id, uri, place).await
    }

    async fn new_files_of_logged_model(&self, model: &ImportLoggedModel) -> Result<(), Stopped> {
        let artifacts = self.artifacts_of_logged_model(model).await?;
        if let Some(became) = self.bring_new(artifacts.as_ref()).await? {
            self.journal.became(KIND, became);
        }
        Ok(())
    }

    async fn one_logged_model(&self, model: ImportLoggedModel) -> Result<(), Stopped> {
        let (id, fingerprint) = named(&model.id, &model);
        let artifacts = self.artifacts_of_logged_model(&model).await?;
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
