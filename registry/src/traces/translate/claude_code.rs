//! Claude Code: `span.type` says which part of a session a span is; content that is not
//! to be told is `<REDACTED>`.

use super::{decoded, meant, said, says_something};
use crate::traces::{
    span::{Event, Span},
    usage::Tokens,
    value::Value,
};

const REDACTED: &str = "<REDACTED>";
const TOOL_DETAILS: [&str; 4] = ["full_command", "file_path", "skill_name", "subagent_type"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Interaction,
    Request,
    Tool,
}

/// Versions differ in whether they write the prefix.
fn part(span: &Span) -> Option<Part> {
    let text = span.attribute_text("span.type")?;
    match text.strip_prefix("claude_code.").unwrap_or(&text) {
        "interaction" => Some(Part::Interaction),
        "llm_request" => Some(Part::Request),
        "tool" => Some(Part::Tool),
        _ => None,
    }
}

pub fn kind(span: &Span) -> Option<&'static str> {
    Some(match part(span)? {
        Part::Interaction => "AGENT",
        Part::Request => "LLM",
        Part::Tool => "TOOL",
    })
}

/// What Anthropic counts as input is without the cache; MLflow's is with it.
pub fn tokens(span: &Span) -> Tokens {
    if part(span) != Some(Part::Request) {
        return Tokens::default();
    }
    let number = |key| match span.attribute(key)? {
        Value::Text(text) => text.trim().parse().ok(),
        Value::Double(number) => Value::Double(number.trunc()).as_i64(),
        value => value.as_i64(),
    };
    let (cache_read, cache_creation) = (number("cache_read_tokens"), number("cache_creation_tokens"));
    let cached = cache_read.unwrap_or_default().saturating_add(cache_creation.unwrap_or_default());
    let input = number("input_tokens").map(|input: i64| input.saturating_add(cached));
    Tokens { input, output: number("output_tokens"), total: None, cache_read, cache_creation }
}

pub fn inputs(span: &Span) -> Option<String> {
    match part(span)? {
        Part::Interaction => content(span, "user_prompt").or_else(|| content(span, "new_context")),
        Part::Request => content(span, "new_context"),
        Part::Tool => content(span, "tool_input").or_else(|| tool_details(span)),
    }
}

pub fn outputs(span: &Span) -> Option<String> {
    match part(span)? {
        Part::Interaction => None,
        Part::Request => content(span, "response.model_output"),
        Part::Tool => content(span, "new_context"),
    }
}

/// What a tool gave back, which comes as an event.
pub fn output_of_event(span: &Span) -> Option<String> {
    let is_output = |event: &&Event| event.name == "tool.output" && part(span) == Some(Part::Tool);
    span.events.iter().filter(is_output).find_map(|event| {
        ["output", "content", "diff"].into_iter().find_map(|key| {
            let value = meant(event.attribute(key)?.clone());
            let json = value.to_json();
            (says_something(&json) && value.as_text() != Some(REDACTED)).then_some(json)
        })
    })
}

fn content(span: &Span, key: &str) -> Option<String> {
    let json = said(span, key)?;
    (decoded(json).as_text() != Some(REDACTED)).then(|| json.to_owned())
}

fn tool_details(span: &Span) -> Option<String> {
    let detail = |key: &str| Some((key.to_owned(), decoded(&content(span, key)?)));
    let details: Vec<_> = TOOL_DETAILS.into_iter().filter_map(detail).collect();
    (!details.is_empty()).then(|| Value::Map(details).to_json())
}
