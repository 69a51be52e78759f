//! Any body is read as spans of OpenTelemetry, or refused: in protobuf and JSON, packed and unpacked.

use waybill_registry::traces::otlp::{Encoding, Format, decode, unpack};

const UNPACKED_MAX: usize = 1 << 20;

pub fn run(data: &[u8]) {
    for format in [Format::Protobuf, Format::Json] {
        if let Ok(received) = decode(format, data) {
            assert!(!received.is_empty(), "what holds no span is refused");
        }
        for encoding in [Encoding::Gzip, Encoding::Deflate] {
            if let Ok(body) = unpack(encoding, data, UNPACKED_MAX) {
                assert!(body.len() <= UNPACKED_MAX);
                let _ = decode(format, &body);
            }
        }
    }
}
