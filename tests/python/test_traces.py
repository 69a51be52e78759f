"""Tracing with MLflow's client and OpenTelemetry's exporter as they come from PyPI, on every backend."""

import gzip
import json
import uuid

import mlflow
import pytest
import requests
from mlflow.entities import AssessmentSource, AssessmentSourceType, SpanType, TraceState
from mlflow.exceptions import MlflowException
from mlflow.tracing.client import TracingClient
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

HUMAN = AssessmentSource(source_type=AssessmentSourceType.HUMAN, source_id="ada")


@pytest.fixture
def experiment(any_server):
    mlflow.set_tracking_uri(any_server.url)
    experiment = mlflow.set_experiment(f"traces-{uuid.uuid4().hex}")
    yield experiment.experiment_id
    mlflow.flush_trace_async_logging()


@mlflow.trace(span_type=SpanType.TOOL)
def look_up(word):
    return {"word": word, "meaning": f"what {word} means"}


@mlflow.trace(name="answer", attributes={"team": "blue"})
def answer(question):
    with mlflow.start_span("think", span_type=SpanType.LLM) as span:
        span.set_inputs({"messages": [{"role": "user", "content": question}]})
        span.set_attribute("mlflow.chat.tokenUsage", {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7})
        span.set_outputs("42")
    return look_up("answer")


def trace_of(call, *arguments):
    call(*arguments)
    mlflow.flush_trace_async_logging()
    return mlflow.get_trace(mlflow.get_last_active_trace_id())


def ids(traces):
    return [trace.info.trace_id for trace in traces]


def test_a_decorated_call_comes_back_whole(any_server, experiment):
    trace = trace_of(answer, "why?")
    assert trace.info.state == TraceState.OK
    assert trace.info.experiment_id == experiment
    assert trace.info.tags["mlflow.traceName"] == "answer"
    assert trace.info.tags["mlflow.trace.spansLocation"] == "TRACKING_STORE"
    assert json.loads(trace.info.request_preview) == {"question": "why?"}
    assert trace.info.token_usage == {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    root, think, tool = sorted(trace.data.spans, key=lambda span: span.start_time_ns)
    assert (root.name, think.name, tool.name) == ("answer", "think", "look_up")
    assert root.parent_id is None and think.parent_id == tool.parent_id == root.span_id
    assert root.inputs == {"question": "why?"} and root.outputs == {"word": "answer", "meaning": "what answer means"}
    assert (think.span_type, tool.span_type) == ("LLM", "TOOL")
    assert root.get_attribute("team") == "blue"
    file = requests.get(
        f"{any_server.url}/ajax-api/3.0/mlflow/get-trace-artifact", params={"request_id": trace.info.trace_id}
    )
    assert [span["name"] for span in file.json()["spans"]][0] == "answer"
    assert file.headers["content-disposition"] == "attachment; filename=traces.json"


def test_without_the_client_waiting_and_with(experiment, monkeypatch):
    for name in ("true", "false"):
        monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_TRACE_LOGGING", name)
        mlflow.tracing.reset()
        with mlflow.start_span(name="sync" if name == "false" else "async"):
            pass
        mlflow.flush_trace_async_logging()
    monkeypatch.undo()
    mlflow.tracing.reset()
    found = mlflow.search_traces(locations=[experiment], return_type="list")
    assert sorted(trace.info.tags["mlflow.traceName"] for trace in found) == ["async", "sync"]


def test_a_call_that_fails_says_so(experiment):
    @mlflow.trace
    def fail():
        raise ValueError("no such answer")

    with pytest.raises(ValueError):
        fail()
    mlflow.flush_trace_async_logging()
    (trace,) = mlflow.search_traces(locations=[experiment], filter_string="status = 'ERROR'", return_type="list")
    (span,) = trace.data.spans
    assert span.status.status_code.value == "ERROR" and "no such answer" in span.status.description
    (event,) = span.events
    assert event.name == "exception" and event.attributes["exception.message"] == "no such answer"


def test_search(experiment):
    for number in range(5):
        with mlflow.start_span(f"call {number}") as span:
            span.set_attribute("fruit", "apple" if number % 2 else "pear")
            mlflow.update_current_trace(
                tags={"parity": "odd" if number % 2 else "even"}, metadata={"mlflow.trace.session": f"s{number // 3}"}
            )
        mlflow.flush_trace_async_logging()

    def names(text, **options):
        found = mlflow.search_traces(locations=[experiment], filter_string=text, return_type="list", **options)
        return sorted(trace.info.tags["mlflow.traceName"][-1] for trace in found)

    for text, expected in [
        ("tags.parity = 'odd'", "13"),
        ("tags.parity != 'odd' AND name LIKE 'call%'", "024"),
        ("name = 'call 3'", "3"),
        ("name RLIKE '[34]$'", "34"),
        ("metadata.`mlflow.trace.session` = 's1'", "34"),
        ("span.name = 'call 2'", "2"),
        ("span.attributes.fruit = 'apple'", "13"),
        ("span.attributes.`fruit` LIKE '%pear%'", "024"),
        ("trace.text LIKE '%apple%'", "13"),
        ("timestamp_ms > 0 AND execution_time_ms >= 0 AND status = 'OK'", "01234"),
        ("tags.missing IS NULL AND tags.parity IS NOT NULL", "01234"),
        ("tags.parity = 'x'", ""),
    ]:
        assert names(text) == list(expected), text
    client = mlflow.MlflowClient()
    pages, token = [], None
    while True:
        page = client.search_traces(
            locations=[experiment], max_results=2, order_by=["timestamp_ms ASC"], page_token=token
        )
        pages.append([trace.info.tags["mlflow.traceName"][-1] for trace in page])
        if not (token := page.token):
            break
    assert pages == [["0", "1"], ["2", "3"], ["4"]]
    with pytest.raises(MlflowException, match="column 6 of filter"):
        names("name ~ 'x'")


def test_feedback_and_expectations(experiment):
    trace_id = trace_of(answer, "good?").info.trace_id
    first = mlflow.log_feedback(trace_id=trace_id, name="good", value=False, source=HUMAN, rationale="too short")
    better = mlflow.override_feedback(trace_id=trace_id, assessment_id=first.assessment_id, value=True, source=HUMAN)
    mlflow.log_feedback(trace_id=trace_id, name="score", value=0.9, metadata={"judge": "j"}, rationale="why" * 99_999)
    mlflow.log_expectation(trace_id=trace_id, name="answer", value={"number": 42, "unit": ["none"]}, source=HUMAN)
    mlflow.log_feedback(trace_id=trace_id, name="broken", error=RuntimeError("rate limit"))
    said = {item.assessment_id: item for item in mlflow.get_trace(trace_id).info.assessments}
    assert len(said) == 5
    assert said[first.assessment_id].valid is False and said[first.assessment_id].rationale == "too short"
    assert said[better.assessment_id].valid and said[better.assessment_id].overrides == first.assessment_id
    by_name = {item.name: item for item in said.values() if item.valid is not False}
    assert by_name["answer"].expectation.value == {"number": 42, "unit": ["none"]}
    assert by_name["score"].rationale == "why" * 99_999, "a model that judges writes long"
    assert by_name["score"].feedback.value == 0.9 and by_name["score"].metadata == {"judge": "j"}
    assert "rate limit" in by_name["broken"].feedback.error.error_message

    def count(text):
        return len(mlflow.search_traces(locations=[experiment], filter_string=text, return_type="list"))

    assert count("feedback.good = 'true'") == 1 and count("feedback.good = 'false'") == 0
    assert count("feedback.score > 0.8") == 1 and count("feedback.score > 0.95") == 0
    assert count("expectation.answer IS NOT NULL") == 1 and count("feedback.other IS NULL") == 1

    mlflow.delete_assessment(trace_id=trace_id, assessment_id=better.assessment_id)
    assert mlflow.get_assessment(trace_id, first.assessment_id).valid
    updated = mlflow.update_assessment(
        trace_id=trace_id,
        assessment_id=by_name["score"].assessment_id,
        assessment=mlflow.entities.Feedback(name="score", value=0.1, rationale="looked again"),
    )
    assert (updated.feedback.value, updated.rationale, updated.metadata) == (0.1, "looked again", {"judge": "j"})


def test_feedback_on_a_session_counts_for_its_traces(experiment):
    for _ in range(3):
        with mlflow.start_span("turn"):
            mlflow.update_current_trace(metadata={"mlflow.trace.session": "talk"})
    mlflow.flush_trace_async_logging()
    first, *_ = ids(mlflow.search_traces(locations=[experiment], return_type="list"))
    mlflow.log_feedback(trace_id=first, name="kind", value="yes", metadata={"mlflow.trace.session": "talk"})
    assert len(mlflow.search_traces(locations=[experiment], filter_string="feedback.kind = 'yes'")) == 3


def test_tags_are_set_and_deleted(experiment):
    trace_id = trace_of(answer, "tag?").info.trace_id
    mlflow.set_trace_tag(trace_id, "colour", "rød")
    assert mlflow.get_trace(trace_id).info.tags["colour"] == "rød"
    mlflow.delete_trace_tag(trace_id, "colour")
    assert "colour" not in mlflow.get_trace(trace_id).info.tags
    with pytest.raises(MlflowException, match="No trace tag with key 'colour'"):
        mlflow.delete_trace_tag(trace_id, "colour")


def test_traces_are_deleted(experiment):
    made = [trace_of(answer, str(number)).info.trace_id for number in range(4)]
    client = mlflow.MlflowClient()
    assert client.delete_traces(experiment, trace_ids=made[:1]) == 1
    assert client.delete_traces(experiment, max_timestamp_millis=10**13, max_traces=1) == 1
    assert sorted(ids(mlflow.search_traces(locations=[experiment], return_type="list"))) == sorted(made[2:])
    assert client.delete_traces(experiment, max_timestamp_millis=10**13) == 2
    assert mlflow.get_trace(made[3]) is None


def test_traces_belong_to_the_run_in_which_they_are_made(experiment):
    with mlflow.start_run() as run:
        inside = trace_of(answer, "inside").info.trace_id
    outside = trace_of(answer, "outside").info.trace_id
    trace_of(answer, "elsewhere")
    mlflow.MlflowClient().link_traces_to_run([outside], run.info.run_id)
    found = mlflow.search_traces(locations=[experiment], run_id=run.info.run_id, return_type="list")
    assert sorted(ids(found)) == sorted([inside, outside])


def test_prompts_that_a_trace_used(experiment):
    name = f"greeting-{uuid.uuid4().hex[:8]}"
    mlflow.genai.register_prompt(name=name, template="Say {{what}}")
    with mlflow.start_span("greet"):
        mlflow.genai.load_prompt(f"prompts:/{name}/1").format(what="hello")
    mlflow.flush_trace_async_logging()
    trace_of(answer, "without")
    found = mlflow.search_traces(locations=[experiment], filter_string=f"prompt = '{name}/1'", return_type="list")
    assert [trace.info.tags["mlflow.traceName"] for trace in found] == ["greet"]


def test_spans_that_a_client_keeps_as_a_file(any_server, experiment):
    """What a client does that cannot send spans: the file goes through the artifact proxy."""
    trace = trace_of(answer, "file?")
    client = TracingClient(any_server.url)
    info = mlflow.entities.TraceInfo(
        trace_id=f"tr-{uuid.uuid4().hex}",
        trace_location=trace.info.trace_location,
        request_time=1000,
        execution_duration=5,
        state=TraceState.OK,
        tags={"mlflow.trace.spansLocation": "ARTIFACT_REPO"},
    )
    kept = client.start_trace(info)
    client._upload_trace_data(kept, trace.data)
    assert len(mlflow.get_trace(kept.trace_id).data.spans) == 3
    url = f"{any_server.url}/ajax-api/2.0/mlflow/get-trace-artifact"
    assert len(requests.get(url, params={"request_id": kept.trace_id}).json()["spans"]) == 3


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip, Compression.Deflate])
def test_an_exporter_of_opentelemetry(any_server, experiment, compression):
    run = mlflow.MlflowClient().create_run(experiment)
    headers = {"x-mlflow-experiment-id": experiment, "x-mlflow-run-id": run.info.run_id}
    exporter = OTLPSpanExporter(f"{any_server.url}/v1/traces", headers=headers, compression=compression)
    provider = TracerProvider(resource=Resource({"service.name": "shop", "service.version": "7"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("order") as root:
        root.set_attributes({"session.id": "basket 9", "user.id": "ada", "count": 3, "ok": True, "list": ["a", "b"]})
        with tracer.start_as_current_span("ask") as span:
            span.set_attributes(
                {
                    "gen_ai.operation.name": "chat",
                    "gen_ai.request.model": "m-1",
                    "gen_ai.provider.name": "p",
                    "gen_ai.usage.input_tokens": 5,
                    "gen_ai.usage.output_tokens": 6,
                    "gen_ai.input.messages": '[{"role": "user", "content": "hi"}]',
                }
            )
            span.add_event("thought", {"depth": 2})
    provider.shutdown()
    (trace,) = mlflow.search_traces(locations=[experiment], run_id=run.info.run_id, return_type="list")
    assert trace.info.state == TraceState.OK
    assert trace.info.tags["service.name"] == "shop" and trace.info.tags["service.version"] == "7"
    assert trace.info.trace_metadata["mlflow.trace.session"] == "basket 9"
    assert trace.info.trace_metadata["mlflow.trace.user"] == "ada"
    assert trace.info.token_usage == {"input_tokens": 5, "output_tokens": 6, "total_tokens": 11}
    order, ask = trace.data.spans
    assert (order.name, ask.parent_id, ask.span_type, ask.model_name) == ("order", order.span_id, "CHAT_MODEL", "m-1")
    assert order.get_attribute("list") == ["a", "b"] and order.get_attribute("count") == 3
    assert ask.inputs == [{"role": "user", "content": "hi"}]
    assert ask.events[0].name == "thought" and ask.events[0].attributes == {"depth": 2}


def test_spans_in_json(any_server, experiment):
    span = {
        "traceId": uuid.uuid4().hex,
        "spanId": "00f067aa0ba902b7",
        "name": "json",
        "kind": 1,
        "startTimeUnixNano": "1700000000000000000",
        "endTimeUnixNano": "1700000000250000000",
        "attributes": [{"key": "a", "value": {"intValue": "7"}}],
        "status": {"code": 2, "message": "bad"},
    }
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
    headers = {"content-type": "application/json", "x-mlflow-experiment-id": experiment}
    url = f"{any_server.url}/v1/traces"
    assert requests.post(url, data=body, headers=headers).status_code == 200
    headers["content-encoding"] = "gzip"
    assert requests.post(url, data=gzip.compress(body), headers=headers).status_code == 200
    trace = mlflow.get_trace(f"tr-{span['traceId']}")
    assert (trace.info.state, trace.info.execution_duration, len(trace.data.spans)) == (TraceState.ERROR, 250, 1)
    assert trace.data.spans[0].get_attribute("a") == 7
