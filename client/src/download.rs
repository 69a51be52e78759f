//! Content as a stream of chunks.

use crate::{error::ClientError, request::broken, transport::Body};
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use http::header;
use http_body_util::BodyExt;
use std::time::Duration;
use waybill_proof::Digest;

/// A server that sends nothing for so long has gone.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);

/// A part of a file: `start` is the first byte's offset, `end` one past the last, absent for the
/// file's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    pub start: u64,
    pub end: Option<u64>,
}

impl ByteRange {
    /// RFC 9110, section 14.1.2: the last position is inclusive there.
    pub(crate) fn header(self) -> Result<String, ClientError> {
        match self.end {
            None => Ok(format!("bytes={}-", self.start)),
            Some(end) if end > self.start => Ok(format!("bytes={}-{}", self.start, end - 1)),
            Some(end) => Err(ClientError::InvalidArgument {
                field: "range",
                value: format!("{}..{end}", self.start),
                expected: "an end after the start",
            }),
        }
    }
}

/// A file or blob on its way.
pub struct Download {
    /// Bytes that `chunks` yields in all, where the server said so.
    pub size_bytes: Option<u64>,
    /// Digest of the whole file, also when only a part was asked for.
    pub digest: Option<Digest>,
    pub chunks: BoxStream<'static, Result<Bytes, ClientError>>,
}

impl Download {
    pub(crate) fn new(url: String, response: http::Response<Body>) -> Self {
        let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let size_bytes = text(header::CONTENT_LENGTH).and_then(|value| value.parse().ok());
        let digest = text(header::ETAG).and_then(|value| value.trim_matches('"').parse().ok());
        Self { size_bytes, digest, chunks: chunks(url, response.into_body()) }
    }
}

/// Data frames, with a limit on the silence between two of them.
pub(crate) fn chunks(url: String, body: Body) -> BoxStream<'static, Result<Bytes, ClientError>> {
    futures::stream::unfold(Some((url, body)), |state| async move {
        let (url, mut body) = state?;
        loop {
            let error = match tokio::time::timeout(IDLE_TIMEOUT, body.frame()).await {
                Ok(None) => return None,
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => return Some((Ok(data), Some((url, body)))),
                    Err(_trailers) => continue,
                },
                Ok(Some(Err(error))) => broken(&url, &error),
                Err(_) => ClientError::TimedOut { url, waited_ms: IDLE_TIMEOUT.as_millis() },
            };
            return Some((Err(error), None));
        }
    })
    .boxed()
}
