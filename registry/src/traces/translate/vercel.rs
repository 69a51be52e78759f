//! Vercel's AI SDK: the attributes of a call to a model are the parts of its request and response.

use super::{decoded, first, meant};
use crate::traces::{span::Span, value::Value};

pub const OPERATION: &str = "ai.operationId";

/// A call to a model, whose parts are attributes of their own.
pub fn is_chat(span: &Span) -> bool {
    let operation = span.attribute_json(OPERATION).map(|json| unwrapped(decoded(json)));
    let operation = operation.as_ref().and_then(Value::as_text);
    matches!(operation, Some("ai.generateText.doGenerate" | "ai.streamText.doStream"))
}

pub fn inputs(span: &Span) -> Option<String> {
    if !is_chat(span) {
        return first(span, &["ai.prompt", "ai.toolCall.args", "ai.value", "ai.values"]);
    }
    let mut parts = parts(span, "ai.prompt.");
    for (name, value) in &mut parts {
        if name == "tools"
            && let Value::List(tools) = value
        {
            // The SDK writes each tool as text.
            *tools = tools.drain(..).map(|tool| unwrapped(meant(tool))).collect();
        }
    }
    object(parts)
}

pub fn outputs(span: &Span) -> Option<String> {
    if is_chat(span) {
        return object(parts(span, "ai.response."));
    }
    let keys =
        ["ai.response.text", "ai.toolCall.result", "ai.response.object", "ai.embedding", "ai.embeddings"];
    first(span, &keys)
}

fn parts(span: &Span, prefix: &str) -> Vec<(String, Value)> {
    let part = |(key, json): &(String, String)| {
        Some((key.strip_prefix(prefix)?.to_owned(), unwrapped(decoded(json))))
    };
    span.attributes.iter().filter_map(part).collect()
}

fn object(parts: Vec<(String, Value)>) -> Option<String> {
    (!parts.is_empty()).then(|| Value::Map(parts).to_json())
}

/// Text that is JSON, perhaps of text that is JSON, stands for what it says.
fn unwrapped(value: Value) -> Value {
    meant(meant(value))
}
