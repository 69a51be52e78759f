//! The text in which a span is kept: one of the spans of an artifact `traces.json`
//! (`Span.to_dict` in mlflow/entities/span.py).

use super::{Event, Link, Span, SpanStatus, trace_id};
use crate::traces::{TracesError, value::Value};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

impl Span {
    /// The text that is kept.
    pub fn content(&self) -> String {
        let text = |text: &str| Value::from(text);
        let status = vec![
            ("code".to_owned(), text(self.status.otlp_name())),
            ("message".to_owned(), text(&self.status_message)),
        ];
        let attributes = self.attributes.iter().map(|(key, json)| (key.clone(), text(json))).collect();
        let events = self.events.iter().map(Event::to_value).collect();
        let links = self.links.iter().map(Link::to_value).collect();
        Value::Map(vec![
            ("trace_id".to_owned(), text(&BASE64.encode(self.trace))),
            ("span_id".to_owned(), text(&BASE64.encode(self.id))),
            ("parent_span_id".to_owned(), self.parent.map_or(Value::Null, |id| BASE64.encode(id).into())),
            ("name".to_owned(), text(&self.name)),
            ("start_time_unix_nano".to_owned(), Value::Int(self.start_time_ns)),
            ("end_time_unix_nano".to_owned(), Value::Int(self.end_time_ns)),
            ("events".to_owned(), Value::List(events)),
            ("status".to_owned(), Value::Map(status)),
            ("attributes".to_owned(), Value::Map(attributes)),
            ("links".to_owned(), Value::List(links)),
        ])
        .to_json()
    }

    /// A span from its text.
    pub fn from_content(content: &str) -> Result<Self, TracesError> {
        let corrupt = || TracesError::BadSpan;
        let value = Value::parse(content).ok_or_else(corrupt)?;
        let text = |key: &str| value.get(key).and_then(Value::as_text);
        let list = |key: &str| match value.get(key) {
            Some(Value::List(items)) => items.clone(),
            _ => Vec::new(),
        };
        let status = value.get("status");
        let status_text = |key: &str| status.and_then(|status| status.get(key)).and_then(Value::as_text);
        let json = |(key, value): (String, Value)| match value {
            Value::Text(text) => (key, text),
            other => (key, other.to_json()),
        };
        Ok(Self {
            trace: text("trace_id").and_then(id_of).ok_or_else(corrupt)?,
            id: text("span_id").and_then(id_of).ok_or_else(corrupt)?,
            parent: text("parent_span_id").and_then(id_of),
            name: text("name").unwrap_or_default().to_owned(),
            start_time_ns: number(&value, "start_time_unix_nano"),
            end_time_ns: number(&value, "end_time_unix_nano"),
            status: SpanStatus::from_otlp_name(status_text("code").unwrap_or_default()),
            status_message: status_text("message").unwrap_or_default().to_owned(),
            attributes: entries(value.get("attributes")).into_iter().map(json).collect(),
            events: list("events").iter().map(Event::from_value).collect(),
            links: list("links").iter().filter_map(Link::from_value).collect(),
        })
    }
}

fn number(value: &Value, key: &str) -> i64 {
    value.get(key).and_then(Value::as_i64).unwrap_or_default()
}

fn entries(value: Option<&Value>) -> Vec<(String, Value)> {
    match value {
        Some(Value::Map(entries)) => entries.clone(),
        _ => Vec::new(),
    }
}

/// An id in base64.
fn id_of<const N: usize>(text: &str) -> Option<[u8; N]> {
    BASE64.decode(text).ok()?.try_into().ok()
}

impl Event {
    fn to_value(&self) -> Value {
        Value::Map(vec![
            ("name".to_owned(), self.name.as_str().into()),
            ("time_unix_nano".to_owned(), Value::Int(self.time_ns)),
            ("attributes".to_owned(), Value::Map(self.attributes.clone())),
        ])
    }

    fn from_value(value: &Value) -> Self {
        Self {
            name: value.get("name").and_then(Value::as_text).unwrap_or_default().to_owned(),
            time_ns: number(value, "time_unix_nano"),
            attributes: entries(value.get("attributes")),
        }
    }
}

impl Link {
    fn to_value(&self) -> Value {
        let attributes =
            if self.attributes.is_empty() { Value::Null } else { Value::Map(self.attributes.clone()) };
        Value::Map(vec![
            ("trace_id".to_owned(), trace_id(self.trace).into()),
            ("span_id".to_owned(), hex::encode(self.span).into()),
            ("attributes".to_owned(), attributes),
        ])
    }

    fn from_value(value: &Value) -> Option<Self> {
        let text = |key: &str| value.get(key).and_then(Value::as_text);
        let trace = text("trace_id")?;
        Some(Self {
            trace: hex::decode(trace.strip_prefix("tr-").unwrap_or(trace)).ok()?.try_into().ok()?,
            span: hex::decode(text("span_id")?).ok()?.try_into().ok()?,
            attributes: entries(value.get("attributes")),
        })
    }
}
