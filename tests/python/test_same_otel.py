"""Spans that arrive at /v1/traces read back as MLflow's own server has them, whichever tool sent them."""

import math
import uuid

import mlflow
import pytest
import requests
from mlflow import MlflowClient

MESSAGES = '[{"role":"user","parts":[{"type":"text","content":"hi"}]}]'
MODEL = {"gen_ai.request.model": "m"}
USAGE = {"gen_ai.usage.input_tokens": 1, "gen_ai.usage.output_tokens": 2}
CHAT = {"gen_ai.operation.name": "chat"}
GEMINI = {"gen_ai.agent.name": "gemini-cli"}
DO_GENERATE = {"ai.operationId": "ai.generateText.doGenerate", "ai.prompt.messages": '[{"role":"user"}]'}
REQUEST = {"span.type": "llm_request", "input_tokens": 1, "output_tokens": 2}

# Attributes, then events as their name and attributes.
SPANS = {
    # MLflow's own names, sent as text.
    "objects": ({"mlflow.spanInputs": '{"q":1}', "mlflow.spanOutputs": '[{"o":2}]'},),
    "texts": ({"mlflow.spanInputs": '"q"', "mlflow.spanOutputs": "o", "mlflow.spanType": '"LLM"'},),
    "numbers": ({"mlflow.spanInputs": "5", "mlflow.spanOutputs": "true", "n": "null", "f": 1.5, "b": True},),
    "structures": ({"mlflow.spanInputs": {"a": '{"b":1}'}, "mlflow.spanOutputs": ["[1]"]},),
    "nested": ({"mlflow.spanInputs": '"{\\"a\\":1}"', "other": '"[1]"', "broken": '{"a":', "blank": ' {"a": 1} '},),
    "not finite": (
        {"mlflow.spanInputs": {"a": [math.inf, -math.inf]}, "mlflow.spanOutputs": '{"a":Infinity}'},
        ("e", {"a": math.inf, "b": "NaN"}),
    ),
    "usage": ({"mlflow.chat.tokenUsage": '{"input_tokens":1,"output_tokens":2,"total_tokens":3}'},),
    "chat preview": ({"mlflow.spanInputs": '{"messages":[{"role":"user","content":"hello"}]}'},),
    "session": ({"session.id": "s", "user.id": "u"},),
    "empty session": ({"session.id": "", "gen_ai.conversation.id": "c"},),
    "session of json": ({"gen_ai.conversation.id": '{"a":1}', "user.id": '"u"'},),
    "tags": ({"mlflow.traceTag.a": '"t"', "mlflow.traceTag.b": '{"b":1}', "mlflow.traceTag.c": "5"},),
    "known type": ({"mlflow.spanType": "TOOL", "langfuse.observation.type": "agent"},),
    "unknown type": ({"mlflow.spanType": "UNKNOWN", "langfuse.observation.type": "agent"},),
    # OpenTelemetry
    "model only": (MODEL,),
    "genai": (
        {
            **CHAT,
            **MODEL,
            **USAGE,
            "gen_ai.input.messages": MESSAGES,
            "gen_ai.output.messages": MESSAGES,
            "gen_ai.tool.definitions": '[{"type":"function","name":"t"}]',
            "gen_ai.provider.name": "p",
            "gen_ai.usage.cache_read.input_tokens": 1,
            "gen_ai.usage.cache_creation.input_tokens": 2,
        },
    ),
    "genai tool": (
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.call.arguments": '{"a":1}',
            "gen_ai.tool.call.result": "r",
        },
    ),
    "genai events": (
        CHAT,
        ("gen_ai.system.message", {"content": "be"}),
        ("gen_ai.user.message", {"content": '{"a":1}', "role": "user"}),
        ("gen_ai.assistant.message", {"content": "so"}),
        ("gen_ai.choice", {"index": 0, "message": '{"content":"yo"}'}),
        ("gen_ai.choice", {"content": "yo", "role": "model"}),
        ("gen_ai.choice", {"content": "yes"}),
    ),
    "model in inputs": ({"input.value": '{"model":"m"}', "output.value": '{"model":"o"}'},),
    "text usage": ({"gen_ai.usage.input_tokens": "3", "gen_ai.usage.output_tokens": " 4 "},),
    "fraction usage": ({"gen_ai.usage.input_tokens": 3.0, "gen_ai.usage.output_tokens": 4.5},),
    "half a usage": ({"gen_ai.usage.input_tokens": 3},),
    # OpenInference
    "openinference": (
        {
            "openinference.span.kind": "CHAIN",
            "input.value": '{"a":1}',
            "output.value": "plain",
            "llm.token_count.prompt": 1,
            "llm.token_count.completion": 2,
            "llm.token_count.total": 4,
            "llm.model_name": "m",
            "llm.provider": "p",
        },
    ),
    "openinference unknown": ({"openinference.span.kind": "UNKNOWN"},),
    "openinference empty": ({"openinference.span.kind": "LLM", "input.value": "", "llm.input": "x"},),
    # Traceloop
    "traceloop": (
        {"traceloop.span.kind": "workflow", "traceloop.entity.input": '{"a":1}', "traceloop.entity.output": "z"},
    ),
    "traceloop chat": (
        {
            "llm.request.type": "chat",
            "gen_ai.prompt.0.role": "user",
            "gen_ai.prompt.0.content": "x",
            "gen_ai.completion.0.content": '{"y":1}',
            "gen_ai.usage.prompt_tokens": 1,
            "gen_ai.usage.completion_tokens": 2,
            "llm.usage.total_tokens": 9,
            "gen_ai.system": "p",
            **MODEL,
        },
    ),
    "traceloop tool calls": (
        {"traceloop.span.kind": "unknown", "gen_ai.completion.0.tool_calls.10.arguments": '{"b":1}'},
    ),
    # Spring AI
    "spring": (
        CHAT,
        ("gen_ai.content.prompt", {"gen_ai.prompt": "p"}),
        ("gen_ai.content.completion", {"gen_ai.completion": '["c"]'}),
    ),
    "spring after attributes": (
        {"input.value": "i"},
        ("gen_ai.content.prompt", {"gen_ai.prompt": "p"}),
        ("gen_ai.user.message", {"content": "u"}),
    ),
    # Google's ADK
    "adk": ({"gcp.vertex.agent.llm_request": '{"a":1}', "gcp.vertex.agent.llm_response": '{"b":1}'},),
    "adk tool": ({"gcp.vertex.agent.tool_call_args": '{"a":1}', "gcp.vertex.agent.tool_response": "r"},),
    # Vercel's AI SDK
    "vercel": (
        {
            "ai.operationId": "ai.generateText",
            "ai.prompt": '{"messages":[{"role":"user","content":"p"}]}',
            "ai.response.text": "r",
        },
    ),
    "vercel call": (
        {
            **DO_GENERATE,
            **USAGE,
            "ai.prompt.tools": ['{"type":"function","name":"t"}'],
            "ai.response.text": "5",
            "ai.response.toolCalls": '[{"toolName":"t"}]',
        },
    ),
    "vercel call with inputs": ({**DO_GENERATE, "mlflow.spanInputs": '{"a":1}'},),
    "vercel call with a format": ({**DO_GENERATE, "mlflow.message.format": "openai"},),
    "vercel tool": ({"ai.operationId": "ai.toolCall", "ai.toolCall.args": '{"a":1}', "ai.toolCall.result": '{"b":1}'},),
    "vercel embed": ({"ai.operationId": "ai.embed", "ai.value": "v", "ai.embedding": "[0.5,1]"},),
    # VoltAgent
    "voltagent": (
        {
            "voltagent.operation_id": "x",
            "span.type": "llm",
            "entity.type": "agent",
            "llm.messages": MESSAGES,
            "output": "o",
            "usage.prompt_tokens": 1,
            "llm.usage.completion_tokens": 2,
        },
    ),
    "voltagent agent": ({"entity.type": "agent", "agent.messages": MESSAGES, "output": "o"},),
    # LiveKit
    "livekit": ({"lk.user_input": "a", "lk.response.text": "b"},),
    "livekit agent": ({"lk.agent_name": "n", "lk.chat_ctx": '{"items":[]}'},),
    "livekit tool": ({"lk.function_tool.id": "1", "lk.response.function_calls": "[1]"},),
    "livekit voice": ({"lk.tts.label": "t", "lk.input_text": "x"},),
    "livekit events": ({"lk.retry_count": 0}, ("gen_ai.user.message", {"content": "hi"})),
    # Laminar
    "laminar": ({"lmnr.span.type": "LLM", "lmnr.span.input": '{"a":1}', "lmnr.span.output": '"x"'},),
    "laminar default": ({"lmnr.span.type": "DEFAULT", "gen_ai.system": "p", **USAGE},),
    # Langfuse
    "langfuse": (
        {
            "langfuse.observation.type": "generation",
            "langfuse.observation.input": '{"a":1}',
            "langfuse.observation.output": "x",
        },
    ),
    "langfuse span": ({"langfuse.observation.type": "span"},),
    # Claude Code
    "claude request": (
        {
            **REQUEST,
            "cache_read_tokens": 10,
            "cache_creation_tokens": "100",
            "new_context": "x",
            "response.model_output": "o",
            "model": "c",
        },
    ),
    "claude redacted": ({**REQUEST, "new_context": "<REDACTED>"},),
    "claude interaction": ({"span.type": "claude_code.interaction", "user_prompt": "<REDACTED>", "new_context": "x"},),
    "claude tool": (
        {"span.type": "claude_code.tool", "full_command": "ls", "file_path": "<REDACTED>", "skill_name": '{"s":1}'},
        ("tool.output", {"output": "<REDACTED>", "content": '{"a":1}', "diff": "d"}),
    ),
    "claude tool input": (
        {"span.type": "tool", "tool_input": '{"a":1}', "full_command": "ls", "new_context": "o"},
        ("tool.output", {"output": "unread"}),
    ),
    # Gemini's command line
    "gemini": (
        {
            **GEMINI,
            **USAGE,
            "gen_ai.operation.name": "llm_call",
            "gen_ai.input.messages": MESSAGES,
            "gen_ai.output.messages": MESSAGES,
        },
    ),
    "gemini system prompt": ({**GEMINI, "gen_ai.operation.name": "system_prompt", "gen_ai.input.messages": MESSAGES},),
    "gemini text": ({**GEMINI, "gen_ai.input.messages": "hello", "gen_ai.output.messages": "[1]"},),
    "gemini wrapped": (
        {**GEMINI, "gen_ai.input.messages": '{"contents":1}', "gen_ai.output.messages": '{"candidates":[]}'},
    ),
}


def any_value(value):
    """A value as OTLP's JSON has it."""
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            special = {math.inf: "Infinity", -math.inf: "-Infinity"}
            return {"doubleValue": special.get(value, value)}
        case list():
            return {"arrayValue": {"values": [any_value(item) for item in value]}}
        case dict():
            return {"kvlistValue": {"values": key_values(value)}}
    return {"stringValue": value}


def key_values(entries):
    return [{"key": key, "value": any_value(value)} for key, value in entries.items()]


def kept(side, trace_id):
    """What there is of a trace of one span, but for its cost: MLflow has a list of prices."""
    trace = MlflowClient(tracking_uri=side.url).get_trace(trace_id)
    (span,) = trace.data.spans
    info = trace.info
    return {
        "attributes": {name: value for name, value in span.attributes.items() if name != "mlflow.llm.cost"},
        "events": [(event.name, event.attributes) for event in span.events],
        "span": (span.inputs, span.outputs, span.span_type),
        "previews": (info.request_preview, info.response_preview),
        "data": (trace.data.request, trace.data.response),
        "usage": info.token_usage,
        "who": [info.trace_metadata.get(f"mlflow.trace.{key}") for key in ("session", "user")],
        "tags": {key: value for key, value in info.tags.items() if not key.startswith("mlflow.")},
    }


def compare(both, attributes, events=(), source=None):
    """Sends both servers a trace of one span of this source, and compares what they have of it."""
    trace = uuid.uuid4().hex
    times = {"startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000250000000"}
    events = [
        {"name": event, "timeUnixNano": "1700000000000000001", "attributes": key_values(said)} for event, said in events
    ]
    span = {"traceId": trace, "spanId": "08" * 8, "name": "n", **times, "events": events}
    spans = [{"spans": [{**span, "attributes": key_values(attributes)}]}]
    body = {"resourceSpans": [{"resource": {"attributes": key_values(source or {})}, "scopeSpans": spans}]}
    both.same("POST", "experiments/create", {"name": "$unique"}, save={"experiment": "experiment_id"})
    found = []
    for side in (both.reference, both.subject):
        headers = {"x-mlflow-experiment-id": side.ids["experiment"]}
        answer = requests.post(f"{side.url}/v1/traces", json=body, headers=headers, timeout=60)
        assert answer.status_code == 200, answer.text
        found.append(kept(side, f"tr-{trace}"))
    assert found[1] == found[0]


@pytest.mark.parametrize("name", SPANS)
def test_spans(both, name):
    attributes, *events = SPANS[name]
    compare(both, attributes, events)


@pytest.mark.parametrize("service", ["gemini-cli", "codex_vscode", "my-app", "Gemini-CLI", 5, ["gemini-cli"]], ids=str)
def test_the_name_of_the_source(both, service):
    compare(both, {"service.name": "said by the span"}, source={"service.name": service, "service.version": "1"})


@pytest.mark.parametrize("text", ['{"score": 1}', '{"q":[1]}', "[1,2]", '"quoted"', "5", "true", "null", "plain", ""])
def test_text_of_the_client(both, text):
    both.same("POST", "experiments/create", {"name": "$unique"}, save={"experiment": "experiment_id"})

    @mlflow.trace
    def answer(question):
        mlflow.get_current_active_span().set_attribute("said", question)
        return question

    found, before = [], mlflow.get_tracking_uri()
    try:
        for side in (both.reference, both.subject):
            mlflow.set_tracking_uri(side.url)
            mlflow.set_experiment(experiment_id=side.ids["experiment"])
            answer(text)
            mlflow.flush_trace_async_logging()
            found.append(kept(side, mlflow.get_last_active_trace_id()))
    finally:
        mlflow.set_tracking_uri(before)
    for trace in found:
        del trace["attributes"]["mlflow.traceRequestId"]
    assert found[1] == found[0]
    assert found[1]["span"][1] == found[1]["attributes"]["said"]
