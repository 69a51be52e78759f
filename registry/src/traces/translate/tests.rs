use super::*;
use crate::traces::span::{Event, SpanStatus};
use proptest::prelude::*;

type Attributes<'a> = &'a [(&'a str, &'a str)];

fn span(attributes: Vec<(String, Value)>, events: Vec<Event>) -> Span {
    Span {
        trace: [1; 16],
        id: [2; 8],
        parent: None,
        name: "n".to_owned(),
        start_time_ns: 0,
        end_time_ns: 0,
        status: SpanStatus::Ok,
        status_message: String::new(),
        attributes: Span::json_attributes(attributes),
        events,
        links: Vec::new(),
    }
}

/// Values that are numbers in JSON come as numbers, all else as text.
fn values(attributes: Attributes) -> Vec<(String, Value)> {
    let value = |text: &str| match Value::parse(text) {
        Some(number @ (Value::Int(_) | Value::Double(_))) => number,
        _ => text.into(),
    };
    attributes.iter().map(|(key, text)| ((*key).to_owned(), value(text))).collect()
}

/// What translation adds or changes, as it is kept, without the beginnings of its names.
fn added(attributes: Attributes, events: &[(&str, Attributes)]) -> Vec<(String, String)> {
    let event = |(name, attributes): &(&str, Attributes)| Event {
        name: (*name).to_owned(),
        time_ns: 0,
        attributes: values(attributes),
    };
    let mut span = span(values(attributes), events.iter().map(event).collect());
    let before = span.attributes.clone();
    translate(&mut span);
    let new = span.attributes.into_iter().filter(|attribute| !before.contains(attribute));
    let mut new: Vec<_> =
        new.map(|(key, json)| (key.trim_start_matches("mlflow.").to_owned(), json)).collect();
    new.sort();
    new
}

fn check(cases: &[(Attributes, Attributes)]) {
    for (attributes, expected) in cases {
        let expected: Vec<_> = expected.iter().map(|(key, json)| ((*key).into(), (*json).into())).collect();
        assert_eq!(added(attributes, &[]), expected, "{attributes:?}");
    }
}

const MESSAGES: &str = r#"[{"role":"user","parts":[{"text":"hi"}]}]"#;

#[test]
fn attributes_of_opentelemetry_openinference_and_traceloop() {
    check(&[
        (&[("a", "b")], &[]),
        (&[("openinference.span.kind", "UNKNOWN")], &[("spanType", r#""UNKNOWN""#)]),
        (
            &[("openinference.span.kind", "CHAIN"), ("input.value", r#"{"a":1}"#), ("output.value", "plain")],
            &[("spanInputs", r#"{"a":1}"#), ("spanOutputs", r#""plain""#), ("spanType", r#""CHAIN""#)],
        ),
        (
            &[("gen_ai.operation.name", "chat"), ("gen_ai.tool.definitions", r#"[{"name":"t"}]"#)],
            &[("chat.tools", r#"[{"name":"t"}]"#), ("spanType", r#""CHAT_MODEL""#)],
        ),
        // What says nothing does not count.
        (&[("input.value", ""), ("gen_ai.input.messages", "[]"), ("traceloop.entity.input", "{ }")], &[]),
        (&[("gen_ai.request.model", "m")], &[("llm.model", r#""m""#), ("spanType", r#""LLM""#)]),
        (
            &[("input.value", r#"{"model":"m"}"#), ("output.value", r#"{"model":"o"}"#)],
            &[
                ("llm.model", r#""m""#),
                ("spanInputs", r#"{"model":"m"}"#),
                ("spanOutputs", r#"{"model":"o"}"#),
            ],
        ),
        (
            &[
                ("llm.request.type", "chat"),
                ("gen_ai.prompt.x.content", "no"),
                ("gen_ai.prompt.0.role", "user"),
                ("gen_ai.prompt.12.content", "x"),
                ("gen_ai.completion.0.content", ""),
                ("gen_ai.completion.1.content", "y"),
                ("gen_ai.usage.prompt_tokens", "1"),
            ],
            &[
                ("chat.tokenUsage", r#"{"input_tokens": 1}"#),
                ("spanInputs", r#""x""#),
                ("spanOutputs", r#""y""#),
            ],
        ),
        (
            &[("traceloop.span.kind", "task"), ("gen_ai.completion.0.tool_calls.1.arguments", r#"{"b":1}"#)],
            &[("spanInputs", r#"{"b":1}"#), ("spanType", r#""TASK""#)],
        ),
    ]);
}

#[test]
fn attributes_of_frameworks() {
    check(&[
        (
            &[("gcp.vertex.agent.llm_request", r#"{"a":1}"#), ("gcp.vertex.agent.tool_response", "r")],
            &[("spanInputs", r#"{"a":1}"#), ("spanOutputs", r#""r""#)],
        ),
        (
            &[("ai.operationId", "ai.generateText"), ("ai.prompt", r#"{"p":1}"#), ("ai.response.text", "r")],
            &[("spanInputs", r#"{"p":1}"#), ("spanOutputs", r#""r""#), ("spanType", r#""LLM""#)],
        ),
        (
            &[
                ("ai.operationId", "ai.generateText.doGenerate"),
                ("ai.prompt.messages", r#"[{"role":"user"}]"#),
                ("ai.prompt.tools", r#"["{\"name\":\"t\"}", 1]"#),
                ("ai.response.text", "5"),
            ],
            &[
                ("message.format", r#""vercel_ai""#),
                ("spanInputs", r#"{"messages": [{"role": "user"}], "tools": [{"name": "t"}, 1]}"#),
                ("spanOutputs", r#"{"text": 5}"#),
                ("spanType", r#""LLM""#),
            ],
        ),
        // The format goes with the inputs.
        (
            &[("ai.operationId", "ai.streamText.doStream"), ("mlflow.spanInputs", "{}")],
            &[("spanType", r#""LLM""#)],
        ),
    ]);
}

#[test]
fn attributes_of_agents() {
    check(&[
        (
            &[
                ("entity.type", "agent"),
                ("span.type", "memory"),
                ("voltagent.operation_id", "o"),
                ("input", "i"),
            ],
            &[("message.format", r#""voltagent""#), ("spanInputs", r#""i""#), ("spanType", r#""MEMORY""#)],
        ),
        (
            &[("llm.usage.prompt_tokens", "2"), ("usage.completion_tokens", "3"), ("output", "o")],
            &[
                ("chat.tokenUsage", r#"{"input_tokens": 2, "output_tokens": 3, "total_tokens": 5}"#),
                ("spanOutputs", r#""o""#),
            ],
        ),
        (
            &[("lk.user_transcript", "a"), ("lk.response.text", "b"), ("lk.agent_name", "n")],
            &[
                ("message.format", r#""livekit""#),
                ("spanInputs", r#""a""#),
                ("spanOutputs", r#""b""#),
                ("spanType", r#""UNKNOWN""#),
            ],
        ),
        (
            &[("lk.function_tool.id", "1"), ("gen_ai.operation.name", "Chat")],
            &[("message.format", r#""livekit""#), ("spanType", r#""CHAT_MODEL""#)],
        ),
        (
            &[("lmnr.span.type", "EXECUTOR"), ("lmnr.span.input", "[1]"), ("lmnr.span.output", r#""x""#)],
            &[
                ("message.format", r#""openai""#),
                ("spanInputs", "[1]"),
                ("spanOutputs", r#""x""#),
                ("spanType", r#""AGENT""#),
            ],
        ),
        (
            &[("langfuse.observation.type", "generation"), ("langfuse.observation.input", r#"{"a":1}"#)],
            &[("spanInputs", r#"{"a":1}"#), ("spanType", r#""LLM""#)],
        ),
    ]);
}

#[test]
fn attributes_of_command_lines() {
    check(&[
        (
            &[
                ("span.type", "llm_request"),
                ("input_tokens", "1"),
                ("output_tokens", "2"),
                ("cache_read_tokens", "10"),
                ("cache_creation_tokens", "100"),
                ("new_context", "<REDACTED>"),
                ("response.model_output", "r"),
            ],
            &[
                (
                    "chat.tokenUsage",
                    "{\"input_tokens\": 111, \"output_tokens\": 2, \"total_tokens\": 113, \
                     \"cache_read_input_tokens\": 10, \"cache_creation_input_tokens\": 100}",
                ),
                ("spanOutputs", r#""r""#),
                ("spanType", r#""LLM""#),
            ],
        ),
        (
            &[("span.type", "claude_code.interaction"), ("user_prompt", "<REDACTED>"), ("new_context", "c")],
            &[("spanInputs", r#""c""#), ("spanType", r#""AGENT""#)],
        ),
        (
            &[("span.type", "claude_code.tool"), ("full_command", "ls"), ("file_path", "<REDACTED>")],
            &[("spanInputs", r#"{"full_command": "ls"}"#), ("spanType", r#""TOOL""#)],
        ),
        (&[("span.type", "claude_code.hook"), ("input_tokens", "1")], &[]),
        (
            &[
                ("gen_ai.agent.name", "gemini-cli"),
                ("gen_ai.operation.name", "llm_call"),
                ("gen_ai.input.messages", "hello"),
                ("gen_ai.output.messages", MESSAGES),
            ],
            &[
                ("message.format", r#""gemini""#),
                ("spanInputs", r#"{"contents": "hello"}"#),
                (
                    "spanOutputs",
                    r#"{"candidates": [{"content": {"role": "model", "parts": [{"text": "hi"}]}}]}"#,
                ),
                ("spanType", r#""LLM""#),
            ],
        ),
        (
            &[("gen_ai.agent.name", "gemini-cli"), ("gen_ai.input.messages", r#"{"contents":1}"#)],
            &[("message.format", r#""gemini""#), ("spanInputs", r#"{"contents":1}"#)],
        ),
    ]);
}

#[test]
fn what_is_said_is_kept() {
    check(&[
        (&[("mlflow.spanType", "TOOL"), ("langfuse.observation.type", "agent")], &[]),
        (
            &[("mlflow.spanType", "UNKNOWN"), ("langfuse.observation.type", "agent")],
            &[("spanType", r#""AGENT""#)],
        ),
        (&[("mlflow.spanInputs", ""), ("input.value", "x")], &[]),
        (&[("mlflow.chat.tokenUsage", "{}"), ("llm.token_count.prompt", "1")], &[]),
    ]);
}

#[test]
fn token_usage_is_whole_numbers() {
    let usage = r#"{"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}"#;
    let said = |input, output| {
        added(&[("gen_ai.usage.input_tokens", input), ("gen_ai.usage.output_tokens", output)], &[])
    };
    assert_eq!(said("3", "4"), [("chat.tokenUsage".to_owned(), usage.to_owned())]);
    assert_eq!(said(r#""3""#, r#"" 4 ""#), [("chat.tokenUsage".to_owned(), usage.to_owned())]);
    assert_eq!(said("3.0", "many"), []);
    assert_eq!(said("9223372036854775807", "1")[0].1.matches("9223372036854775807").count(), 2);
}

#[test]
fn content_of_events() {
    let spring: &[(&str, Attributes)] = &[
        ("gen_ai.content.prompt", &[("gen_ai.prompt", "")]),
        ("gen_ai.content.prompt", &[("gen_ai.prompt", "p")]),
        ("gen_ai.content.completion", &[("gen_ai.completion", r#"["c"]"#)]),
        ("gen_ai.user.message", &[("content", "unread")]),
    ];
    let found = |inputs: &str, outputs: &str| {
        [("spanInputs", inputs), ("spanOutputs", outputs)]
            .map(|(key, json)| (key.to_owned(), json.to_owned()))
    };
    assert_eq!(added(&[], spring), found("p", r#"["c"]"#));

    let messages: &[(&str, Attributes)] = &[
        ("gen_ai.system.message", &[("content", "be")]),
        ("gen_ai.user.message", &[("content", r#"{"a":1}"#), ("role", "ignored")]),
        ("gen_ai.user.message", &[("content", "")]),
        ("gen_ai.choice", &[("message", "unread")]),
        ("gen_ai.choice", &[("content", "yo")]),
        ("gen_ai.choice", &[("content", "so"), ("role", "model")]),
    ];
    let inputs = r#"[{"role": "system", "content": "be"}, {"role": "user", "content": {"a": 1}}]"#;
    let outputs = r#"[{"role": "assistant", "content": "yo"}, {"role": "model", "content": "so"}]"#;
    assert_eq!(added(&[], messages), found(inputs, outputs));
    // Attributes come first.
    assert_eq!(added(&[("input.value", "i"), ("output.value", "o")], messages), found(r#""i""#, r#""o""#));

    let tool: &[(&str, Attributes)] =
        &[("tool.output", &[("output", "<REDACTED>"), ("content", "[1,2]"), ("diff", "d")])];
    assert_eq!(added(&[("span.type", "tool"), ("input", "i")], tool)[..2], found(r#""i""#, "[1, 2]"));
    assert_eq!(added(&[], tool), []);
}

fn any_key() -> impl Strategy<Value = String> {
    const KEYS: [&str; 12] = [
        "ai.operationId",
        "ai.prompt.tools",
        "span.type",
        "tool_input",
        "input_tokens",
        "gen_ai.agent.name",
        "gen_ai.operation.name",
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.prompt.0.content",
        "lk.tts",
        "mlflow.spanInputs",
    ];
    prop_oneof![proptest::sample::select(&KEYS).prop_map(str::to_owned), "\\PC{0,10}"]
}

fn any_json() -> impl Strategy<Value = String> {
    const WORDS: [&str; 7] =
        ["ai.streamText.doStream", "llm_request", "tool", "gemini-cli", "[\"{\"]", "[[", "{\"parts\":[1]}"];
    prop_oneof![proptest::sample::select(&WORDS).prop_map(str::to_owned), "[\\[\\]{}\":,0-9a]{0,12}"]
}

proptest! {
    #[test]
    fn anything_is_translated(attributes in proptest::collection::vec((any_key(), any_json()), 0..8)) {
        let attributes = attributes.into_iter().map(|(key, text)| (key, text.into())).collect();
        let mut translated = span(attributes, Vec::new());
        translate(&mut translated);
        let once = translated.clone();
        translate(&mut translated);
        let sorted = |mut span: Span| { span.attributes.sort(); span.attributes };
        prop_assert_eq!(sorted(translated), sorted(once));
    }
}
