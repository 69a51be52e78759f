//! An MLflow server, read through its REST API.

mod http;
pub mod read;
mod traces;

use super::{
    error::SourceError,
    model::{
        Described, LeftOut, Page, SourceExperiment, SourceLoggedModel, SourceModel, SourceRun, SourceVersion,
    },
};
pub use http::Http;
use http::{Answer, Refused};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use url::Url;
use waybill_client::api::ImportPoint;

/// Rows of a page; small enough that a page of runs with many params stays small.
const ROWS: usize = 200;
const HISTORY_ROWS: usize = 25_000;
const API: [&str; 3] = ["api", "2.0", "mlflow"];

#[derive(Clone)]
pub struct Rest {
    pub http: Http,
    version: Option<String>,
}

impl Rest {
    /// Connects, and sees whether an MLflow server answers.
    pub async fn open(url: Url) -> Result<Self, SourceError> {
        let http = Http::new(url)?;
        let version = http.text("version").await?;
        let rest = Self { http, version };
        let probe = json!({ "max_results": 1, "view_type": "ALL" });
        match rest.http.search(&path(&["experiments", "search"]), &probe).await? {
            Answer::Json(_) => Ok(rest),
            Answer::Refused(Refused { status: status @ (401 | 403), .. }) => {
                Err(SourceError::NotMlflow(format!(
                    "{} answered {status}: give a user in its address or by MLFLOW_TRACKING_USERNAME and \
                 MLFLOW_TRACKING_PASSWORD, or a token by MLFLOW_TRACKING_TOKEN",
                    rest.http.address()
                )))
            }
            Answer::Refused(refused) => Err(SourceError::NotMlflow(format!(
                "{} does not answer as an MLflow tracking server of version 2 or 3: experiments/search gave {} ({})",
                rest.http.address(),
                refused.status,
                refused.message
            ))),
        }
    }

    pub fn describe(&self) -> Described {
        let version = self.version.as_deref().unwrap_or("of unknown version");
        Described {
            source: self.http.address(),
            detail: format!("MLflow {version}, read through its REST API"),
        }
    }

    pub async fn experiments(&self, token: Option<&str>) -> Result<Page<SourceExperiment>, SourceError> {
        let body = json!({ "max_results": ROWS, "view_type": "ALL", "page_token": token });
        let answer = self.search(&["experiments", "search"], without_null(body)).await?;
        Ok(page(&answer, "experiments", read::experiment))
    }

    pub async fn runs(
        &self,
        experiment_id: &str,
        token: Option<&str>,
    ) -> Result<Page<SourceRun>, SourceError> {
        let body = json!({
            "experiment_ids": [experiment_id], "run_view_type": "ALL", "max_results": ROWS,
            "order_by": ["attributes.start_time ASC"], "page_token": token,
        });
        let answer = self.search(&["runs", "search"], without_null(body)).await?;
        Ok(page(&answer, "runs", read::run))
    }

    /// Adds the logged models that the run read, which MLflow's search leaves out.
    pub async fn complete_run(&self, run: &mut SourceRun) -> Result<(), SourceError> {
        if self.version.as_deref().is_some_and(|version| version.starts_with("2.")) {
            return Ok(());
        }
        let answer = self.get(&["runs", "get"], &[("run_id", run.run.id.as_str())]).await?;
        let whole = read::run(answer.get("run").unwrap_or(&Value::Null));
        run.run.model_inputs = whole.run.model_inputs;
        run.run.model_outputs = whole.run.model_outputs;
        Ok(())
    }

    /// Sends every value of the run's metrics, a page at a time.
    pub async fn history(
        &self,
        run: &SourceRun,
        pages: mpsc::Sender<Result<Vec<ImportPoint>, SourceError>>,
    ) -> Result<(), SourceError> {
        let rows = HISTORY_ROWS.to_string();
        for key in run.latest.keys() {
            let mut token: Option<String> = None;
            loop {
                let mut query = vec![
                    ("run_id", run.run.id.as_str()),
                    ("metric_key", key),
                    ("max_results", rows.as_str()),
                ];
                if let Some(token) = &token {
                    query.push(("page_token", token));
                }
                let answer = self.get(&["metrics", "get-history"], &query).await?;
                let points = read::list(&answer, "metrics").iter().map(read::point).collect();
                if pages.send(Ok(points)).await.is_err() {
                    return Ok(());
                }
                token = read::some(&answer, "next_page_token");
                if token.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// A server that does not know logged models has none.
    pub async fn logged_models(
        &self,
        experiment_id: &str,
        token: Option<&str>,
    ) -> Result<Page<SourceLoggedModel>, SourceError> {
        let body = json!({ "experiment_ids": [experiment_id], "max_results": 50, "page_token": token });
        let nothing = || Page { rows: Vec::new(), next: None };
        match self.http.search(&path(&["logged-models", "search"]), &without_null(body)).await? {
            Answer::Json(answer) => Ok(page(&answer, "models", read::logged_model)),
            Answer::Refused(Refused { status: 404 | 405, .. }) => Ok(nothing()),
            Answer::Refused(refused) => Err(refusal(&["logged-models", "search"], &refused)),
        }
    }

    /// Registered models, or the prompts among them.
    pub async fn registered_models(
        &self,
        prompts: bool,
        token: Option<&str>,
    ) -> Result<Page<SourceModel>, SourceError> {
        let rows = ROWS.to_string();
        let mut query = vec![("max_results", rows.as_str())];
        if prompts {
            query.push(("filter", "tags.`mlflow.prompt.is_prompt` = 'true'"));
        }
        if let Some(token) = token {
            query.push(("page_token", token));
        }
        let answer = self.get(&["registered-models", "search"], &query).await?;
        Ok(page(&answer, "registered_models", read::registered_model))
    }

    pub async fn versions(
        &self,
        name: &str,
        prompt: bool,
        token: Option<&str>,
    ) -> Result<Page<SourceVersion>, SourceError> {
        let rows = ROWS.to_string();
        let quote = if name.contains('\'') { '"' } else { '\'' };
        let mut filter = format!("name = {quote}{name}{quote}");
        if prompt {
            filter.push_str(" AND tags.`mlflow.prompt.is_prompt` = 'true'");
        }
        let mut query = vec![("filter", filter.as_str()), ("max_results", rows.as_str())];
        query.push(("order_by", "version_number ASC"));
        if let Some(token) = token {
            query.push(("page_token", token));
        }
        let answer = self.get(&["model-versions", "search"], &query).await?;
        Ok(page(&answer, "model_versions", read::version))
    }

    /// Where the server itself finds a version's files.
    pub async fn download_uri(&self, name: &str, version: i64) -> Result<Option<String>, SourceError> {
        let version = version.to_string();
        let query = [("name", name), ("version", version.as_str())];
        let answer = self.get(&["model-versions", "get-download-uri"], &query).await?;
        Ok(read::some(&answer, "artifact_uri"))
    }

    /// What is there and cannot be taken.
    pub async fn left_out(&self) -> Result<Vec<LeftOut>, SourceError> {
        let mut found = Vec::new();
        match self.http.get(&path(&["webhooks"]), &[("max_results", "1000")]).await? {
            Answer::Json(answer) => {
                let count = read::list(&answer, "webhooks").len() as u64;
                found.push(LeftOut { kind: "webhook", count: Some(count), why: super::WEBHOOKS });
            }
            // A server without webhooks has no such path.
            Answer::Refused(Refused { status: 404 | 405, .. }) => {}
            Answer::Refused(_) => {
                found.push(LeftOut { kind: "webhook", count: None, why: super::WEBHOOKS_UNKNOWN });
            }
        }
        Ok(found)
    }

    pub async fn get(&self, below: &[&str], query: &[(&str, &str)]) -> Result<Value, SourceError> {
        match self.http.get(&path(below), query).await? {
            Answer::Json(value) => Ok(value),
            Answer::Refused(refused) => Err(refusal(below, &refused)),
        }
    }

    /// The artifact proxy, which has its own place in the API.
    pub async fn proxy(&self, below: &[&str], query: &[(&str, &str)]) -> Result<Value, SourceError> {
        let path: Vec<&str> = ["api", "2.0", "mlflow-artifacts"].iter().chain(below).copied().collect();
        match self.http.get(&path, query).await? {
            Answer::Json(value) => Ok(value),
            Answer::Refused(refused) => Err(SourceError::Object(format!(
                "MLflow answered {} to mlflow-artifacts/{}: {}",
                refused.status,
                below.join("/"),
                refused.message
            ))),
        }
    }

    async fn search(&self, below: &[&str], body: Value) -> Result<Value, SourceError> {
        match self.http.search(&path(below), &body).await? {
            Answer::Json(value) => Ok(value),
            Answer::Refused(refused) => Err(refusal(below, &refused)),
        }
    }
}

fn path<'p>(below: &[&'p str]) -> Vec<&'p str> {
    API.into_iter().chain(below.iter().copied()).collect()
}

fn refusal(below: &[&str], refused: &Refused) -> SourceError {
    SourceError::Object(format!(
        "MLflow answered {} to {}: {}",
        refused.status,
        below.join("/"),
        refused.message
    ))
}

fn without_null(mut body: Value) -> Value {
    if let Some(fields) = body.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    body
}

fn page<T>(answer: &Value, field: &str, read_row: impl Fn(&Value) -> T) -> Page<T> {
    let rows: Vec<T> = read::list(answer, field).iter().map(read_row).collect();
    // A token with no rows would be asked for ever.
    let next = read::some(answer, "next_page_token").filter(|_| !rows.is_empty());
    Page { rows, next }
}
