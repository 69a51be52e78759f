//! One request to a receiver, signed as MLflow signs (mlflow/webhooks/delivery.py).

use super::{
    connect::{DialError, Dialer},
    receiver::Receiver,
    seal::Secret,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use ring::hmac;
use std::{
    pin::pin,
    time::{Duration, Instant},
};

const SIGNATURE_HEADER: &str = "x-mlflow-signature";
const DELIVERY_ID_HEADER: &str = "x-mlflow-delivery-id";
const TIMESTAMP_HEADER: &str = "x-mlflow-timestamp";
/// Of an answer's body: what explains a refusal is at its beginning.
pub const RESPONSE_MAX_BYTES: usize = 16 << 10;
/// For an answer's body, once its head is there.
const BODY_TIMEOUT: Duration = Duration::from_secs(2);
/// Of an answer's head.
const HEAD_MAX_BYTES: usize = 64 << 10;
/// A receiver may ask for patience, not for ever.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(10);

/// What is sent.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    pub delivery_id: &'a str,
    pub body: &'a str,
    pub secret: Option<&'a Secret>,
    /// Now; a receiver refuses old ones.
    pub at_ms: i64,
}

/// What a receiver answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// At most [`RESPONSE_MAX_BYTES`], without NUL.
    pub body: String,
    /// How long it wants to be left alone.
    pub retry_after: Option<Duration>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The request could not even be made.
    #[error("{0}")]
    Prepare(String),
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("no answer from {host} within {} ms", .after.as_millis())]
    Timeout { host: String, after: Duration },
    #[error("{host} did not answer in HTTP: {detail}")]
    Http { host: String, detail: String },
}

pub struct Sender {
    dialer: Dialer,
    timeout: Duration,
}

impl Sender {
    pub fn new(dialer: Dialer, timeout: Duration) -> Self {
        Self { dialer, timeout }
    }

    pub fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    /// Sends once and waits for the answer. Redirects are answers: nothing is followed.
    pub async fn send(
        &self,
        receiver: &Receiver,
        message: &Message<'_>,
    ) -> (Result<Answer, SendError>, Duration) {
        let started = Instant::now();
        let exchange = tokio::time::timeout(self.timeout, self.exchange(receiver, message));
        let outcome = exchange.await.unwrap_or_else(|_| {
            Err(SendError::Timeout { host: receiver.host.to_string(), after: self.timeout })
        });
        (outcome, started.elapsed())
    }

    async fn exchange(&self, receiver: &Receiver, message: &Message<'_>) -> Result<Answer, SendError> {
        let failed =
            |error: hyper::Error| SendError::Http { host: receiver.host.to_string(), detail: chain(&error) };
        let request = request(receiver, message).map_err(|error| SendError::Http {
            host: receiver.host.to_string(),
            detail: error.to_string(),
        })?;
        let stream = self.dialer.dial(receiver).await?;
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_MAX_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(failed)?;
        let mut exchange = pin!(async {
            let response = sender.send_request(request).await.map_err(failed)?;
            let (status, retry_after) = (response.status().as_u16(), retry_after(response.headers()));
            Ok(Answer { status, body: read(response.into_body()).await, retry_after })
        });
        // The connection is driven beside the exchange, and closed with it.
        tokio::select! {
            answer = &mut exchange => answer,
            _ended = connection => exchange.await,
        }
    }
}

fn request(receiver: &Receiver, message: &Message<'_>) -> Result<Request<Full<Bytes>>, http::Error> {
    let timestamp = (message.at_ms / 1000).to_string();
    let mut builder = Request::post(&receiver.target)
        .header(header::HOST, &receiver.authority)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, concat!("waybill/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close")
        .header(DELIVERY_ID_HEADER, message.delivery_id)
        .header(TIMESTAMP_HEADER, &timestamp);
    if let Some(secret) = message.secret {
        builder =
            builder.header(SIGNATURE_HEADER, sign(secret, message.delivery_id, &timestamp, message.body));
    }
    builder.body(Full::from(Bytes::copy_from_slice(message.body.as_bytes())))
}

/// `v1,<base64 of HMAC-SHA256 over delivery id, time and body>`.
fn sign(secret: &Secret, delivery_id: &str, timestamp: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{delivery_id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag))
}

/// The beginning of the body. One that breaks off or drips is an answer all the same: its status
/// counts.
async fn read(mut body: Incoming) -> String {
    let mut bytes = Vec::new();
    let reading = async {
        while bytes.len() < RESPONSE_MAX_BYTES
            && let Some(Ok(frame)) = body.frame().await
        {
            if let Some(data) = frame.data_ref() {
                let room = RESPONSE_MAX_BYTES - bytes.len();
                bytes.extend_from_slice(&data[..data.len().min(room)]);
            }
        }
    };
    let _cut_off = tokio::time::timeout(BODY_TIMEOUT, reading).await;
    // PostgreSQL's TEXT cannot hold NUL.
    String::from_utf8_lossy(&bytes).replace('\0', "\u{fffd}")
}

/// Seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wanted = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
            date.duration_since(jiff::Timestamp::now()).try_into().unwrap_or_default()
        }
    };
    Some(wanted.min(RETRY_AFTER_MAX))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_mlflows() {
        let secret = Secret::new("test-secret-key".to_owned());
        // mlflow.webhooks.delivery._generate_hmac_signature("test-secret-key", "d", "1", '{"a": "ü"}')
        assert_eq!(
            sign(&secret, "d", "1", "{\"a\": \"ü\"}"),
            "v1,vJGVKh7wZVxb/ZH16HsP7EEVEbvbtKlMoivFKq7P9RE="
        );
    }

    #[test]
    fn patience_has_an_end() {
        let asked = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers)
        };
        assert_eq!(asked("2"), Some(Duration::from_secs(2)));
        assert_eq!(asked("99999999999"), Some(RETRY_AFTER_MAX));
        assert_eq!(asked("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(asked("Mon, 21 Oct 2115 07:28:00 GMT"), Some(RETRY_AFTER_MAX));
        assert_eq!(asked("soon"), None);
        assert_eq!(asked("-1"), None);
    }
}
