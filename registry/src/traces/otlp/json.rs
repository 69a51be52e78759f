//! OTLP in JSON: protobuf's JSON, but for ids, which are hex.

use super::{OtlpError, Received, SPANS_MAX, id, parent, time};
use crate::traces::{
    span::{Event, Link, Span, SpanStatus},
    value::Value,
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};
use std::{fmt, marker::PhantomData};

#[derive(Deserialize)]
struct Request {
    #[serde(default, rename = "resourceSpans", alias = "resource_spans", deserialize_with = "list")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Deserialize)]
struct ResourceSpans {
    #[serde(default)]
    resource: Option<Resource>,
    #[serde(default, rename = "scopeSpans", alias = "scope_spans", deserialize_with = "list")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(default, deserialize_with = "list")]
    attributes: Vec<KeyValue>,
}

#[derive(Deserialize)]
struct ScopeSpans {
    #[serde(default, deserialize_with = "list")]
    spans: Vec<JsonSpan>,
}

#[derive(Deserialize)]
struct JsonSpan {
    #[serde(default, rename = "traceId", alias = "trace_id")]
    trace_id: Option<String>,
    #[serde(default, rename = "spanId", alias = "span_id")]
    span_id: Option<String>,
    #[serde(default, rename = "parentSpanId", alias = "parent_span_id")]
    parent_span_id: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default, rename = "startTimeUnixNano", alias = "start_time_unix_nano")]
    start_time_unix_nano: Number<u64>,
    #[serde(default, rename = "endTimeUnixNano", alias = "end_time_unix_nano")]
    end_time_unix_nano: Number<u64>,
    #[serde(default, deserialize_with = "list")]
    attributes: Vec<KeyValue>,
    #[serde(default, deserialize_with = "list")]
    events: Vec<JsonEvent>,
    #[serde(default, deserialize_with = "list")]
    links: Vec<JsonLink>,
    #[serde(default)]
    status: Option<Status>,
}

#[derive(Deserialize)]
struct JsonEvent {
    #[serde(default, rename = "timeUnixNano", alias = "time_unix_nano")]
    time_unix_nano: Number<u64>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default, deserialize_with = "list")]
    attributes: Vec<KeyValue>,
}

#[derive(Deserialize)]
struct JsonLink {
    #[serde(default, rename = "traceId", alias = "trace_id")]
    trace_id: Option<String>,
    #[serde(default, rename = "spanId", alias = "span_id")]
    span_id: Option<String>,
    #[serde(default, deserialize_with = "list")]
    attributes: Vec<KeyValue>,
}

#[derive(Deserialize, Default)]
struct Status {
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    code: Option<Code>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Code {
    Number(i64),
    Name(String),
}

#[derive(Deserialize)]
struct KeyValue {
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    value: Option<AnyValue>,
}

#[derive(Deserialize)]
struct AnyValue {
    #[serde(default, rename = "stringValue", alias = "string_value")]
    string: Option<String>,
    #[serde(default, rename = "boolValue", alias = "bool_value")]
    bool: Option<bool>,
    #[serde(default, rename = "intValue", alias = "int_value")]
    int: Option<Number<i64>>,
    #[serde(default, rename = "doubleValue", alias = "double_value")]
    double: Option<Double>,
    #[serde(default, rename = "arrayValue", alias = "array_value")]
    array: Option<Array>,
    #[serde(default, rename = "kvlistValue", alias = "kvlist_value")]
    kvlist: Option<Map>,
    #[serde(default, rename = "bytesValue", alias = "bytes_value")]
    bytes: Option<String>,
}

#[derive(Deserialize)]
struct Array {
    #[serde(default, deserialize_with = "list")]
    values: Vec<AnyValue>,
}

#[derive(Deserialize)]
struct Map {
    #[serde(default, deserialize_with = "list")]
    values: Vec<KeyValue>,
}

pub(super) fn decode(body: &[u8]) -> Result<Vec<Received>, OtlpError> {
    let request: Request = serde_json::from_slice(body).map_err(|_| OtlpError::Format)?;
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    if scopes.map(|scope| scope.spans.len()).sum::<usize>() > SPANS_MAX {
        return Err(OtlpError::TooMany);
    }
    request.resource_spans.into_iter().map(received).collect()
}

fn received(resource: ResourceSpans) -> Result<Received, OtlpError> {
    let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans).map(span);
    let attributes = resource.resource.map(|resource| resource.attributes).unwrap_or_default();
    Ok(Received { resource: values(attributes)?, spans: spans.collect::<Result<_, _>>()? })
}

fn span(span: JsonSpan) -> Result<Span, OtlpError> {
    let status = span.status.unwrap_or_default();
    let attributes = values(span.attributes)?;
    Ok(Span {
        trace: id(&bytes(span.trace_id)?)?,
        id: id(&bytes(span.span_id)?)?,
        parent: parent(&bytes(span.parent_span_id)?)?,
        name: span.name.unwrap_or_default(),
        start_time_ns: time(span.start_time_unix_nano.0),
        end_time_ns: time(span.end_time_unix_nano.0),
        status: match status.code {
            Some(Code::Number(1)) => SpanStatus::Ok,
            Some(Code::Number(2)) => SpanStatus::Error,
            Some(Code::Name(name)) if name == "STATUS_CODE_OK" => SpanStatus::Ok,
            Some(Code::Name(name)) if name == "STATUS_CODE_ERROR" => SpanStatus::Error,
            _ => SpanStatus::Unset,
        },
        status_message: status.message.unwrap_or_default(),
        attributes: Span::json_attributes(attributes),
        events: span.events.into_iter().map(event).collect::<Result<_, _>>()?,
        links: span.links.into_iter().map(link).collect::<Result<_, _>>()?,
    })
}

fn event(event: JsonEvent) -> Result<Event, OtlpError> {
    let attributes = values(event.attributes)?;
    Ok(Event { name: event.name.unwrap_or_default(), time_ns: time(event.time_unix_nano.0), attributes })
}

fn link(link: JsonLink) -> Result<Link, OtlpError> {
    let attributes = values(link.attributes)?;
    Ok(Link { trace: id(&bytes(link.trace_id)?)?, span: id(&bytes(link.span_id)?)?, attributes })
}

fn bytes(hex_digits: Option<String>) -> Result<Vec<u8>, OtlpError> {
    hex::decode(hex_digits.unwrap_or_default()).map_err(|_| OtlpError::Format)
}

fn values(entries: Vec<KeyValue>) -> Result<Vec<(String, Value)>, OtlpError> {
    entries
        .into_iter()
        .map(|entry| Ok((entry.key.unwrap_or_default(), entry.value.map_or(Ok(Value::Null), any)?)))
        .collect()
}

fn any(value: AnyValue) -> Result<Value, OtlpError> {
    Ok(if let Some(text) = value.string {
        Value::Text(text)
    } else if let Some(value) = value.bool {
        Value::Bool(value)
    } else if let Some(Number(value)) = value.int {
        Value::Int(value)
    } else if let Some(Double(value)) = value.double {
        Value::Double(value)
    } else if let Some(array) = value.array {
        Value::List(array.values.into_iter().map(any).collect::<Result<_, _>>()?)
    } else if let Some(map) = value.kvlist {
        Value::Map(values(map.values)?)
    } else if let Some(text) = value.bytes {
        Value::Bytes(BASE64.decode(text).map_err(|_| OtlpError::Format)?)
    } else {
        Value::Null
    })
}

/// A 64-bit integer, as a number or as text.
#[derive(Default)]
struct Number<T>(T);

impl<'de, T: TryFrom<i128> + Default> Deserialize<'de> for Number<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Signed(i64),
            Unsigned(u64),
            Text(String),
        }
        let number = match Option::deserialize(deserializer)? {
            None => return Ok(Self::default()),
            Some(Either::Signed(number)) => i128::from(number),
            Some(Either::Unsigned(number)) => i128::from(number),
            Some(Either::Text(text)) => text.trim().parse().map_err(D::Error::custom)?,
        };
        T::try_from(number).map(Self).map_err(|_| D::Error::custom("a number out of range"))
    }
}

/// A double, as a number or as text.
struct Double(f64);

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(f64),
            Text(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Number(number) => Ok(Self(number)),
            Either::Text(text) => text.parse().map(Self).map_err(D::Error::custom),
        }
    }
}

/// A list of so many items that they cannot fill the memory; `null` is an empty one.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    const ITEMS_MAX: usize = 100_000;

    struct Items<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_unit<E: Error>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = seq.next_element()? {
                if items.len() == ITEMS_MAX {
                    return Err(A::Error::custom("too many items"));
                }
                items.push(item);
            }
            Ok(items)
        }
    }
    deserializer.deserialize_any(Items(PhantomData))
}
