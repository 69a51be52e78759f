//! A span as OTLP's `Span` in protobuf's JSON, in the names of the proto; what is at its default is
//! left out.

use super::{Event, Link, Span, SpanStatus};
use crate::traces::value::{KeyValue, Value};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Span", 10)?;
        out.serialize_field("trace_id", &BASE64.encode(self.trace))?;
        out.serialize_field("span_id", &BASE64.encode(self.id))?;
        if let Some(parent) = self.parent {
            out.serialize_field("parent_span_id", &BASE64.encode(parent))?;
        }
        if !self.name.is_empty() {
            out.serialize_field("name", &self.name)?;
        }
        if self.start_time_ns != 0 {
            out.serialize_field("start_time_unix_nano", &self.start_time_ns)?;
        }
        if self.end_time_ns != 0 {
            out.serialize_field("end_time_unix_nano", &self.end_time_ns)?;
        }
        // Text that is no JSON comes back as the text that it is.
        let values: Vec<(&str, Value)> = self
            .attributes
            .iter()
            .map(|(key, json)| (key.as_str(), Value::parse(json).unwrap_or_else(|| json.as_str().into())))
            .collect();
        if !values.is_empty() {
            let values: Vec<_> = values.iter().map(|(key, value)| KeyValue { key, value }).collect();
            out.serialize_field("attributes", &values)?;
        }
        if !self.events.is_empty() {
            out.serialize_field("events", &self.events)?;
        }
        if !self.links.is_empty() {
            out.serialize_field("links", &self.links)?;
        }
        out.serialize_field("status", &Status { code: self.status, message: &self.status_message })?;
        out.end()
    }
}

struct Status<'s> {
    code: SpanStatus,
    message: &'s str,
}

impl Serialize for Status<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Status", 2)?;
        if !self.message.is_empty() {
            out.serialize_field("message", self.message)?;
        }
        if self.code != SpanStatus::Unset {
            out.serialize_field("code", self.code.otlp_name())?;
        }
        out.end()
    }
}

fn key_values(entries: &[(String, Value)]) -> Vec<KeyValue<'_>> {
    entries.iter().map(|(key, value)| KeyValue { key, value }).collect()
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Event", 3)?;
        if self.time_ns != 0 {
            out.serialize_field("time_unix_nano", &self.time_ns)?;
        }
        if !self.name.is_empty() {
            out.serialize_field("name", &self.name)?;
        }
        if !self.attributes.is_empty() {
            out.serialize_field("attributes", &key_values(&self.attributes))?;
        }
        out.end()
    }
}

impl Serialize for Link {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Link", 3)?;
        out.serialize_field("trace_id", &BASE64.encode(self.trace))?;
        out.serialize_field("span_id", &BASE64.encode(self.span))?;
        if !self.attributes.is_empty() {
            out.serialize_field("attributes", &key_values(&self.attributes))?;
        }
        out.end()
    }
}
