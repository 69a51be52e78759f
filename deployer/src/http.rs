//! Small GETs to containers and the gateway.

use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use std::{error::Error, io, time::Duration};

/// More of a body than this says nothing new about a probe.
const BODY_LIMIT_BYTES: usize = 4 << 20;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: bytes::Bytes,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GetError {
    /// Nothing listens at the address.
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Other(String),
}

/// A client for plain HTTP on nearby addresses. No connection is kept: a probe that reuses one
/// would ask a process that is about to end.
#[derive(Clone)]
pub struct Http {
    client: Client<HttpConnector, Empty<bytes::Bytes>>,
}

impl Http {
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(Duration::from_secs(2)));
        Self { client: Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector) }
    }

    /// The answer, whatever its status.
    pub async fn get(&self, url: &str, timeout: Duration) -> Result<Answer, GetError> {
        let uri = url.parse().map_err(|e| GetError::Other(format!("{url:?} is not a URL: {e}")))?;
        let exchange = async {
            let response = self.client.get(uri).await.map_err(|e| classify(&e))?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), BODY_LIMIT_BYTES)
                .collect()
                .await
                .map_err(|e| GetError::Other(e.to_string()))?
                .to_bytes();
            Ok(Answer { status, body })
        };
        tokio::time::timeout(timeout, exchange)
            .await
            .unwrap_or_else(|_| Err(GetError::Other(format!("no answer within {} ms", timeout.as_millis()))))
    }
}

/// In the words of the innermost cause: hyper's outer ones only say that connecting failed.
fn classify(error: &(dyn Error + 'static)) -> GetError {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let refused = innermost.downcast_ref::<io::Error>().map(io::Error::kind);
    match refused {
        Some(io::ErrorKind::ConnectionRefused) => GetError::Refused(innermost.to_string()),
        _ => GetError::Other(innermost.to_string()),
    }
}
