//! What other tools call an input, a model or its token usage, in MLflow's words
//! (mlflow/tracing/otel/translation): OpenTelemetry's own conventions, OpenInference and Traceloop.

use super::{
    span::{Span, key},
    usage,
    value::Value,
};

struct Convention {
    kind: &'static str,
    kinds: &'static [(&'static str, &'static str)],
    input_tokens: &'static str,
    output_tokens: &'static str,
    total_tokens: Option<&'static str>,
    cache_read: &'static [&'static str],
    cache_creation: &'static [&'static str],
    inputs: &'static [&'static str],
    outputs: &'static [&'static str],
    models: &'static [&'static str],
    provider: &'static str,
}

static CONVENTIONS: [Convention; 3] = [
    Convention {
        kind: "openinference.span.kind",
        kinds: &[
            ("TOOL", "TOOL"),
            ("CHAIN", "CHAIN"),
            ("LLM", "LLM"),
            ("RETRIEVER", "RETRIEVER"),
            ("EMBEDDING", "EMBEDDING"),
            ("AGENT", "AGENT"),
            ("RERANKER", "RERANKER"),
            ("GUARDRAIL", "GUARDRAIL"),
            ("EVALUATOR", "EVALUATOR"),
        ],
        input_tokens: "llm.token_count.prompt",
        output_tokens: "llm.token_count.completion",
        total_tokens: Some("llm.token_count.total"),
        cache_read: &["llm.token_count.prompt_details.cache_read"],
        cache_creation: &["llm.token_count.prompt_details.cache_write"],
        inputs: &["input.value"],
        outputs: &["output.value"],
        models: &[
            "llm.response.model_name",
            "llm.model_name",
            "llm.request.model_name",
            "embedding.model_name",
        ],
        provider: "llm.provider",
    },
    Convention {
        kind: "gen_ai.operation.name",
        kinds: &[
            ("chat", "CHAT_MODEL"),
            ("create_agent", "AGENT"),
            ("embeddings", "EMBEDDING"),
            ("execute_tool", "TOOL"),
            ("generate_content", "LLM"),
            ("invoke_agent", "AGENT"),
            ("text_completion", "LLM"),
            ("response", "LLM"),
        ],
        input_tokens: "gen_ai.usage.input_tokens",
        output_tokens: "gen_ai.usage.output_tokens",
        total_tokens: None,
        cache_read: &["gen_ai.usage.cache_read.input_tokens"],
        cache_creation: &[
            "gen_ai.usage.cache_write.input_tokens",
            "gen_ai.usage.cache_creation.input_tokens",
        ],
        inputs: &["gen_ai.input.messages", "gen_ai.tool.call.arguments"],
        outputs: &["gen_ai.output.messages", "gen_ai.tool.call.result"],
        models: &["gen_ai.response.model", "gen_ai.request.model"],
        provider: "gen_ai.provider.name",
    },
    Convention {
        kind: "traceloop.span.kind",
        kinds: &[("workflow", "WORKFLOW"), ("task", "TASK"), ("agent", "AGENT"), ("tool", "TOOL")],
        input_tokens: "gen_ai.usage.prompt_tokens",
        output_tokens: "gen_ai.usage.completion_tokens",
        total_tokens: Some("llm.usage.total_tokens"),
        cache_read: &[],
        cache_creation: &[],
        inputs: &["traceloop.entity.input"],
        outputs: &["traceloop.entity.output"],
        models: &[],
        provider: "gen_ai.system",
    },
];

/// Adds MLflow's attributes where a span has another convention's only.
pub fn translate(span: &mut Span) {
    let untyped = span.attribute_text(key::SPAN_TYPE).is_none_or(|kind| kind == "UNKNOWN");
    if untyped && let Some(kind) = CONVENTIONS.iter().find_map(|convention| kind(span, convention)) {
        span.set_attribute(key::SPAN_TYPE, &kind.into());
    }
    let inputs = CONVENTIONS.iter().flat_map(|convention| convention.inputs);
    let outputs = CONVENTIONS.iter().flat_map(|convention| convention.outputs);
    let models = CONVENTIONS.iter().flat_map(|convention| convention.models);
    let providers = CONVENTIONS.iter().map(|convention| &convention.provider);
    let found = [
        (key::INPUTS, first(span, inputs).map(unfold)),
        (key::OUTPUTS, first(span, outputs).map(unfold)),
        (key::USAGE, CONVENTIONS.iter().find_map(|convention| token_usage(span, convention))),
        (key::MODEL, first(span, models).or_else(|| model_of_request(span))),
        (key::PROVIDER, first(span, providers)),
    ];
    for (name, value) in found {
        if let Some(value) = value
            && span.attribute_json(name).is_none()
        {
            span.set_attribute(name, &value);
        }
    }
}

fn kind(span: &Span, convention: &Convention) -> Option<&'static str> {
    let said = span.attribute_text(convention.kind)?;
    convention.kinds.iter().find(|(theirs, _)| *theirs == said).map(|(_, ours)| *ours)
}

/// The first of these attributes that says something.
fn first<'k>(span: &Span, keys: impl Iterator<Item = &'k &'k str>) -> Option<Value> {
    keys.filter_map(|key| span.attribute(key))
        .find(|value| !matches!(value, Value::Null) && value.as_text() != Some(""))
}

/// Text that is itself JSON of an object or a list stands for what it says.
fn unfold(value: Value) -> Value {
    match value.as_text().and_then(Value::parse) {
        Some(inner @ (Value::Map(_) | Value::List(_))) => inner,
        _ => value,
    }
}

fn token_usage(span: &Span, convention: &Convention) -> Option<Value> {
    let number = |key: &str| match span.attribute(key)? {
        Value::Text(text) => text.trim().parse().ok(),
        value => value.as_i64(),
    };
    let any = |keys: &[&str]| keys.iter().find_map(|key| number(key));
    let (input, output) = (number(convention.input_tokens), number(convention.output_tokens));
    let both = input.zip(output).map(|(input, output)| input.saturating_add(output));
    let total = convention.total_tokens.and_then(number).or(both);
    input.or(output).or(total)?;
    let said = [
        (usage::INPUT, input),
        (usage::OUTPUT, output),
        (usage::TOTAL, total),
        (usage::CACHE_READ, any(convention.cache_read)),
        (usage::CACHE_CREATION, any(convention.cache_creation)),
    ];
    let entries = said.into_iter().filter_map(|(key, value)| Some((key.to_owned(), Value::Int(value?))));
    Some(Value::Map(entries.collect()))
}

/// The model that a call's inputs or outputs name.
fn model_of_request(span: &Span) -> Option<Value> {
    [key::INPUTS, key::OUTPUTS].into_iter().find_map(|name| {
        let model = span.attribute(name)?.get("model")?.clone();
        matches!(&model, Value::Text(text) if !text.is_empty()).then_some(model)
    })
}
