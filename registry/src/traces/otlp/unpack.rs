//! `Content-Encoding` of a payload, which may be far larger than what carries it.

use super::OtlpError;
use flate2::read::{DeflateDecoder, GzDecoder, ZlibDecoder};
use std::io::Read;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Identity,
    Gzip,
    Deflate,
}

impl Encoding {
    /// Of the header; one that is not there or empty is none. `None`: not one that we know.
    pub fn parse(header: Option<&str>) -> Option<Self> {
        match header.unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::Identity),
            "gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            _ => None,
        }
    }
}

/// The payload; nothing of it beyond `max_bytes` is unpacked.
pub fn unpack(encoding: Encoding, body: &[u8], max_bytes: usize) -> Result<Vec<u8>, OtlpError> {
    match encoding {
        Encoding::Identity => Ok(body.to_vec()),
        Encoding::Gzip => bounded(GzDecoder::new(body), max_bytes, OtlpError::Gzip),
        Encoding::Deflate => match bounded(ZlibDecoder::new(body), max_bytes, OtlpError::Deflate) {
            // Some clients send the stream without zlib's header.
            Err(OtlpError::Deflate) => bounded(DeflateDecoder::new(body), max_bytes, OtlpError::Deflate),
            done => done,
        },
    }
}

fn bounded(reader: impl Read, max_bytes: usize, wrong: OtlpError) -> Result<Vec<u8>, OtlpError> {
    let mut bytes = Vec::new();
    let limit = max_bytes as u64 + 1;
    reader.take(limit).read_to_end(&mut bytes).map_err(|_| wrong)?;
    if bytes.len() > max_bytes { Err(OtlpError::TooLarge(max_bytes)) } else { Ok(bytes) }
}
