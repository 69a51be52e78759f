//! What other tools call an input, a model or its token usage, in MLflow's words
//! (mlflow/tracing/otel/translation). [`conventions`] says where each tool puts it; code is only
//! where a shape has to be made anew.

mod claude_code;
mod conventions;
mod events;
mod gemini_cli;
mod livekit;
#[cfg(test)]
mod tests;
mod vercel;

use self::conventions::CONVENTIONS;
use super::{
    span::{Span, key},
    usage::{self, Tokens},
    value::Value,
};

/// Where one tool says what MLflow wants to know.
struct Convention {
    kind: Kind,
    inputs: Source,
    outputs: Source,
    usage: Usage,
    models: &'static [&'static str],
    providers: &'static [&'static str],
    tools: &'static [&'static str],
    format: Format,
}

/// What each tool calls a type of spans, and MLflow.
type Kinds = &'static [(&'static str, &'static str)];

/// How a span's type is found.
enum Kind {
    /// In the first of these attributes that has one of these words.
    Of(&'static [&'static str], Kinds),
    Code(fn(&Span) -> Option<&'static str>),
}

/// How inputs or outputs are found, as JSON text.
enum Source {
    /// In the first of these attributes that says something; `#` is a number, and anything follows.
    Keys(&'static [&'static str]),
    Code(fn(&Span) -> Option<String>),
}

/// How token usage is found.
enum Usage {
    Keys(UsageKeys),
    Code(fn(&Span) -> Tokens),
}

/// Of each list the first attribute that there is.
struct UsageKeys {
    input: &'static [&'static str],
    output: &'static [&'static str],
    total: &'static [&'static str],
    cache_read: &'static [&'static str],
    cache_creation: &'static [&'static str],
}

/// How the pages are to read a span's messages.
enum Format {
    Unsaid,
    When(fn(&Span) -> bool, &'static str),
    /// Said with the inputs: not where the span has them already, in whatever format.
    WithInputs(fn(&Span) -> bool, &'static str),
}

/// Adds MLflow's attributes where a span has another convention's only.
pub fn translate(span: &mut Span) {
    let untyped = match span.attribute(key::SPAN_TYPE) {
        None | Some(Value::Null) => true,
        Some(kind) => kind.as_text() == Some("UNKNOWN"),
    };
    if untyped && let Some(kind) = CONVENTIONS.iter().find_map(|convention| convention.kind.of(span)) {
        span.set_attribute(key::SPAN_TYPE, &kind.into());
    }
    if span.attribute_json(key::INPUTS).is_none() {
        let (inputs, format) = inputs(span);
        set(span, key::INPUTS, |_| inputs);
        if let Some(format) = format {
            span.set_attribute(key::MESSAGE_FORMAT, &format.into());
        }
    }
    set(span, key::OUTPUTS, |span| {
        let said = CONVENTIONS.iter().find_map(|convention| convention.outputs.of(span));
        said.or_else(|| events::outputs(span))
    });
    set(span, key::USAGE, |span| CONVENTIONS.iter().find_map(|convention| convention.usage.of(span)));
    set(span, key::MESSAGE_FORMAT, |span| {
        CONVENTIONS.iter().find_map(|convention| convention.format.of(span))
    });
    set(span, key::CHAT_TOOLS, |span| first_of(span, |convention| convention.tools));
    set(span, key::MODEL, |span| {
        first_of(span, |convention| convention.models).or_else(|| model_of_request(span))
    });
    set(span, key::PROVIDER, |span| first_of(span, |convention| convention.providers));
}

/// Sets an attribute that the span lacks to what is found for it.
fn set(span: &mut Span, name: &str, find: impl FnOnce(&Span) -> Option<String>) {
    if span.attribute_json(name).is_none()
        && let Some(json) = find(span)
    {
        span.set_attribute_json(name, json);
    }
}

/// Inputs, and the format that is said with them.
fn inputs(span: &Span) -> (Option<String>, Option<&'static str>) {
    let mut said_format = None;
    for convention in &CONVENTIONS {
        if let Format::WithInputs(applies, format) = convention.format
            && applies(span)
        {
            said_format = Some(format);
        }
        if let Some(inputs) = convention.inputs.of(span) {
            return (Some(inputs), said_format);
        }
    }
    (events::inputs(span), said_format)
}

impl Kind {
    fn of(&self, span: &Span) -> Option<&'static str> {
        match self {
            Self::Of(keys, kinds) => keys.iter().find_map(|key| kind(&span.attribute_text(key)?, kinds)),
            Self::Code(find) => find(span),
        }
    }
}

fn kind(said: &str, kinds: Kinds) -> Option<&'static str> {
    kinds.iter().find(|(theirs, _)| *theirs == said).map(|(_, ours)| *ours)
}

impl Source {
    fn of(&self, span: &Span) -> Option<String> {
        match self {
            Self::Keys(keys) => first(span, keys),
            Self::Code(find) => find(span),
        }
    }
}

impl Format {
    fn of(&self, span: &Span) -> Option<String> {
        match self {
            Self::When(applies, format) if applies(span) => Some(Value::from(*format).to_json()),
            _ => None,
        }
    }
}

impl Usage {
    fn of(&self, span: &Span) -> Option<String> {
        let said = match self {
            Self::Keys(keys) => keys.of(span),
            Self::Code(find) => find(span),
        };
        let both = said.input.zip(said.output).map(|(input, output)| input.saturating_add(output));
        let total = said.total.or(both);
        said.input.or(said.output).or(total)?;
        let numbers = [
            (usage::INPUT, said.input),
            (usage::OUTPUT, said.output),
            (usage::TOTAL, total),
            (usage::CACHE_READ, said.cache_read),
            (usage::CACHE_CREATION, said.cache_creation),
        ];
        let entries =
            numbers.into_iter().filter_map(|(key, value)| Some((key.to_owned(), Value::Int(value?))));
        Some(Value::Map(entries.collect()).to_json())
    }
}

impl UsageKeys {
    fn of(&self, span: &Span) -> Tokens {
        let number =
            |keys: &[&str]| whole_number(span.attribute_json(keys.iter().find(|key| has(span, key))?)?);
        Tokens {
            input: number(self.input),
            output: number(self.output),
            total: number(self.total),
            cache_read: number(self.cache_read),
            cache_creation: number(self.cache_creation),
        }
    }
}

/// A count, perhaps as text; one with a fraction is none.
fn whole_number(json: &str) -> Option<i64> {
    match Value::parse(json)? {
        Value::Int(number) => Some(number),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn has(span: &Span, key: &str) -> bool {
    span.attribute_json(key).is_some()
}

/// The JSON text of an attribute that says something.
fn said<'s>(span: &'s Span, key: &str) -> Option<&'s str> {
    span.attribute_json(key).filter(|json| says_something(json))
}

/// Not null, false, zero or empty.
fn says_something(json: &str) -> bool {
    match json.trim_ascii() {
        "null" | "false" | "\"\"" => false,
        text => match text.as_bytes() {
            [b'[' | b'{', inner @ .., _] => !inner.trim_ascii().is_empty(),
            _ => !text.parse::<f64>().is_ok_and(|number| number == 0.0),
        },
    }
}

/// The first of these attributes that says something. Its text is taken as it is: whoever reads it
/// finds the sender's spacing.
fn first(span: &Span, keys: &[&str]) -> Option<String> {
    let of = |key: &&str| {
        if key.contains('#') {
            let mut names = span.attributes.iter().filter(|(name, _)| matches(key, name));
            return names.find(|(_, json)| says_something(json)).map(|(_, json)| json.as_str());
        }
        said(span, key)
    };
    keys.iter().find_map(of).map(str::to_owned)
}

fn first_of(span: &Span, keys: impl Fn(&Convention) -> &'static [&'static str]) -> Option<String> {
    CONVENTIONS.iter().find_map(|convention| first(span, keys(convention)))
}

/// Whether a name begins as the pattern says, each `#` being a number.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('#');
    let mut rest = parts.next().and_then(|part| name.strip_prefix(part));
    for part in parts {
        rest = rest.and_then(|rest| {
            let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            if after.len() < rest.len() { after.strip_prefix(part) } else { None }
        });
    }
    rest.is_some()
}

/// The model that a call's inputs name, or else its outputs.
fn model_of_request(span: &Span) -> Option<String> {
    let model =
        |name| Some(span.attribute(name)?.get("model")?.to_json()).filter(|json| says_something(json));
    let model = model(key::INPUTS).or_else(|| model(key::OUTPUTS))?;
    model.starts_with('"').then_some(model)
}

/// What JSON text says, and text that is none itself.
fn decoded(text: &str) -> Value {
    Value::parse(text).unwrap_or_else(|| text.into())
}

/// What a value says: of text, what is [`decoded`].
fn meant(value: Value) -> Value {
    match value {
        Value::Text(text) => decoded(&text),
        value => value,
    }
}
