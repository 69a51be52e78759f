//! One call: its path, what it carries, how long it may take, when it is tried again.

use crate::{
    api::Problem,
    client::Client,
    error::{ClientError, shown},
    transport::{self, Body},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;
use url::Url;

/// For answers that are computed, not awaited.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_mins(1);
/// No page or document comes near; more is not an answer of this API.
const ANSWER_LIMIT_BYTES: usize = 64 << 20;
const PROBLEM_LIMIT_BYTES: usize = 1 << 20;
/// Together the waits between attempts last 0.7 s: long enough for a restart, short enough for a
/// person who mistyped the address.
const ATTEMPTS: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Which person a call is made for; recorded as claimed.
const USER_HEADER: header::HeaderName = header::HeaderName::from_static("waybill-user");

/// RFC 3986 unreserved characters stay.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A call in the making.
pub(crate) struct Call {
    client: Client,
    method: Method,
    url: Result<Url, ClientError>,
    headers: HeaderMap,
    body: Bytes,
    timeout: Duration,
}

impl Call {
    /// `segments` are the path below `/api/v1`, each as it is, not encoded.
    pub fn new(client: &Client, method: Method, segments: &[&str]) -> Self {
        let url = join(client.base(), segments);
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(user) = client.user() {
            headers.insert(USER_HEADER, user.clone());
        }
        Self { client: client.clone(), method, url, headers, body: Bytes::new(), timeout: CALL_TIMEOUT }
    }

    pub fn query(mut self, name: &str, value: Option<impl ToString>) -> Self {
        if let (Ok(url), Some(value)) = (&mut self.url, value) {
            url.query_pairs_mut().append_pair(name, &value.to_string());
        }
        self
    }

    pub fn header(mut self, name: header::HeaderName, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(value) => {
                self.headers.insert(name, value);
            }
            Err(_) => {
                self.url = Err(ClientError::InvalidArgument {
                    field: "header",
                    value: value.to_owned(),
                    expected: "visible ASCII characters",
                });
            }
        }
        self
    }

    /// A write, with a key by which the registry knows a second attempt and carries it out once.
    pub fn json(mut self, value: &impl Serialize) -> Self {
        self.body = serde_json::to_vec(value).expect("wire types serialise").into();
        self.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.keyed(&uuid::Uuid::now_v7().to_string())
    }

    /// A write that is the same as every other one with this key, of another call too.
    pub fn keyed(self, key: &str) -> Self {
        self.header(header::HeaderName::from_static("idempotency-key"), key)
    }

    /// How long the whole call may take, the answer's body included.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The answer as JSON.
    pub async fn receive<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        let url = self.url_for_messages();
        let (status, bytes) = self.bytes(ANSWER_LIMIT_BYTES).await?;
        serde_json::from_slice(&bytes).map_err(|error| ClientError::NotWaybill {
            url,
            status,
            message: error.to_string(),
        })
    }

    /// An answer without content.
    pub async fn done(self) -> Result<(), ClientError> {
        self.bytes(ANSWER_LIMIT_BYTES).await.map(drop)
    }

    /// The answer's bytes, at most `limit_bytes` of them.
    pub async fn bytes(self, limit_bytes: usize) -> Result<(StatusCode, Bytes), ClientError> {
        let timeout = self.timeout;
        let url = self.url_for_messages();
        let whole = async {
            let response = self.open().await?;
            let status = response.status();
            let bytes = collect(&url, response.into_body(), limit_bytes).await?;
            Ok((status, bytes))
        };
        tokio::time::timeout(timeout, whole).await.unwrap_or_else(|_| {
            Err(ClientError::TimedOut { url: url.clone(), waited_ms: timeout.as_millis() })
        })
    }

    /// The answer's head, once it is a success; the body is for the caller to read.
    pub async fn open(self) -> Result<http::Response<Body>, ClientError> {
        let url = self.url?;
        let mut wait = FIRST_WAIT;
        for attempt in 1.. {
            let request = request(&self.method, &url, &self.headers, transport::full(self.body.clone()));
            let head = attempt_once(&self.client, &url, request);
            let outcome = tokio::time::timeout(self.timeout, head).await.unwrap_or_else(|_| {
                let waited_ms = self.timeout.as_millis();
                Err((ClientError::TimedOut { url: shown(&url), waited_ms }, None))
            });
            let Err((error, retry_after)) = outcome else {
                return outcome.map_err(|(error, _)| error);
            };
            if attempt >= ATTEMPTS || !may_repeat(&error) {
                return Err(error);
            }
            let pause = retry_after.unwrap_or(wait).min(LONGEST_WAIT);
            tracing::debug!(url = %shown(&url), attempt, pause_ms = pause.as_millis(), %error, "trying again");
            tokio::time::sleep(pause).await;
            wait *= 2;
        }
        unreachable!("the loop ends by returning")
    }

    /// Sends a body that can be read once, so there is one attempt.
    pub async fn send_once(mut self, body: Body, size_bytes: u64) -> Result<(), ClientError> {
        self.headers.insert(header::CONTENT_LENGTH, size_bytes.into());
        self.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        let url = self.url?;
        let request = request(&self.method, &url, &self.headers, body);
        attempt_once(&self.client, &url, request).await.map(drop).map_err(|(error, _)| error)
    }

    fn url_for_messages(&self) -> String {
        self.url.as_ref().map(shown).unwrap_or_default()
    }
}

/// Whether another attempt can help. It cannot harm: a read changes nothing, and a write carries
/// its idempotency key. Whoever waited until a timeout wants to hear of it instead.
fn may_repeat(error: &ClientError) -> bool {
    error.is_passing() && !matches!(error, ClientError::TimedOut { .. })
}

fn request(method: &Method, url: &Url, headers: &HeaderMap, body: Body) -> http::Request<Body> {
    let mut request = http::Request::new(body);
    *request.method_mut() = method.clone();
    // What an HTTP/1.1 server sees: the path in the request line, the authority in `Host`.
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    *request.uri_mut() = target.parse().expect("a URL's path and query are a request target");
    *request.headers_mut() = headers.clone();
    let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
    if let Ok(host) = HeaderValue::from_str(host) {
        request.headers_mut().insert(header::HOST, host);
    }
    request
}

type Attempt = Result<http::Response<Body>, (ClientError, Option<Duration>)>;

/// The error comes with the wait that the server asked for.
async fn attempt_once(client: &Client, url: &Url, request: http::Request<Body>) -> Attempt {
    let response = client.transport().send(url, request).await.map_err(|error| (error, None))?;
    if response.status().is_success() {
        return Ok(response);
    }
    let retry_after = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    Err((refusal(&shown(url), response).await, retry_after))
}

async fn refusal(url: &str, response: http::Response<Body>) -> ClientError {
    let status = response.status();
    let bytes = match collect(url, response.into_body(), PROBLEM_LIMIT_BYTES).await {
        Ok(bytes) => bytes,
        Err(error) => return error,
    };
    if let Ok(problem) = serde_json::from_slice::<Problem>(&bytes) {
        ClientError::Problem(Box::new(problem))
    } else {
        let text = String::from_utf8_lossy(&bytes);
        let message = match text.trim() {
            "" => "an empty body".to_owned(),
            text => format!("{:?}", text.chars().take(200).collect::<String>()),
        };
        ClientError::NotWaybill { url: url.to_owned(), status, message }
    }
}

async fn collect(url: &str, body: Body, limit_bytes: usize) -> Result<Bytes, ClientError> {
    match Limited::new(body, limit_bytes).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(ClientError::TooLarge { url: url.to_owned(), limit_bytes: limit_bytes as u64 })
        }
        Err(error) => Err(broken(url, error.as_ref())),
    }
}

/// A body that ended in an error.
pub(crate) fn broken(url: &str, error: &(dyn std::error::Error + 'static)) -> ClientError {
    ClientError::Broken { url: url.to_owned(), message: transport::chain(error) }
}

/// Refuses what URL parsing would silently change into another path.
fn join(base: &Url, segments: &[&str]) -> Result<Url, ClientError> {
    let mut path = base.path().trim_end_matches('/').to_owned();
    path.push_str("/api/v1");
    for segment in segments {
        if matches!(*segment, "" | "." | "..") {
            return Err(ClientError::InvalidArgument {
                field: "path segment",
                value: (*segment).to_owned(),
                expected: "a name that is not empty, \".\" or \"..\"",
            });
        }
        path.push('/');
        path.extend(utf8_percent_encode(segment, SEGMENT));
    }
    let mut url = base.clone();
    url.set_path(&path);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn segments_arrive_as_they_were_given(segments in prop::collection::vec(".{1,20}", 1..4)) {
            let base = Url::parse("http://h:1/sub/").unwrap();
            let given: Vec<&str> = segments.iter().map(String::as_str).collect();
            match join(&base, &given) {
                Ok(url) => {
                    let path = url.path().strip_prefix("/sub/api/v1/").unwrap();
                    let arrived: Vec<String> = path
                        .split('/')
                        .map(|part| percent_decode_str(part).decode_utf8().unwrap().into_owned())
                        .collect();
                    prop_assert_eq!(arrived, segments);
                    prop_assert!(url.query().is_none() && url.fragment().is_none());
                }
                Err(_) => prop_assert!(segments.iter().any(|s| s == "." || s == "..")),
            }
        }
    }

    #[test]
    fn dots_are_refused_because_urls_resolve_them() {
        let base = Url::parse("http://h").unwrap();
        let error = join(&base, &["models", ".."]).unwrap_err();
        assert!(error.to_string().contains("\"..\""), "{error}");
    }
}
