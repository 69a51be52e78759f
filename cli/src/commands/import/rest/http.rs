//! Calls to the old server. It is not trusted: answers are bounded, redirects are not followed.

use crate::commands::import::error::SourceError;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use serde_json::Value;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use url::Url;

/// A page of runs with thousands of params each stays below.
const ANSWER_MAX_BYTES: usize = 256 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// MLflow may take minutes for one page of runs.
const CALL_TIMEOUT: Duration = Duration::from_mins(5);
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
const ATTEMPTS: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// An MLflow server's REST API.
#[derive(Clone)]
pub struct Http {
    client: reqwest::Client,
    base: Url,
    token: Option<String>,
    user: Option<(String, String)>,
    /// A server that never answered is rather a wrong address than one that went away.
    has_answered: Arc<AtomicBool>,
}

/// An answer that is no success.
#[derive(Debug)]
pub struct Refused {
    pub status: u16,
    pub message: String,
}

/// What a call came to.
pub enum Answer {
    Json(Value),
    Refused(Refused),
}

impl Http {
    /// Credentials come from the address, or from `MLFLOW_TRACKING_USERNAME`, `_PASSWORD`, `_TOKEN`.
    pub fn new(mut base: Url) -> Result<Self, SourceError> {
        waybill_client::tls::use_ring();
        let client = reqwest::Client::builder()
            .user_agent(concat!("waybill/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(CALL_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| {
                SourceError::NotMlflow(format!("the HTTP client could not be set up: {error}"))
            })?;
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let user = match base.username() {
            "" => variable("MLFLOW_TRACKING_USERNAME")
                .map(|user| (user, variable("MLFLOW_TRACKING_PASSWORD").unwrap_or_default())),
            user => Some((user.to_owned(), base.password().unwrap_or_default().to_owned())),
        };
        let _ = base.set_username("");
        let _ = base.set_password(None);
        base.set_query(None);
        base.set_fragment(None);
        Ok(Self {
            client,
            base,
            token: variable("MLFLOW_TRACKING_TOKEN"),
            user,
            has_answered: Arc::default(),
        })
    }

    /// The address without credentials and trailing slash.
    pub fn address(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }

    /// A URL below the server's address; each of `segments` is one path segment, as it is.
    fn url(&self, segments: &[&str]) -> Result<Url, SourceError> {
        let mut url = self.base.clone();
        let bad = || SourceError::Object(format!("{segments:?} cannot be asked for"));
        if segments.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
            return Err(bad());
        }
        url.path_segments_mut().map_err(|()| bad())?.pop_if_empty().extend(segments);
        Ok(url)
    }

    fn request(&self, method: reqwest::Method, url: Url) -> reqwest::RequestBuilder {
        let request = self.client.request(method, url);
        match (&self.user, &self.token) {
            (Some((user, password)), _) => request.basic_auth(user, Some(password)),
            (None, Some(token)) => request.bearer_auth(token),
            (None, None) => request,
        }
    }

    /// The answer to a read, which is tried again while the server is away or busy.
    pub async fn get(&self, segments: &[&str], query: &[(&str, &str)]) -> Result<Answer, SourceError> {
        let mut url = self.url(segments)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.answer(self.ask(|| self.request(reqwest::Method::GET, url.clone())).await?)
    }

    /// A file that is read whole, tried again as other reads are.
    pub async fn file(&self, segments: &[&str], query: &[(&str, &str)]) -> Result<Vec<u8>, SourceError> {
        let mut url = self.url(segments)?;
        url.query_pairs_mut().extend_pairs(query);
        let (status, bytes) = self.ask(|| self.request(reqwest::Method::GET, url.clone())).await?;
        if status == 200 {
            return Ok(bytes);
        }
        let Refused { status, message } = refused(status, &bytes);
        Err(SourceError::Object(format!("MLflow answered {status} to {}: {message}", segments.join("/"))))
    }

    /// A search that MLflow takes as a POST.
    pub async fn search(&self, segments: &[&str], body: &Value) -> Result<Answer, SourceError> {
        let url = self.url(segments)?;
        let body = body.to_string();
        let asked = self.ask(|| {
            self.request(reqwest::Method::POST, url.clone())
                .header("content-type", "application/json")
                .body(body.clone())
        });
        self.answer(asked.await?)
    }

    /// Status and body.
    async fn ask(
        &self,
        request: impl Fn() -> reqwest::RequestBuilder,
    ) -> Result<(u16, Vec<u8>), SourceError> {
        let mut wait = FIRST_WAIT;
        for attempt in 1.. {
            match self.ask_once(request()).await {
                Ok((status, _)) if attempt < ATTEMPTS && is_passing(status) => {}
                Err(SourceError::Unreachable(_)) if attempt < ATTEMPTS => {}
                outcome => return outcome,
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        unreachable!("the loop ends by returning")
    }

    async fn ask_once(&self, request: reqwest::RequestBuilder) -> Result<(u16, Vec<u8>), SourceError> {
        let response = request.timeout(CALL_TIMEOUT).send().await.map_err(|error| self.away(&error))?;
        let status = response.status().as_u16();
        Ok((status, self.collect(response).await?))
    }

    fn answer(&self, (status, bytes): (u16, Vec<u8>)) -> Result<Answer, SourceError> {
        if !(200..300).contains(&status) {
            return Ok(Answer::Refused(refused(status, &bytes)));
        }
        match serde_json::from_slice::<Value>(&bytes) {
            Ok(value) if value.is_object() => Ok(Answer::Json(value)),
            _ => Err(self.foreign(status, &bytes)),
        }
    }

    async fn collect(&self, response: reqwest::Response) -> Result<Vec<u8>, SourceError> {
        self.has_answered.store(true, Ordering::Relaxed);
        let mut whole = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| self.away(&error))?;
            if whole.len() + chunk.len() > ANSWER_MAX_BYTES {
                let text = format!("{} answered with more than {ANSWER_MAX_BYTES} bytes", self.address());
                return Err(SourceError::NotMlflow(text));
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole)
    }

    /// The text at an address outside the API, e.g. `/version`; `None` when there is none.
    pub async fn text(&self, segment: &str) -> Result<Option<String>, SourceError> {
        let url = self.url(&[segment])?;
        let request = self.request(reqwest::Method::GET, url).timeout(CALL_TIMEOUT);
        let response = request.send().await.map_err(|error| self.away(&error))?;
        let good = response.status().is_success();
        let text = String::from_utf8_lossy(&self.collect(response).await?).trim().to_owned();
        Ok((good && text.len() <= 40 && !text.contains('<')).then_some(text))
    }

    /// A file's bytes as they arrive, and how many there are where the server says so.
    pub async fn download(
        &self,
        segments: &[&str],
        query: &[(&str, &str)],
    ) -> Result<(Option<u64>, impl Stream<Item = Result<Bytes, SourceError>> + Send + use<>), SourceError>
    {
        let mut url = self.url(segments)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.request(reqwest::Method::GET, url);
        let answer = tokio::time::timeout(IDLE_TIMEOUT, request.send()).await;
        let answer = answer.map_err(|_| SourceError::Object("the server does not send it".to_owned()))?;
        let response = answer.map_err(|error| self.away(&error))?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(SourceError::Object(format!("the server answered {status}")));
        }
        let size_bytes = response.content_length();
        let chunks = response.bytes_stream().map(|chunk| {
            chunk.map_err(|error| SourceError::Object(format!("the download broke off: {}", chain(&error))))
        });
        Ok((size_bytes, chunks))
    }

    fn away(&self, error: &reqwest::Error) -> SourceError {
        let advice = if self.has_answered.load(Ordering::Relaxed) {
            "What was brought over is kept: the same command goes on"
        } else {
            "Is it running, and does --from name it?"
        };
        let (address, cause) = (self.address(), chain(error));
        SourceError::Unreachable(format!("cannot reach the MLflow server {address}: {cause}. {advice}"))
    }

    fn foreign(&self, status: u16, bytes: &[u8]) -> SourceError {
        SourceError::NotMlflow(format!(
            "{} answered {status} with something other than MLflow's API: {}. Does --from name an MLflow \
             tracking server?",
            self.address(),
            excerpt(bytes)
        ))
    }
}

fn refused(status: u16, bytes: &[u8]) -> Refused {
    let json = serde_json::from_slice::<Value>(bytes).ok();
    let message = json.and_then(|value| Some(value.get("message")?.as_str()?.to_owned()));
    let message = message.unwrap_or_else(|| excerpt(bytes));
    Refused { status, message: message.chars().take(400).collect() }
}

fn is_passing(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504)
}

fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(400)]);
    match text.trim() {
        "" => "an empty body".to_owned(),
        text => format!("{:?}", text.chars().take(120).collect::<String>()),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    #[tokio::test]
    async fn a_server_that_went_away_is_told_from_one_that_never_answered() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let http = Http::new(format!("http://{address}").parse().unwrap()).unwrap();
        let old = tokio::spawn(async move {
            let (mut caller, _) = listener.accept().await.unwrap();
            let _ = caller.read(&mut [0; 1024]).await.unwrap();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\n3.1.0";
            caller.write_all(answer).await.unwrap();
        });
        assert_eq!(http.text("version").await.unwrap().as_deref(), Some("3.1.0"));
        old.await.unwrap();
        let gone = http.text("version").await.unwrap_err().to_string();
        assert!(gone.contains("What was brought over is kept"), "{gone}");
        let never = Http::new(format!("http://{address}").parse().unwrap()).unwrap();
        let never = never.text("version").await.unwrap_err().to_string();
        assert!(never.contains("does --from name it") && !never.contains("is kept"), "{never}");
    }
}
