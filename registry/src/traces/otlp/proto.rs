//! OTLP's messages (opentelemetry/proto/trace/v1/trace.proto), as far as they are read.

use super::{OtlpError, Received, SPANS_MAX, id, parent, time};
use crate::traces::{
    span::{Event, Link, Span, SpanStatus},
    value::Value,
};
use bytes::Bytes;
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct ExportTraceServiceRequest {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    /// Messages still to be read: one that says nothing has two bytes, and many times that once read.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    spans: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
struct ProtoSpan {
    #[prost(bytes = "bytes", tag = "1")]
    trace_id: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    span_id: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    parent_span_id: Bytes,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, repeated, tag = "11")]
    events: Vec<ProtoEvent>,
    #[prost(message, repeated, tag = "13")]
    links: Vec<ProtoLink>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
}

#[derive(Clone, PartialEq, Message)]
struct ProtoEvent {
    #[prost(fixed64, tag = "1")]
    time_unix_nano: u64,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "3")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ProtoLink {
    #[prost(bytes = "bytes", tag = "1")]
    trace_id: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    span_id: Bytes,
    #[prost(message, repeated, tag = "4")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(string, tag = "2")]
    message: String,
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "AnyValueKind", tags = "1, 2, 3, 4, 5, 6, 7")]
    value: Option<AnyValueKind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum AnyValueKind {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    Array(ArrayValue),
    #[prost(message, tag = "6")]
    Map(KeyValueList),
    #[prost(bytes = "vec", tag = "7")]
    Bytes(Vec<u8>),
}

#[derive(Clone, PartialEq, Message)]
struct ArrayValue {
    #[prost(message, repeated, tag = "1")]
    values: Vec<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValueList {
    #[prost(message, repeated, tag = "1")]
    values: Vec<KeyValue>,
}

pub(super) fn decode(body: &[u8]) -> Result<Vec<Received>, OtlpError> {
    // A copy of the body, which the spans then are slices of.
    let body = Bytes::copy_from_slice(body);
    let request = ExportTraceServiceRequest::decode(body).map_err(|_| OtlpError::Format)?;
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    if scopes.map(|scope| scope.spans.len()).sum::<usize>() > SPANS_MAX {
        return Err(OtlpError::TooMany);
    }
    request.resource_spans.into_iter().map(Received::try_from).collect()
}

impl TryFrom<ResourceSpans> for Received {
    type Error = OtlpError;

    fn try_from(resource: ResourceSpans) -> Result<Self, OtlpError> {
        let mut spans = Vec::new();
        for bytes in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            let span = ProtoSpan::decode(bytes).map_err(|_| OtlpError::Format)?;
            spans.push(span.try_into()?);
        }
        let attributes = resource.resource.map(|resource| resource.attributes).unwrap_or_default();
        Ok(Self { resource: values(attributes), spans })
    }
}

impl TryFrom<ProtoSpan> for Span {
    type Error = OtlpError;

    fn try_from(span: ProtoSpan) -> Result<Self, OtlpError> {
        let status = span.status.unwrap_or_default();
        Ok(Self {
            trace: id(&span.trace_id)?,
            id: id(&span.span_id)?,
            parent: parent(&span.parent_span_id)?,
            name: span.name,
            start_time_ns: time(span.start_time_unix_nano),
            end_time_ns: time(span.end_time_unix_nano),
            status: match status.code {
                1 => SpanStatus::Ok,
                2 => SpanStatus::Error,
                _ => SpanStatus::Unset,
            },
            status_message: status.message,
            attributes: Span::json_attributes(values(span.attributes)),
            events: span.events.into_iter().map(Event::from).collect(),
            links: span.links.into_iter().map(Link::try_from).collect::<Result<_, _>>()?,
        })
    }
}

impl From<ProtoEvent> for Event {
    fn from(event: ProtoEvent) -> Self {
        Self { name: event.name, time_ns: time(event.time_unix_nano), attributes: values(event.attributes) }
    }
}

impl TryFrom<ProtoLink> for Link {
    type Error = OtlpError;

    fn try_from(link: ProtoLink) -> Result<Self, OtlpError> {
        let attributes = values(link.attributes);
        Ok(Self { trace: id(&link.trace_id)?, span: id(&link.span_id)?, attributes })
    }
}

fn values(entries: Vec<KeyValue>) -> Vec<(String, Value)> {
    entries.into_iter().map(|entry| (entry.key, value_of(entry.value))).collect()
}

fn value_of(value: Option<AnyValue>) -> Value {
    match value.and_then(|value| value.value) {
        None => Value::Null,
        Some(AnyValueKind::Text(text)) => Value::Text(text),
        Some(AnyValueKind::Bool(value)) => Value::Bool(value),
        Some(AnyValueKind::Int(value)) => Value::Int(value),
        Some(AnyValueKind::Double(value)) => Value::Double(value),
        Some(AnyValueKind::Bytes(bytes)) => Value::Bytes(bytes),
        Some(AnyValueKind::Array(array)) => {
            Value::List(array.values.into_iter().map(|value| value_of(Some(value))).collect())
        }
        Some(AnyValueKind::Map(map)) => Value::Map(values(map.values)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::otlp::{Format, json, unpack};
    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;
    use std::io::Write as _;

    fn request(spans: &[ProtoSpan]) -> Vec<u8> {
        let spans = spans.iter().map(|span| Bytes::from(span.encode_to_vec())).collect();
        let resource = Resource { attributes: vec![entry("service.name", AnyValueKind::Text("s".into()))] };
        let resource_spans =
            vec![ResourceSpans { resource: Some(resource), scope_spans: vec![ScopeSpans { spans }] }];
        ExportTraceServiceRequest { resource_spans }.encode_to_vec()
    }

    fn entry(key: &str, value: AnyValueKind) -> KeyValue {
        KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }) }
    }

    fn any_span() -> impl Strategy<Value = ProtoSpan> {
        let ids = (any::<[u8; 16]>(), any::<[u8; 8]>(), proptest::option::of(any::<[u8; 8]>()));
        let value = prop_oneof![
            "\\PC{0,8}".prop_map(AnyValueKind::Text),
            any::<bool>().prop_map(AnyValueKind::Bool),
            any::<i64>().prop_map(AnyValueKind::Int),
            proptest::collection::vec(any::<u8>(), 0..5).prop_map(AnyValueKind::Bytes),
        ];
        let attributes = proptest::collection::vec(("[a-z]{1,4}", value), 0..4);
        (ids, "\\PC{0,10}", any::<(u64, u64)>(), attributes, 0..4_i32).prop_map(
            |((trace, id, parent), name, (start, end), attributes, code)| ProtoSpan {
                trace_id: trace.to_vec().into(),
                span_id: id.to_vec().into(),
                parent_span_id: parent.map(|id| id.to_vec()).unwrap_or_default().into(),
                name,
                start_time_unix_nano: start,
                end_time_unix_nano: end,
                attributes: attributes.into_iter().map(|(key, value)| entry(&key, value)).collect(),
                events: Vec::new(),
                links: Vec::new(),
                status: Some(Status { message: "m".into(), code }),
            },
        )
    }

    /// The same span as OTLP's JSON has it.
    fn as_json(span: &ProtoSpan) -> serde_json::Value {
        let attributes: Vec<_> = span
            .attributes
            .iter()
            .map(|entry| {
                let value = match entry.value.as_ref().and_then(|value| value.value.as_ref()) {
                    Some(AnyValueKind::Text(text)) => serde_json::json!({"stringValue": text}),
                    Some(AnyValueKind::Bool(value)) => serde_json::json!({"boolValue": value}),
                    Some(AnyValueKind::Int(value)) => serde_json::json!({"intValue": value.to_string()}),
                    Some(AnyValueKind::Bytes(bytes)) => {
                        use base64::Engine as _;
                        let text = base64::engine::general_purpose::STANDARD.encode(bytes);
                        serde_json::json!({"bytesValue": text})
                    }
                    _ => serde_json::json!({}),
                };
                serde_json::json!({"key": entry.key, "value": value})
            })
            .collect();
        serde_json::json!({"resourceSpans": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "s"}}]},
            "scopeSpans": [{"scope": {"name": "x"}, "spans": [{
                "traceId": hex::encode(&span.trace_id),
                "spanId": hex::encode(&span.span_id),
                "parentSpanId": hex::encode(&span.parent_span_id),
                "name": span.name,
                "kind": 1,
                "startTimeUnixNano": span.start_time_unix_nano.to_string(),
                "endTimeUnixNano": span.end_time_unix_nano,
                "attributes": attributes,
                "status": {"message": "m", "code": span.status.as_ref().unwrap().code},
            }]}],
        }]})
    }

    proptest! {
        #[test]
        fn both_formats_say_the_same(span in any_span()) {
            let from_proto = decode(&request(std::slice::from_ref(&span))).unwrap();
            let from_json = json::decode(as_json(&span).to_string().as_bytes()).unwrap();
            prop_assert_eq!(&from_proto, &from_json);
            // What is kept can be read again.
            let kept = &from_proto[0].spans[0];
            prop_assert_eq!(&Span::from_content(&kept.content()).unwrap(), kept);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = crate::traces::otlp::decode(Format::Protobuf, &bytes);
            let _ = crate::traces::otlp::decode(Format::Json, &bytes);
            for encoding in [unpack::Encoding::Gzip, unpack::Encoding::Deflate] {
                let _ = unpack::unpack(encoding, &bytes, 1000);
            }
        }

        #[test]
        fn a_request_that_ends_early_is_refused_or_shorter(span in any_span(), cut in 1..40_usize) {
            let whole = request(&[span]);
            let part = &whole[..whole.len().saturating_sub(cut)];
            if let Ok(received) = decode(part) {
                prop_assert!(received.iter().all(|received| received.spans.is_empty()));
            }
        }

        #[test]
        fn ids_are_filled_up_at_the_front(bytes in proptest::collection::vec(any::<u8>(), 0..24)) {
            match id::<16>(&bytes) {
                Ok(id) => {
                    prop_assert!(id.ends_with(&bytes) && id[..16 - bytes.len()].iter().all(|b| *b == 0));
                    prop_assert_eq!(crate::traces::span::trace_id(id).len(), 35);
                }
                Err(_) => prop_assert!(bytes.is_empty() || bytes.len() > 16),
            }
            if let Ok(Some(parent)) = parent(&bytes) {
                prop_assert!(parent != [0; 8]);
            }
        }
    }

    #[test]
    fn a_small_payload_that_grows_is_stopped() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&vec![0; 1 << 20]).unwrap();
        let bomb = gzip.finish().unwrap();
        assert!(bomb.len() < 4096);
        let unpacked = unpack::unpack(unpack::Encoding::Gzip, &bomb, 1 << 16);
        assert_eq!(unpacked, Err(OtlpError::TooLarge(1 << 16)));
    }

    #[test]
    fn floods_are_refused() {
        let empty = vec![Bytes::new(); SPANS_MAX + 1];
        let many = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: None,
                scope_spans: vec![ScopeSpans { spans: empty }],
            }],
        };
        assert_eq!(decode(&many.encode_to_vec()), Err(OtlpError::TooMany));
        let deep = format!("{{\"resourceSpans\":[{}", "{\"a\":[".repeat(100_000));
        assert_eq!(json::decode(deep.as_bytes()), Err(OtlpError::Format));
        let mut nested = AnyValue { value: Some(AnyValueKind::Bool(true)) };
        for _ in 0..200 {
            nested = AnyValue { value: Some(AnyValueKind::Array(ArrayValue { values: vec![nested] })) };
        }
        let span = ProtoSpan {
            trace_id: vec![1].into(),
            span_id: vec![1].into(),
            attributes: vec![KeyValue { key: "k".into(), value: Some(nested) }],
            ..ProtoSpan::default()
        };
        assert_eq!(decode(&request(&[span])), Err(OtlpError::Format));
    }
}
