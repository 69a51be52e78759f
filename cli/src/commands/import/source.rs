//! An MLflow server, whichever way it is read.

use super::{
    error::SourceError,
    mapping,
    model::{
        Described, LeftOut, Page, SourceExperiment, SourceLoggedModel, SourceModel, SourceRun, SourceTrace,
        SourceVersion,
    },
    places::Place,
    rest::Rest,
    sql::Sql,
    store::ArtifactStore,
};
use std::collections::HashMap;
use tokio::sync::mpsc;
use waybill_client::api::{ImportPoint, ImportTrace};

/// Tag by which MLflow tells prompts from models.
const IS_PROMPT_TAG: &str = "mlflow.prompt.is_prompt";

#[derive(Clone)]
pub enum Source {
    Rest(Rest),
    Sql(Sql, ArtifactStore),
}

impl Source {
    pub fn describe(&self) -> Described {
        match self {
            Self::Rest(rest) => rest.describe(),
            Self::Sql(sql, _) => sql.describe(),
        }
    }

    pub async fn experiments(&self, token: Option<&str>) -> Result<Page<SourceExperiment>, SourceError> {
        match self {
            Self::Rest(rest) => rest.experiments(token).await,
            Self::Sql(sql, _) => sql.experiments(token).await,
        }
    }

    pub async fn runs(
        &self,
        experiment_id: &str,
        token: Option<&str>,
    ) -> Result<Page<SourceRun>, SourceError> {
        match self {
            Self::Rest(rest) => rest.runs(experiment_id, token).await,
            Self::Sql(sql, _) => sql.runs(experiment_id, token).await,
        }
    }

    /// Adds what a page of runs does not say of one.
    pub async fn complete_run(&self, run: &mut SourceRun) -> Result<(), SourceError> {
        match self {
            Self::Rest(rest) => rest.complete_run(run).await,
            Self::Sql(..) => Ok(()),
        }
    }

    /// Every value of the run's metrics, some at a time.
    pub fn history(&self, run: &SourceRun) -> mpsc::Receiver<Result<Vec<ImportPoint>, SourceError>> {
        let (pages, arriving) = mpsc::channel(2);
        let (source, run) = (self.clone(), run.clone());
        tokio::spawn(async move {
            let read = match &source {
                Self::Rest(rest) => rest.history(&run, pages.clone()).await,
                Self::Sql(sql, _) => sql.history(&run.run.id, pages.clone()).await,
            };
            if let Err(error) = read {
                // Nobody listens any more where the import has ended.
                let _ = pages.send(Err(error)).await;
            }
        });
        arriving
    }

    pub async fn logged_models(
        &self,
        experiment_id: &str,
        token: Option<&str>,
    ) -> Result<Page<SourceLoggedModel>, SourceError> {
        match self {
            Self::Rest(rest) => rest.logged_models(experiment_id, token).await,
            Self::Sql(sql, _) => sql.logged_models(experiment_id, token).await,
        }
    }

    /// Which runs traces were linked to, by trace, where a page of traces does not say it itself.
    pub async fn links_of_traces(
        &self,
        experiment_ids: &[&str],
        run_ids: &[String],
    ) -> Result<HashMap<String, Vec<String>>, SourceError> {
        match self {
            Self::Rest(rest) => rest.links_of_traces(experiment_ids, run_ids).await,
            Self::Sql(..) => Ok(HashMap::new()),
        }
    }

    pub async fn traces(
        &self,
        experiment_id: &str,
        token: Option<&str>,
    ) -> Result<Page<SourceTrace>, SourceError> {
        match self {
            Self::Rest(rest) => rest.traces(experiment_id, token).await,
            Self::Sql(sql, _) => sql.traces(experiment_id, token).await,
        }
    }

    /// The spans of a trace that are not a file of its own, each as JSON text.
    pub async fn spans(&self, trace: &ImportTrace) -> Result<Vec<String>, SourceError> {
        match self {
            Self::Rest(rest) => rest.spans(&trace.id).await,
            Self::Sql(sql, _) => sql.spans(trace).await,
        }
    }

    /// Registered models, then prompts, which MLflow's API lists apart.
    pub async fn registered_models(&self, token: Option<&str>) -> Result<Page<SourceModel>, SourceError> {
        let rest = match self {
            Self::Rest(rest) => rest,
            Self::Sql(sql, _) => return sql.registered_models(token).await,
        };
        let (prompts, token) = match token.and_then(|token| token.split_once(' ')) {
            Some((list, token)) => (list == "prompts", Some(token).filter(|token| !token.is_empty())),
            None => (false, None),
        };
        let mut page = rest.registered_models(prompts, token).await?;
        page.rows.retain(|model| is_prompt(model) == prompts);
        page.next = match page.next {
            Some(next) => Some(format!("{} {next}", if prompts { "prompts" } else { "models" })),
            None => (!prompts).then(|| "prompts ".to_owned()),
        };
        Ok(page)
    }

    pub async fn versions(
        &self,
        model: &SourceModel,
        token: Option<&str>,
    ) -> Result<Page<SourceVersion>, SourceError> {
        let name = &model.model.name;
        match self {
            Self::Rest(rest) => rest.versions(name, is_prompt(model), token).await,
            Self::Sql(sql, _) => sql.versions(name, token).await,
        }
    }

    /// Where the server itself finds a version's files.
    pub async fn download_uri(&self, name: &str, version: i64) -> Result<Option<String>, SourceError> {
        match self {
            Self::Rest(rest) => rest.download_uri(name, version).await,
            Self::Sql(sql, _) => sql.download_uri(name, version).await,
        }
    }

    /// What is there and cannot be taken.
    pub async fn left_out(&self) -> Result<Vec<LeftOut>, SourceError> {
        match self {
            Self::Rest(rest) => rest.left_out().await,
            Self::Sql(sql, _) => sql.left_out().await,
        }
    }

    /// Whether artifacts at a location outside the old server's own proxy can be read. Through the
    /// REST API only trying tells.
    pub fn may_read(&self, location: &str) -> bool {
        match self {
            Self::Rest(_) => true,
            Self::Sql(_, store) => store.place(location).is_some(),
        }
    }

    /// Where a run's artifacts can be read, from `below` its root on.
    pub fn place_of_run(&self, run_id: &str, uri: &str, below: &str) -> Option<Place> {
        match self {
            Self::Rest(rest) => Some(match mapping::proxied(uri) {
                Some(path) => Place::Proxy(rest.clone(), path),
                None => Place::Run(rest.clone(), run_id.to_owned(), below.to_owned()),
            }),
            Self::Sql(_, store) => store.place(uri),
        }
    }

    /// Where a trace's files can be read. Outside its own store the old server gives out only those
    /// that it is asked for by `names`.
    pub fn place_of_trace(&self, id: &str, uri: &str, names: Vec<String>) -> Option<Place> {
        match self {
            Self::Rest(rest) => Some(match mapping::proxied(uri) {
                Some(path) => Place::Proxy(rest.clone(), path),
                None => Place::Trace { rest: rest.clone(), id: id.to_owned(), names },
            }),
            Self::Sql(_, store) => store.place(uri),
        }
    }

    pub fn place_of_logged_model(&self, id: &str, uri: &str) -> Option<Place> {
        match self {
            Self::Rest(rest) => Some(match mapping::proxied(uri) {
                Some(path) => Place::Proxy(rest.clone(), path),
                None => Place::LoggedModel(rest.clone(), id.to_owned()),
            }),
            Self::Sql(_, store) => store.place(uri),
        }
    }
}

pub fn is_prompt(model: &SourceModel) -> bool {
    model.model.tags.get(IS_PROMPT_TAG).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}
