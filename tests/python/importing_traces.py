"""Traces of every shape for a server from which an import is taken, and what its client sees of them. Servers before
3.0 know one shape."""

import json
import re

import mlflow
import requests
from mlflow.entities import SpanEvent

NEW_CLIENT = int(mlflow.__version__.split(".")[0]) >= 3
ATTACHMENT = re.compile(r"mlflow-attachment://([\w-]+)")


def fill(client, experiment_id, run_id):
    """Leaves traces of runs, of errors, with what people and judges said of them; the ids by name."""
    if not NEW_CLIENT:
        return {"old": of_version_2(client, experiment_id)}
    mlflow.set_experiment(experiment_id=experiment_id)
    with mlflow.start_run(run_name="traced"):
        ids = {"nested": nested(), "failed": failed()}
    ids["plain"] = traced("plain", {"q": "é" * 2_000, "n": [1, 2.5, None, True]})
    ids["linked"] = traced("linked", "of another run")
    client.link_traces_to_run([ids["linked"], ids["nested"]], run_id)
    ids["prompted"] = prompted()
    ids["attached"] = attached()
    mlflow.flush_trace_async_logging()
    judged(ids["nested"])
    ids["in_a_file"] = in_a_file(client, ids["plain"])
    client.set_trace_tag(ids["nested"], "reviewed by", "ada & ünï")
    client.set_trace_tag(ids["nested"], "long", "y" * 4_000)
    return ids


def nested():
    with mlflow.start_span("agent", span_type="AGENT", attributes={"budget": 1.5, "note": 'ünï\n"quoted"'}) as root:
        root.set_inputs({"messages": [{"role": "user", "content": "what is 2 + 2?"}]})
        for step in range(3):
            with mlflow.start_span(f"step {step}", span_type="CHAIN") as chain:
                chain.set_inputs(step)
                with mlflow.start_span("model", span_type="CHAT_MODEL") as model:
                    usage = {"input_tokens": 5 + step, "output_tokens": 7, "total_tokens": 12 + step}
                    model.set_attribute("mlflow.chat.tokenUsage", usage)
                    model.set_attribute("mlflow.llm.model", "gpt-4o-mini")
                    model.add_event(SpanEvent("sent", attributes={"bytes": 2**40, "share": 0.1, "host": "é"}))
        root.set_outputs({"answer": 4, "big": 2**53 + 1})
        mlflow.update_current_trace(
            tags={"team": "blue"},
            metadata={"mlflow.trace.session": "talk-1", "mlflow.trace.user": "bob"},
            client_request_id="request-1",
        )
    return root.trace_id


def failed():
    try:
        with mlflow.start_span("fails", span_type="TOOL") as root, mlflow.start_span("inside"):
            raise ValueError("no such tool: ünï")
    except ValueError:
        return root.trace_id


def traced(name, value):
    with mlflow.start_span(name) as root:
        root.set_inputs(value)
        root.set_outputs(value)
    return root.trace_id


def of_version_2(client, experiment_id):
    """What a client of version 2 sends: the one that is pinned here fails at it with newer OpenTelemetry packages."""
    api = f"{client.tracking_uri}/api/2.0"
    metadata = [{"key": "mlflow.traceInputs", "value": '{"q": 1}'}]
    begun = {"experiment_id": experiment_id, "timestamp_ms": 1_700_000_000_123, "request_metadata": metadata}
    info = answer("POST", f"{api}/mlflow/traces", json={**begun, "tags": [{"key": "kept", "value": "é"}]}).json()
    trace_id = info["trace_info"]["request_id"]
    place = {tag["key"]: tag["value"] for tag in info["trace_info"]["tags"]}["mlflow.artifactLocation"]
    span = {
        "name": "old",
        "context": {"span_id": "0x1122334455667788", "trace_id": "0x112233445566778899aabbccddeeff00"},
        "parent_id": None,
        "start_time": 1_700_000_000_123_456_789,
        "end_time": 1_700_000_001_123_456_789,
        "status_code": "OK",
        "status_message": "",
        "attributes": {"mlflow.traceRequestId": json.dumps(trace_id), "mlflow.spanInputs": '{"q": "é"}'},
        "events": [],
    }
    file = json.dumps({"spans": [span], "request": '{"q": 1}', "response": "null"})
    path = place.removeprefix("mlflow-artifacts:/")
    answer("PUT", f"{api}/mlflow-artifacts/artifacts/{path}/traces.json", data=file.encode())
    ended = {"timestamp_ms": 1_700_000_001_124, "status": "OK", "request_metadata": metadata, "tags": []}
    answer("PATCH", f"{api}/mlflow/traces/{trace_id}", json=ended)
    return trace_id


def answer(method, url, **options):
    given = requests.request(method, url, timeout=60, **options)
    assert given.status_code == 200, given.text
    return given


def prompted():
    mlflow.genai.register_prompt("asked", "Ask {{word}}.")
    with mlflow.start_span("prompted") as root:
        mlflow.genai.load_prompt("prompts:/asked/1")
    return root.trace_id


def attached():
    from mlflow.tracing.attachments import Attachment

    with mlflow.start_span("attached") as root:
        root.set_outputs({"image": Attachment(content_type="image/png", content_bytes=b"\x89PNG\0" * 1_000)})
    return root.trace_id


def judged(trace_id):
    from mlflow.entities import AssessmentSource

    ada, judge = AssessmentSource("HUMAN", "ada"), AssessmentSource("LLM_JUDGE", "gpt-4o")
    span_id = mlflow.get_trace(trace_id).data.spans[1].span_id
    said = mlflow.log_feedback(
        trace_id=trace_id, name="good", value=0.25, source=judge, rationale="ünï", metadata={"k": "v"}, span_id=span_id
    )
    mlflow.override_feedback(trace_id=trace_id, assessment_id=said.assessment_id, value=1.0, source=ada)
    for value in (True, "yes", 7, ["a", "b"], {"a": 1.5}):
        mlflow.log_feedback(trace_id=trace_id, name=type(value).__name__, value=value, source=ada)
    mlflow.log_feedback(trace_id=trace_id, name="broken", error=ValueError("the judge was out"), source=judge)
    mlflow.log_expectation(trace_id=trace_id, name="answer", value={"is": [4, "four"]}, source=ada)
    mlflow.log_expectation(trace_id=trace_id, name="short", value="four", source=ada)


def in_a_file(client, like):
    """A trace as clients leave it at servers that take no spans: a summary, and a file."""
    from mlflow.tracing.client import TracingClient

    trace = client.get_trace(like)
    copy = mlflow.entities.TraceInfo.from_dict({**trace.info.to_dict(), "trace_id": f"tr-{like[3:][::-1]}"})
    copy.tags = {"kept": "in a file", "mlflow.traceName": "in a file"}
    copy.trace_metadata = {"mlflow.trace_schema.version": "3"}
    tracing = TracingClient(client.tracking_uri)
    tracing._upload_trace_data(tracing.start_trace(copy), trace.data)
    return copy.trace_id


def snapshot(client, url, experiment_ids, run_ids):
    """All that a server's client sees of its traces."""
    found = {trace_id: entry(client, url, trace_id) for trace_id in search(client, experiment_ids)}
    if NEW_CLIENT:
        for run_id in run_ids:
            for trace_id in search(client, experiment_ids, filter_string=f"attributes.run_id = '{run_id}'"):
                found[trace_id]["runs"].append(run_id)
        for trace_id in search(client, experiment_ids, filter_string="prompt = 'asked/1'"):
            found[trace_id]["prompts"].append("asked/1")
    return found


def search(client, experiment_ids, **arguments):
    token, ids = None, []
    while True:
        page = client.search_traces(experiment_ids, max_results=50, page_token=token, **arguments)
        ids.extend(trace.info.trace_id if NEW_CLIENT else trace.info.request_id for trace in page)
        token = page.token
        if not token:
            return ids


def entry(client, url, trace_id):
    trace = client.get_trace(trace_id)
    info = trace.info.to_dict()
    info["assessments"] = sorted(info.get("assessments") or [], key=lambda said: said["assessment_id"])
    spans = [span.to_dict() for span in trace.data.spans]
    names = set(ATTACHMENT.findall(str(spans)))
    return {
        "info": info,
        "spans": spans,
        "attachments": {name: attachment(url, trace_id, name) for name in names},
        "runs": [],
        "prompts": [],
    }


def attachment(url, trace_id, name):
    path = f"{url}/ajax-api/3.0/mlflow/get-trace-artifact"
    return answer("GET", path, params={"request_id": trace_id, "path": name}).content
