//! Inputs and outputs that come as events: Spring AI's, OpenTelemetry's messages, a tool's output.

use super::{claude_code, meant, says_something};
use crate::traces::{
    span::{Event, Span},
    value::Value,
};

pub fn inputs(span: &Span) -> Option<String> {
    spring(span, "gen_ai.content.prompt", "gen_ai.prompt").or_else(|| {
        messages(span, |event| match event.name.as_str() {
            "gen_ai.system.message" => Some("system".into()),
            "gen_ai.user.message" => Some("user".into()),
            "gen_ai.assistant.message" => Some("assistant".into()),
            _ => None,
        })
    })
}

pub fn outputs(span: &Span) -> Option<String> {
    let choice = |event: &Event| {
        let role = || event.attribute("role").cloned().map_or_else(|| "assistant".into(), meant);
        (event.name == "gen_ai.choice").then(role)
    };
    spring(span, "gen_ai.content.completion", "gen_ai.completion")
        .or_else(|| messages(span, choice))
        .or_else(|| claude_code::output_of_event(span))
}

/// Text is kept as it is, not as JSON of it: that is what MLflow's pages and previews show.
fn spring(span: &Span, name: &str, key: &str) -> Option<String> {
    let mut named = span.events.iter().filter(|event| event.name == name);
    let value =
        named.find_map(|event| event.attribute(key).filter(|value| says_something(&value.to_json())))?;
    Some(value.as_text().map_or_else(|| value.to_json(), str::to_owned))
}

/// The messages in events that have a role and a content.
fn messages(span: &Span, role: impl Fn(&Event) -> Option<Value>) -> Option<String> {
    let message = |event: &Event| {
        let role = role(event)?;
        let content = event.attribute("content").filter(|content| says_something(&content.to_json()))?;
        Some(Value::Map(vec![("role".to_owned(), role), ("content".to_owned(), meant(content.clone()))]))
    };
    let messages: Vec<Value> = span.events.iter().filter_map(message).collect();
    (!messages.is_empty()).then(|| Value::List(messages).to_json())
}
