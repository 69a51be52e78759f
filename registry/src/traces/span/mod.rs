//! One span, as it arrives and as it is kept.

mod content;
mod proto_json;

use super::value::Value;
use serde::de::IgnoredAny;
use std::collections::HashMap;

/// Names of attributes that mean something to MLflow (mlflow/tracing/constant.py).
pub mod key {
    pub const REQUEST_ID: &str = "mlflow.traceRequestId";
    pub const INPUTS: &str = "mlflow.spanInputs";
    pub const OUTPUTS: &str = "mlflow.spanOutputs";
    pub const SPAN_TYPE: &str = "mlflow.spanType";
    pub const MESSAGE_FORMAT: &str = "mlflow.message.format";
    pub const CHAT_TOOLS: &str = "mlflow.chat.tools";
    pub const USAGE: &str = "mlflow.chat.tokenUsage";
    pub const COST: &str = "mlflow.llm.cost";
    pub const MODEL: &str = "mlflow.llm.model";
    pub const PROVIDER: &str = "mlflow.llm.provider";
    /// What follows is a tag of the trace.
    pub const TRACE_TAG_PREFIX: &str = "mlflow.traceTag.";
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanStatus {
    Unset,
    Ok,
    Error,
}

impl SpanStatus {
    /// As it is searched for.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unset => "UNSET",
            Self::Ok => "OK",
            Self::Error => "ERROR",
        }
    }

    /// OTLP's name.
    pub const fn otlp_name(self) -> &'static str {
        match self {
            Self::Unset => "STATUS_CODE_UNSET",
            Self::Ok => "STATUS_CODE_OK",
            Self::Error => "STATUS_CODE_ERROR",
        }
    }

    fn from_otlp_name(name: &str) -> Self {
        match name {
            "STATUS_CODE_OK" | "OK" => Self::Ok,
            "STATUS_CODE_ERROR" | "ERROR" => Self::Error,
            _ => Self::Unset,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// 16 bytes, big endian.
    pub trace: [u8; 16],
    pub id: [u8; 8],
    pub parent: Option<[u8; 8]>,
    pub name: String,
    pub start_time_ns: i64,
    /// 0: it has not ended.
    pub end_time_ns: i64,
    pub status: SpanStatus,
    pub status_message: String,
    /// Each as the JSON text of its value.
    pub attributes: Vec<(String, String)>,
    pub events: Vec<Event>,
    pub links: Vec<Link>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub name: String,
    pub time_ns: i64,
    pub attributes: Vec<(String, Value)>,
}

impl Event {
    /// The value of an attribute; of a key that comes twice the last.
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        self.attributes.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    pub trace: [u8; 16],
    pub span: [u8; 8],
    pub attributes: Vec<(String, Value)>,
}

/// The id that MLflow gives a trace of OpenTelemetry.
pub fn trace_id(trace: [u8; 16]) -> String {
    format!("tr-{}", hex::encode(trace))
}

impl Span {
    pub fn trace_id(&self) -> String {
        trace_id(self.trace)
    }

    pub fn span_id(&self) -> String {
        hex::encode(self.id)
    }

    /// The value of an attribute.
    pub fn attribute(&self, key: &str) -> Option<Value> {
        Value::parse(self.attribute_json(key)?)
    }

    /// Attributes as they are kept; of a key that comes twice the last value counts. Text that is
    /// itself JSON of a text, an object or a list stands for what it says.
    pub fn json_attributes(values: Vec<(String, Value)>) -> Vec<(String, String)> {
        let last: HashMap<String, usize> =
            values.iter().enumerate().map(|(i, (key, _))| (key.clone(), i)).collect();
        let mut attributes = Vec::with_capacity(last.len());
        for (i, (key, value)) in values.into_iter().enumerate() {
            if last.get(&key) == Some(&i) {
                attributes.push((key, unfolded(value)));
            }
        }
        attributes
    }

    pub fn attribute_json(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|(name, _)| name == key).map(|(_, text)| text.as_str())
    }

    /// The text of an attribute that is text.
    pub fn attribute_text(&self, key: &str) -> Option<String> {
        match self.attribute(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Sets an attribute; what it was before goes.
    pub fn set_attribute(&mut self, key: &str, value: &Value) {
        self.set_attribute_json(key, value.to_json());
    }

    /// Sets an attribute to text that is kept as it is.
    pub fn set_attribute_json(&mut self, key: &str, json: String) {
        self.attributes.retain(|(name, _)| name != key);
        self.attributes.push((key.to_owned(), json));
    }
}

/// The JSON text that is kept of an attribute: of text that is JSON, the text itself. That a number
/// or a truth value was meant cannot be told from text, so these stay text.
fn unfolded(value: Value) -> String {
    match value {
        Value::Text(text) if is_json_of_more(&text) => text,
        value => value.to_json(),
    }
}

fn is_json_of_more(text: &str) -> bool {
    let start = text.trim_start_matches([' ', '\t', '\n', '\r']);
    let is_json = || serde_json::from_str::<IgnoredAny>(text).is_ok() || Value::parse(text).is_some();
    start.starts_with(['"', '[', '{']) && is_json()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_json_of_more_stands_for_what_it_says() {
        for (text, kept) in [
            (r#"{"q":1}"#, r#"{"q":1}"#),
            (" [1,2]", " [1,2]"),
            (r#""quoted""#, r#""quoted""#),
            (r#""{}""#, r#""{}""#),
            (r#"{"loss":NaN}"#, r#"{"loss":NaN}"#),
            ("NaN", r#""NaN""#),
            ("5", r#""5""#),
            ("true", r#""true""#),
            ("null", r#""null""#),
            ("plain", r#""plain""#),
            ("[1,", r#""[1,""#),
            ("[x]", r#""[x]""#),
            ("", r#""""#),
        ] {
            assert_eq!(unfolded(text.into()), kept, "{text}");
        }
        let list = Value::List(vec![Value::from("[1]"), Value::Int(2)]);
        assert_eq!(unfolded(list), r#"["[1]", 2]"#);
    }
}
