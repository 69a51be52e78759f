//! A registry without a socket, and answers in a form that can be compared between engines.

use crate::databases::each_engine;
use axum::{
    Router,
    body::Body,
    http::{Method, Request, header},
    response::Response,
};
use http_body_util::BodyExt as _;
use serde_json::Value;
use std::{fmt::Write as _, sync::Mutex};
use tower::ServiceExt as _;
use waybill_registry::{Config, Registry, ui::Source};

pub struct Server {
    router: Router,
    registry: Registry,
    /// Ids as they appeared: they are random, their order is not.
    ids: Mutex<Vec<String>>,
    _dir: tempfile::TempDir,
}

/// Runs `test` against a fresh registry on each engine.
pub async fn each_server<F, Fut>(test: F)
where
    F: Fn(Server) -> Fut,
    Fut: Future<Output = Server>,
{
    each_engine(|url| async {
        let server = test(Server::open(url).await).await;
        server.registry.close().await;
    })
    .await;
}

impl Server {
    async fn open(database_url: String) -> Self {
        Self::open_with(database_url, Source::Off).await
    }

    /// With MLflow's pages from somewhere.
    pub async fn open_with(database_url: String, mlflow_ui: Source) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            data_dir: dir.path().to_owned(),
            database_url: Some(database_url),
            artifacts_url: None,
            default_artifact_root: None,
            listen: "127.0.0.1:5000".parse().unwrap(),
            allowed_hosts: Vec::new(),
            deployer_mode: "off".to_owned(),
            gateway_url: None,
            mlflow_ui,
            webhooks: waybill_registry::webhooks::Settings::default(),
        };
        let registry = Registry::open(config).await.unwrap();
        Self { router: registry.router(), registry, ids: Mutex::default(), _dir: dir }
    }

    /// A POST with a JSON body, `path` below `/api/2.0/mlflow`.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, Some(body.to_string())).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub async fn send(&self, method: Method, path: &str, body: Option<String>) -> Answer {
        let uri = if path.starts_with("/api") || path.starts_with("/ajax-api") {
            path.to_owned()
        } else {
            format!("/api/2.0/mlflow{path}")
        };
        let mut request = Request::builder().method(method).uri(uri).header(header::HOST, "127.0.0.1:5000");
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        self.send_raw(request.body(body.map_or_else(Body::empty, Body::from)).unwrap()).await
    }

    /// A GraphQL query with its variables.
    pub async fn graphql(&self, query: &str, variables: Value) -> Answer {
        self.post_graphql(&serde_json::json!({"query": query, "variables": variables})).await
    }

    pub async fn post_graphql(&self, body: &Value) -> Answer {
        let request = Request::post("/graphql")
            .header(header::HOST, "127.0.0.1:5000")
            .header(header::CONTENT_TYPE, "application/json");
        self.send_raw(request.body(Body::from(body.to_string())).unwrap()).await
    }

    pub async fn answer(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub async fn send_raw(&self, request: Request<Body>) -> Answer {
        let response = self.answer(request).await;
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Answer { status, shown: self.show(&body), body }
    }

    /// A new run of experiment 0; its id.
    pub async fn run(&self) -> String {
        let answer =
            self.post("/runs/create", &serde_json::json!({"experiment_id": "0", "run_name": "r"})).await;
        answer.text("/run/info/run_id")
    }

    /// A new logged model of experiment 0; its id.
    pub async fn model(&self, name: &str) -> String {
        let answer =
            self.post("/logged-models", &serde_json::json!({"experiment_id": "0", "name": name})).await;
        answer.text("/model/info/model_id")
    }

    /// The body with ids and times replaced by what does not change from run to run.
    fn show(&self, body: &Value) -> String {
        let pretty = serde_json::to_string_pretty(body).unwrap();
        let mut shown = String::new();
        let mut word = String::new();
        for c in pretty.chars().chain(['\n']) {
            if c.is_ascii_alphanumeric() {
                word.push(c);
                continue;
            }
            let hex = word.len() == 32 && word.chars().all(|c| c.is_ascii_hexdigit());
            match (hex, is_now(&word)) {
                (true, _) => write!(shown, "<id{}>", self.number_of(&word)).unwrap(),
                (_, true) => shown.push_str("<now>"),
                _ => shown.push_str(&word),
            }
            word.clear();
            shown.push(c);
        }
        shown.trim_end().to_owned()
    }

    fn number_of(&self, id: &str) -> usize {
        let mut ids = self.ids.lock().unwrap();
        if let Some(i) = ids.iter().position(|known| known == id) {
            return i + 1;
        }
        ids.push(id.to_owned());
        ids.len()
    }
}

/// Whether `word` is a time of today, in milliseconds.
fn is_now(word: &str) -> bool {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    word.parse::<u128>().is_ok_and(|ms| ms.abs_diff(now) < 24 * 3600 * 1000)
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    shown: String,
}

impl Answer {
    /// The text at a JSON pointer.
    #[track_caller]
    pub fn text(&self, pointer: &str) -> String {
        let value = self.body.pointer(pointer);
        value.and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer} in {self}")).to_owned()
    }

    /// The texts at `pointer` inside each item of the list `list`; none where it is left out.
    pub fn texts(&self, list: &str, pointer: &str) -> Vec<String> {
        let items = self.body.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
        items.iter().filter_map(|item| Some(item.pointer(pointer)?.as_str()?.to_owned())).collect()
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status, self.shown)
    }
}
