//! The conventions that are translated, in MLflow's order: the first that says something counts.

use super::{
    Convention, Format, Kind, Kinds, Source, Usage, UsageKeys, claude_code, gemini_cli, livekit, vercel,
};
use crate::traces::span::Span;

/// A convention that says nothing.
const NOTHING: Convention = Convention {
    kind: Kind::Of(&[], &[]),
    inputs: Source::Keys(&[]),
    outputs: Source::Keys(&[]),
    usage: Usage::Keys(NO_USAGE),
    models: &[],
    providers: &[],
    tools: &[],
    format: Format::Unsaid,
};

const NO_USAGE: UsageKeys =
    UsageKeys { input: &[], output: &[], total: &[], cache_read: &[], cache_creation: &[] };

pub const OPERATION: &str = "gen_ai.operation.name";
/// OpenTelemetry's operations.
pub const OPERATIONS: Kinds = &[
    ("chat", "CHAT_MODEL"),
    ("create_agent", "AGENT"),
    ("embeddings", "EMBEDDING"),
    ("execute_tool", "TOOL"),
    ("generate_content", "LLM"),
    ("invoke_agent", "AGENT"),
    ("text_completion", "LLM"),
    ("response", "LLM"),
];
pub const MODEL: &str = "gen_ai.request.model";
pub const INPUT_KEYS: &[&str] = &["gen_ai.input.messages", "gen_ai.tool.call.arguments"];
pub const OUTPUT_KEYS: &[&str] = &["gen_ai.output.messages", "gen_ai.tool.call.result"];

/// OpenTelemetry's own, which some tools extend.
const GEN_AI: Convention = Convention {
    kind: Kind::Of(&[OPERATION], OPERATIONS),
    inputs: Source::Keys(INPUT_KEYS),
    outputs: Source::Keys(OUTPUT_KEYS),
    usage: Usage::Keys(UsageKeys {
        input: &["gen_ai.usage.input_tokens"],
        output: &["gen_ai.usage.output_tokens"],
        total: &[],
        cache_read: &["gen_ai.usage.cache_read.input_tokens"],
        cache_creation: &[
            "gen_ai.usage.cache_write.input_tokens",
            "gen_ai.usage.cache_creation.input_tokens",
        ],
    }),
    models: &["gen_ai.response.model", MODEL],
    providers: &["gen_ai.provider.name"],
    tools: &["gen_ai.tool.definitions"],
    format: Format::Unsaid,
};

// Spring AI says what OpenTelemetry's convention has, and the rest in events.
pub static CONVENTIONS: [Convention; 11] = [
    OPEN_INFERENCE,
    GEMINI_CLI,
    CLAUDE_CODE,
    GEN_AI,
    TRACELOOP,
    GOOGLE_ADK,
    VERCEL,
    VOLTAGENT,
    LIVEKIT,
    LAMINAR,
    LANGFUSE,
];

const OPEN_INFERENCE: Convention = Convention {
    kind: Kind::Of(
        &["openinference.span.kind"],
        &[
            ("TOOL", "TOOL"),
            ("CHAIN", "CHAIN"),
            ("LLM", "LLM"),
            ("RETRIEVER", "RETRIEVER"),
            ("EMBEDDING", "EMBEDDING"),
            ("AGENT", "AGENT"),
            ("RERANKER", "RERANKER"),
            ("UNKNOWN", "UNKNOWN"),
            ("GUARDRAIL", "GUARDRAIL"),
            ("EVALUATOR", "EVALUATOR"),
        ],
    ),
    inputs: Source::Keys(&["input.value"]),
    outputs: Source::Keys(&["output.value"]),
    usage: Usage::Keys(UsageKeys {
        input: &["llm.token_count.prompt"],
        output: &["llm.token_count.completion"],
        total: &["llm.token_count.total"],
        cache_read: &["llm.token_count.prompt_details.cache_read"],
        cache_creation: &["llm.token_count.prompt_details.cache_write"],
    }),
    models: &["llm.response.model_name", "llm.model_name", "llm.request.model_name", "embedding.model_name"],
    providers: &["llm.provider"],
    ..NOTHING
};

const GEMINI_CLI: Convention = Convention {
    kind: Kind::Code(gemini_cli::kind),
    inputs: Source::Code(gemini_cli::inputs),
    outputs: Source::Code(gemini_cli::outputs),
    format: Format::When(gemini_cli::speaks, "gemini"),
    ..GEN_AI
};

const CLAUDE_CODE: Convention = Convention {
    kind: Kind::Code(claude_code::kind),
    inputs: Source::Code(claude_code::inputs),
    outputs: Source::Code(claude_code::outputs),
    usage: Usage::Code(claude_code::tokens),
    ..NOTHING
};

const TRACELOOP: Convention = Convention {
    kind: Kind::Of(
        &["traceloop.span.kind"],
        &[
            ("workflow", "WORKFLOW"),
            ("task", "TASK"),
            ("agent", "AGENT"),
            ("tool", "TOOL"),
            ("unknown", "UNKNOWN"),
        ],
    ),
    inputs: Source::Keys(&[
        "traceloop.entity.input",
        "gen_ai.prompt.#.content",
        "gen_ai.completion.#.tool_calls.#.arguments",
    ]),
    outputs: Source::Keys(&["traceloop.entity.output", "gen_ai.completion.#.content"]),
    usage: Usage::Keys(UsageKeys {
        input: &["gen_ai.usage.prompt_tokens"],
        output: &["gen_ai.usage.completion_tokens"],
        total: &["llm.usage.total_tokens"],
        ..NO_USAGE
    }),
    providers: &["gen_ai.system"],
    ..NOTHING
};

const GOOGLE_ADK: Convention = Convention {
    inputs: Source::Keys(&["gcp.vertex.agent.llm_request", "gcp.vertex.agent.tool_call_args"]),
    outputs: Source::Keys(&["gcp.vertex.agent.llm_response", "gcp.vertex.agent.tool_response"]),
    ..NOTHING
};

const VERCEL: Convention = Convention {
    kind: Kind::Of(
        &[vercel::OPERATION],
        &[
            ("ai.generateText", "LLM"),
            ("ai.generateText.doGenerate", "LLM"),
            ("ai.toolCall", "TOOL"),
            ("ai.streamText", "LLM"),
            ("ai.streamText.doStream", "LLM"),
            ("ai.generateObject", "LLM"),
            ("ai.generateObject.doGenerate", "LLM"),
            ("ai.streamObject", "LLM"),
            ("ai.streamObject.doStream", "LLM"),
            ("ai.embed", "EMBEDDING"),
            ("ai.embed.doEmbed", "EMBEDDING"),
            ("ai.embedMany", "EMBEDDING"),
        ],
    ),
    inputs: Source::Code(vercel::inputs),
    outputs: Source::Code(vercel::outputs),
    format: Format::WithInputs(vercel::is_chat, "vercel_ai"),
    ..NOTHING
};

const VOLTAGENT: Convention = Convention {
    // What is below an agent has the agent's `entity.type` too.
    kind: Kind::Of(
        &["span.type", "entity.type"],
        &[("agent", "AGENT"), ("llm", "LLM"), ("tool", "TOOL"), ("memory", "MEMORY")],
    ),
    inputs: Source::Keys(&["agent.messages", "llm.messages", "input"]),
    outputs: Source::Keys(&["output"]),
    usage: Usage::Keys(UsageKeys {
        input: &["usage.prompt_tokens", "llm.usage.prompt_tokens"],
        output: &["usage.completion_tokens", "llm.usage.completion_tokens"],
        total: &["usage.total_tokens", "llm.usage.total_tokens"],
        ..NO_USAGE
    }),
    format: Format::When(
        |span| has_key(span, |key| matches!(key, "voltagent.operation_id" | "voltagent.conversation_id")),
        "voltagent",
    ),
    ..NOTHING
};

const LIVEKIT: Convention = Convention {
    kind: Kind::Code(livekit::kind),
    inputs: Source::Keys(&["lk.user_input", "lk.user_transcript", "lk.chat_ctx", "lk.input_text"]),
    outputs: Source::Keys(&["lk.response.text", "lk.response.function_calls"]),
    format: Format::When(|span| has_key(span, |key| key.starts_with("lk.")), "livekit"),
    ..NOTHING
};

const LAMINAR: Convention = Convention {
    kind: Kind::Of(
        &["lmnr.span.type"],
        &[
            ("LLM", "LLM"),
            ("TOOL", "TOOL"),
            ("DEFAULT", "CHAIN"),
            ("PIPELINE", "CHAIN"),
            ("EXECUTOR", "AGENT"),
            ("EVALUATOR", "EVALUATOR"),
            ("HUMAN_EVALUATOR", "EVALUATOR"),
            ("EVALUATION", "EVALUATOR"),
            ("CACHED", "LLM"),
        ],
    ),
    inputs: Source::Keys(&["lmnr.span.input"]),
    outputs: Source::Keys(&["lmnr.span.output"]),
    format: Format::When(|span| has_key(span, |key| key == "lmnr.span.type"), "openai"),
    ..NOTHING
};

const LANGFUSE: Convention = Convention {
    kind: Kind::Of(
        &["langfuse.observation.type"],
        &[
            ("generation", "LLM"),
            ("embedding", "EMBEDDING"),
            ("tool", "TOOL"),
            ("retriever", "RETRIEVER"),
            ("agent", "AGENT"),
            ("chain", "CHAIN"),
            ("evaluator", "EVALUATOR"),
            ("guardrail", "GUARDRAIL"),
            ("span", "UNKNOWN"),
        ],
    ),
    inputs: Source::Keys(&["langfuse.observation.input"]),
    outputs: Source::Keys(&["langfuse.observation.output"]),
    ..NOTHING
};

fn has_key(span: &Span, is: impl Fn(&str) -> bool) -> bool {
    span.attributes.iter().any(|(key, _)| is(key))
}
