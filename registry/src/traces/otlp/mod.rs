//! What arrives at `/v1/traces`: an `ExportTraceServiceRequest` of OpenTelemetry, in protobuf or in
//! JSON (<https://opentelemetry.io/docs/specs/otlp/#otlphttp>).

mod json;
mod proto;
mod unpack;

pub use unpack::{Encoding, unpack};

use super::{span::Span, value::Value};

/// Spans of one request. Each costs memory beyond its bytes, of which it needs very few.
const SPANS_MAX: usize = 20_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Protobuf,
    Json,
}

/// Spans that came from one source.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// What the source says of itself, e.g. `service.name`.
    pub resource: Vec<(String, Value)>,
    pub spans: Vec<Span>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OtlpError {
    #[error("Failed to decompress gzip payload")]
    Gzip,
    #[error("Failed to decompress deflate payload")]
    Deflate,
    #[error("The payload is larger than {0} bytes")]
    TooLarge(usize),
    #[error("Invalid OpenTelemetry format")]
    Format,
    #[error("Invalid OpenTelemetry format - no spans found")]
    Empty,
    #[error("A request can have at most {SPANS_MAX} spans")]
    TooMany,
    #[error("Cannot convert OpenTelemetry span to MLflow span")]
    Span,
}

/// The spans of a request.
pub fn decode(format: Format, body: &[u8]) -> Result<Vec<Received>, OtlpError> {
    let received = match format {
        Format::Protobuf => proto::decode(body)?,
        Format::Json => json::decode(body)?,
    };
    if received.is_empty() { Err(OtlpError::Empty) } else { Ok(received) }
}

/// An id of up to `N` bytes, filled up at the front.
fn id<const N: usize>(bytes: &[u8]) -> Result<[u8; N], OtlpError> {
    if bytes.is_empty() || bytes.len() > N {
        return Err(OtlpError::Span);
    }
    let mut id = [0; N];
    id[N - bytes.len()..].copy_from_slice(bytes);
    Ok(id)
}

/// The parent's id; none and zero are no parent.
fn parent(bytes: &[u8]) -> Result<Option<[u8; 8]>, OtlpError> {
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    id(bytes).map(Some)
}

/// Times are unsigned in OTLP; none of ours lies beyond the year 2262.
fn time(nanoseconds: u64) -> i64 {
    i64::try_from(nanoseconds).unwrap_or(i64::MAX)
}
