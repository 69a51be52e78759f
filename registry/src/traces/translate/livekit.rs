//! LiveKit's agents: the type of a span shows in which attributes it has.

use super::{conventions, decoded, has, kind as kind_named};
use crate::traces::{span::Span, value::Value};

pub fn kind(span: &Span) -> Option<&'static str> {
    if has(span, conventions::MODEL) {
        return Some("LLM");
    }
    let operation = span.attribute_json(conventions::OPERATION).map(decoded);
    let operation = operation.as_ref().and_then(Value::as_text).map(str::to_lowercase);
    let named = operation.and_then(|operation| kind_named(&operation, conventions::OPERATIONS));
    named.or_else(|| span.attributes.iter().find_map(|(key, _)| kind_of_key(key)))
}

fn kind_of_key(key: &str) -> Option<&'static str> {
    match key {
        "lk.retry_count" => Some("LLM"),
        "lk.agent_name" | "lk.instructions" | "lk.generation_id" => Some("AGENT"),
        "lk.input_text" | "lk.user_transcript" | "lk.transcript_confidence" | "lk.transcription_delay" => {
            Some("UNKNOWN")
        }
        _ if key.starts_with("lk.function_tool") => Some("TOOL"),
        _ if key.starts_with("lk.tts") => Some("UNKNOWN"),
        _ => None,
    }
}
