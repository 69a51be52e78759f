//! Gemini's command line: OpenTelemetry's attributes with operations of its own, and messages that
//! the pages read in the shape of Gemini's SDK.

use super::{conventions, decoded, first, kind as kind_named};
use crate::traces::{span::Span, value::Value};

pub fn speaks(span: &Span) -> bool {
    span.attribute_text("gen_ai.agent.name").as_deref() == Some("gemini-cli")
}

pub fn kind(span: &Span) -> Option<&'static str> {
    let kinds = &[("llm_call", "LLM"), ("tool_call", "TOOL"), ("agent_call", "AGENT")];
    speaks(span)
        .then(|| span.attribute_text(conventions::OPERATION))?
        .and_then(|name| kind_named(&name, kinds))
}

/// Messages are the contents of a request.
pub fn inputs(span: &Span) -> Option<String> {
    let json = speaks(span).then(|| first(span, conventions::INPUT_KEYS))??;
    match decoded(&json) {
        contents @ (Value::List(_) | Value::Text(_)) => Some(object("contents", contents).to_json()),
        _ => Some(json),
    }
}

/// One message comes with each part of a stream; together they are one candidate.
pub fn outputs(span: &Span) -> Option<String> {
    let json = speaks(span).then(|| first(span, conventions::OUTPUT_KEYS))??;
    let Value::List(messages) = decoded(&json) else {
        return Some(json);
    };
    let mut parts = Vec::new();
    for message in &messages {
        if let Some(Value::List(more)) = message.get("parts") {
            parts.extend_from_slice(more);
        }
    }
    if parts.is_empty() {
        return Some(json);
    }
    let content = vec![("role".to_owned(), "model".into()), ("parts".to_owned(), Value::List(parts))];
    let candidate = object("content", Value::Map(content));
    Some(object("candidates", Value::List(vec![candidate])).to_json())
}

fn object(key: &str, value: Value) -> Value {
    Value::Map(vec![(key.to_owned(), value)])
}
