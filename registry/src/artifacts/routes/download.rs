//! A file as an HTTP response: conditional, partial, verified, and never run by a browser.

use super::range::{self, Wanted};
use crate::{
    artifacts::{ArtifactError, ContentStore, Found, Place, StoredBlob},
    http::names_etag,
};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::fs::File;
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

/// What `filename*` carries as it is (RFC 8187, `attr-char`).
const ATTR_CHAR: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// Bytes of a local file that are read at once.
const LOCAL_CHUNK_BYTES: usize = 256 << 10;

/// Answers a GET of the file at `place`, with `E` as the shape of errors.
pub async fn respond_at<E>(content: &ContentStore, place: &Place, request: &HeaderMap) -> Response
where
    E: From<ArtifactError> + IntoResponse,
{
    match place.find(content).await {
        Ok(Found::Blob(blob)) => respond::<E>(content, blob, place.name(), request).await,
        Ok(Found::Local { file, size_bytes }) => local(file, size_bytes, place.name()),
        Err(error) => E::from(error).into_response(),
    }
}

/// A file that is not ours has no digest: it is sent whole, as it is now.
fn local(file: File, size_bytes: u64, name: &str) -> Response {
    // A file that grows meanwhile must not go past the length that was promised.
    let bytes = tokio::fs::File::from_std(file).take(size_bytes);
    let body = Body::from_stream(ReaderStream::with_capacity(bytes, LOCAL_CHUNK_BYTES));
    let length = [(header::CONTENT_LENGTH, size_bytes.to_string())];
    (about(name), length, body).into_response()
}

/// What keeps a browser from running a file.
fn about(name: &str) -> [(HeaderName, String); 3] {
    [
        (header::CONTENT_TYPE, content_type(name).to_owned()),
        (header::CONTENT_DISPOSITION, disposition(name)),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
    ]
}

/// Answers a GET of `blob` under the file name `name`, with `E` as the shape of errors.
///
/// The `ETag` is the digest. Honours `If-None-Match`, one `Range`, and `If-Range`. Once the
/// response has begun, damage shows as a body that ends early.
pub async fn respond<E>(content: &ContentStore, blob: StoredBlob, name: &str, request: &HeaderMap) -> Response
where
    E: From<ArtifactError> + IntoResponse,
{
    let size_bytes = blob.size_bytes;
    let etag = format!("\"{}\"", blob.digest);
    let text = |name: HeaderName| request.get(name).and_then(|value| value.to_str().ok());
    if text(header::IF_NONE_MATCH).is_some_and(|tags| names_etag(tags, &etag)) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response();
    }
    let unchanged = text(header::IF_RANGE).is_none_or(|tag| tag == etag);
    let range = match range::parse(text(header::RANGE).filter(|_| unchanged), size_bytes) {
        Wanted::Whole => None,
        Wanted::Part(range) => Some(range),
        Wanted::Unsatisfiable => {
            let refusal = E::from(ArtifactError::Range { size_bytes }).into_response();
            return ([(header::CONTENT_RANGE, format!("bytes */{size_bytes}"))], refusal).into_response();
        }
    };
    let bytes = match content.open_blob(blob, range.clone()).await {
        Ok(bytes) => bytes,
        Err(error) => return E::from(error).into_response(),
    };
    let headers = [(header::ETAG, etag), (header::ACCEPT_RANGES, "bytes".to_owned())];
    let mut response = (headers, about(name), Body::from_stream(bytes)).into_response();
    let mut length = size_bytes;
    if let Some(range) = range {
        length = range.end - range.start;
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let shown = format!("bytes {}-{}/{size_bytes}", range.start, range.end - 1);
        if let Ok(value) = HeaderValue::try_from(shown) {
            response.headers_mut().insert(header::CONTENT_RANGE, value);
        }
    }
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    response
}

/// A type by the name's ending, as MLflow guesses it, but none that a browser would run.
fn content_type(name: &str) -> &'static str {
    let ending = name.rsplit('.').next().unwrap_or_default();
    match ending.to_ascii_lowercase().as_str() {
        "txt" | "log" | "err" | "cfg" | "conf" | "cnf" | "cf" | "ini" | "properties" | "prop" | "hocon"
        | "toml" | "yaml" | "yml" | "json" | "js" | "py" | "py3" | "csv" | "tsv" | "md" | "rst" | "ipynb"
        | "mlmodel" | "mlproject" => "text/plain; charset=utf-8",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "pdf" => "application/pdf",
        _ => "application/octet-stream",
    }
}

/// `attachment` with the file's name (RFC 6266).
fn disposition(name: &str) -> String {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ';
    let fallback: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    if fallback == name {
        return format!("attachment; filename=\"{name}\"");
    }
    format!("attachment; filename=\"{fallback}\"; filename*=UTF-8''{}", utf8_percent_encode(name, ATTR_CHAR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_types() {
        assert_eq!(disposition("MLmodel"), "attachment; filename=\"MLmodel\"");
        assert_eq!(
            disposition("a\"b\r\n模.bin"),
            "attachment; filename=\"a_b___.bin\"; filename*=UTF-8''a%22b%0D%0A%E6%A8%A1.bin"
        );
        for (name, expected) in [
            ("MLmodel", "text/plain; charset=utf-8"),
            ("x.JSON", "text/plain; charset=utf-8"),
            ("x.html", "application/octet-stream"),
            ("x.svg", "application/octet-stream"),
            ("model.pkl", "application/octet-stream"),
            ("plot.png", "image/png"),
            ("noending", "application/octet-stream"),
        ] {
            assert_eq!(content_type(name), expected, "{name}");
        }
    }
}
