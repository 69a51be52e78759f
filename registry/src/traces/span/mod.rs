//! One span, as it arrives and as it is kept.

mod content;
mod proto_json;

use super::value::Value;
use std::collections::HashMap;

/// Names of attributes that mean something to MLflow (mlflow/tracing/constant.py).
pub mod key {
    pub const REQUEST_ID: &str = "mlflow.traceRequestId";
    pub const INPUTS: &str = "mlflow.spanInputs";
    pub const OUTPUTS: &str = "mlflow.spanOutputs";
    pub const SPAN_TYPE: &str = "mlflow.spanType";
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

    /// Attributes as they are kept; of a key that comes twice the last value counts.
    pub fn json_attributes(values: Vec<(String, Value)>) -> Vec<(String, String)> {
        let last: HashMap<String, usize> =
            values.iter().enumerate().map(|(i, (key, _))| (key.clone(), i)).collect();
        let mut attributes = Vec::with_capacity(last.len());
        for (i, (key, value)) in values.into_iter().enumerate() {
            if last.get(&key) == Some(&i) {
                attributes.push((key, value.to_json()));
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
        self.attributes.retain(|(name, _)| name != key);
        self.attributes.push((key.to_owned(), value.to_json()));
    }
}
