"""openapi.yaml is what the server really answers: each operation is asked, to be done and to be refused,
and what comes is validated against it."""

import json
import subprocess

import jsonschema
import pytest
import requests
import stocking
from conftest import BACKENDS, flags_of
from contract import ROOT, SPEC, template_of
from receivers import LOOPBACK, Receiver
from server import BINARY, Server, environment
from stocking import CONTENT, DIGEST, NEW, REVISION, append, attached, fenced, key, upload

OPERATIONS = {
    operation["operationId"]: (method.upper(), template)
    for template, methods in SPEC["paths"].items()
    for method, operation in methods.items()
}


def test_the_file_is_what_the_code_says():
    made = subprocess.run([BINARY, "openapi"], capture_output=True, text=True, check=True, env=environment()).stdout
    assert made.strip() == (ROOT / "openapi.yaml").read_text().strip(), "run: waybill openapi > openapi.yaml"


def test_operations_are_named_by_verb_and_resource():
    names = [operation["operationId"] for methods in SPEC["paths"].values() for operation in methods.values()]
    assert names and len(set(names)) == len(names)
    assert all("_" in name and name == name.lower() for name in names), names


@pytest.fixture(scope="module", params=BACKENDS)
def stocked(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("openapi")
    server = Server(folder, *flags_of(request.param), *LOOPBACK).start()
    receiver = Receiver()
    (folder / "model").mkdir()
    try:
        stocking.stock(server, folder / "model", receiver)
        yield server
    finally:
        server.stop()
        receiver.stop()


# How each reading operation without a parameter in its path can be refused; None: it cannot.
REFUSED_QUERIES = {
    "find_lockfile": {"key": "sha256:" + "0" * 64},
    "get_info": None,
    "list_audit_events": {"limit": 0},
    "list_deployments": None,
    "list_imports": {"limit": 0},
    "list_keys": None,
    "list_models": {"limit": 0},
    "list_webhooks": {"limit": 0},
    "resolve_reference": {"ref": "nobody@1"},
}
READS = [operation for operation, (method, _) in OPERATIONS.items() if method == "GET" and operation != "follow_log"]


def path_of(template, values):
    """Below /api/v1/, with the values filled in."""
    path = template.format_map(values)
    assert template_of(path) == template, "the answer would be held to another operation"
    return path.removeprefix("/api/v1/")


@pytest.mark.parametrize("operation", READS)
def test_every_read_answers_as_documented(stocked, operation):
    """With values of a stocked server, and with values that name nothing."""
    _, template = OPERATIONS[operation]
    if operation == "find_lockfile":
        stocked.api("POST", f"versions/{stocked.values['uid']}/referrers", json=attached(stocked))
    known = {"ref": "spec@1", "environment": "production", "key": stocking.lock_key(stocked.lockfile)}
    wanted = {p["name"] for p in SPEC["paths"][template]["get"].get("parameters", []) if p["in"] == "query"}
    query = {name: value for name, value in known.items() if name in wanted}
    response = stocked.api("GET", path_of(template, stocked.values), params=query)
    assert response.status_code == 200, response.text
    if "{" in template:
        response = stocked.api("GET", path_of(template, dict.fromkeys(stocked.values, "nobody")), params=query)
        assert response.status_code in (400, 404), response.text
    elif refused := REFUSED_QUERIES[operation]:
        response = stocked.api("GET", path_of(template, {}), params=refused)
        assert response.status_code in (400, 404), response.text


def test_follow_log_answers_as_documented(stocked):
    """Its events are lines of the log; a stream without end is left after the first."""
    path = "/api/v1/environments/production/deployments/{}/logs/stream"
    logged = stocked.api("POST", "environments/production/deployments/spec/logs", json=append(stocked))
    assert logged.status_code == 204, logged.text
    with requests.get(stocked.url + path.format("spec"), stream=True, timeout=30) as response:
        assert response.status_code == 200 and response.headers["content-type"] == "text/event-stream"
        event = next(line for line in response.iter_lines(decode_unicode=True) if line.startswith("data:"))
    line = {"$ref": "#/components/schemas/LogLine", "components": SPEC["components"]}
    jsonschema.validate(json.loads(event.removeprefix("data:")), line, cls=jsonschema.Draft202012Validator)
    refused = stocked.api("GET", path.format("nobody").removeprefix("/api/v1/"))
    assert (refused.status_code, refused.json()["code"]) == (404, "DEPLOYMENT_NOT_FOUND")


def asks(status, says=None, body=None, data=None, **values):
    """One request: what it must answer, with which code or fields; its body, or what makes it; values
    other than the stock's."""
    return status, {"code": says} if isinstance(says, str) else says or {}, body, data, values


# What each writing operation is asked.
WRITES = {
    "append_log": [
        asks(204, body=append),
        asks(404, "DEPLOYMENT_NOT_FOUND", body=append, model="nobody"),
        asks(409, "STALE_FENCE", body=lambda server: append(server, **fenced(server, 1))),
        asks(422, "BODY_INVALID", body={}),
    ],
    "report_serving": [
        asks(204, body=stocking.serving),
        asks(404, "DEPLOYMENT_NOT_FOUND", body=stocking.serving, model="nobody"),
        asks(409, "STALE_FENCE", body=lambda server: stocking.serving(server, **fenced(server, 1))),
        asks(400, "REVISION_MISSING", body=lambda server: stocking.serving(server, ready=True, revision_id="other")),
    ],
    "report_stopped": [
        asks(204, body=stocking.stopped),
        asks(404, "DEPLOYMENT_NOT_FOUND", body=stocking.stopped, model="nobody"),
        asks(409, "STALE_FENCE", body=lambda server: stocking.stopped(server, **fenced(server, 1))),
        asks(400, "FIELD_INVALID", body=lambda server: stocking.stopped(server, generation=10**6)),
    ],
    "acquire_lease": [
        asks(200, body={"holder": "test", "ttl_ms": 5000}, environment="test"),
        asks(400, "FIELD_INVALID", body={"holder": "test", "ttl_ms": 5}, environment="test"),
        asks(404, "ENVIRONMENT_UNKNOWN", body={"holder": "test", "ttl_ms": 5000}, environment="shelf"),
        asks(409, "LEASE_HELD", body=lambda server: fenced(server) and {"holder": "other", "ttl_ms": 5000}),
    ],
    "report_rollout": [
        asks(200, body=lambda server: {**fenced(server), "phase": "succeeded", "revision": REVISION}),
        asks(400, "REVISION_MISSING", body=lambda server: {**fenced(server), "phase": "succeeded"}),
        asks(
            404, "ROLLOUT_NOT_FOUND", body=lambda server: {**fenced(server), "phase": "verifying"}, rollout_id="nobody"
        ),
        asks(409, "STALE_FENCE", body=lambda server: {**fenced(server, 1), "phase": "verifying"}),
        asks(409, "ROLLOUT_ENDED", body=lambda server: {**fenced(server), "phase": "verifying"}),
    ],
    "create_import": [
        asks(200, body={"kind": "mlflow", "source": "http://old:5000"}),
        asks(400, "FIELD_INVALID", body={"kind": "mlflow", "source": "http://user:secret@old:5000"}),
    ],
    "import_artifacts": [
        asks(200, {"result": "created"}, body=stocking.brought_artifacts),
        asks(404, "UPLOAD_NOT_FOUND", body={"upload_id": "none", "root": "1/x", "fingerprints": {}}),
        asks(
            404, "IMPORT_NOT_FOUND", body={"upload_id": "none", "root": "1/x", "fingerprints": {}}, import_id="nobody"
        ),
    ],
    "import_batch": [
        asks(200, body={"objects": [{"kind": "experiment", "id": "7", "name": "old", **stocking.TIMES}]}),
        asks(200, body={"objects": [{"kind": "metrics", "run_id": "nobody", "points": []}]}),
        asks(404, "IMPORT_NOT_FOUND", body={"objects": []}, import_id="nobody"),
        asks(422, "BODY_INVALID", body={"objects": [{"kind": "nothing"}]}),
    ],
    "look_up_imported": [
        asks(200, body={"kind": "run", "objects": [{"id": "r", "fingerprint": "f"}]}),
        asks(404, "IMPORT_NOT_FOUND", body={"kind": "run", "objects": []}, import_id="nobody"),
        asks(400, "TOO_MANY_OBJECTS", body={"kind": "run", "objects": [{"id": "r", "fingerprint": "f"}] * 1001}),
    ],
    "import_version": [
        asks(200, {"result": "created"}, body=stocking.imported_version),
        asks(404, "IMPORT_NOT_FOUND", body=stocking.imported_version, import_id="nobody"),
        asks(422, "BODY_INVALID", body={}),
    ],
    "register_key": [
        asks(201, body=lambda _: key()),
        asks(400, "KEY_ROLE_INVALID", body=lambda _: key(role="registry")),
        asks(400, "KEY_INVALID", body={"role": "deployer", "public_key_pem": "none"}),
    ],
    "create_rollback": [
        asks(201, body={"environment": "production", "to_version": 1}),
        asks(404, "ENVIRONMENT_UNKNOWN", body={"environment": "shelf"}),
        asks(404, "MODEL_NOT_FOUND", body={"environment": "production"}, name="nobody"),
        asks(409, "NOTHING_TO_ROLL_BACK_TO", body={"environment": "staging"}),
    ],
    "register_version": [
        asks(201, body=lambda server: {"upload_id": upload(server)}, name="registered"),
        asks(404, "UPLOAD_NOT_FOUND", body={"upload_id": "nobody"}),
        asks(409, "UPLOAD_INCOMPLETE", body=lambda server: {"upload_id": upload(server, b"never", send=False)}),
    ],
    "create_promotion": [
        asks(201, body={"to": "test", "reason": "spec"}, version="2"),
        asks(404, "VERSION_NOT_FOUND", body={"to": "test"}, version="99"),
        asks(422, "BODY_INVALID", body={"to": "shelf"}),
    ],
    "create_upload": [
        asks(201, body={"files": [{"path": "a", "digest": DIGEST, "size_bytes": len(CONTENT)}]}),
        asks(400, "FIELD_INVALID", body={"files": [{"path": "../a", "digest": DIGEST, "size_bytes": 1}]}),
        asks(422, "BODY_INVALID", body={"files": "none"}),
    ],
    "delete_upload": [
        asks(204, upload_id=upload),
        asks(404, "UPLOAD_NOT_FOUND", upload_id="nobody"),
    ],
    "put_upload_blob": [
        asks(204, data=NEW, upload_id=upload, digest=stocking.NEW_DIGEST),
        asks(400, "DIGEST_MISMATCH", data=b"old", upload_id=upload, digest=stocking.NEW_DIGEST),
        asks(404, "UPLOAD_NOT_FOUND", data=NEW, upload_id="nobody", digest=stocking.NEW_DIGEST),
    ],
    "attach_referrer": [
        asks(201, body=attached),
        asks(400, "ARTIFACT_TYPE_UNKNOWN", body={"artifact_type": "text/plain", "content": ""}),
        asks(404, "VERSION_NOT_FOUND", body=attached, uid="nobody"),
    ],
    "replay_webhook_delivery": [
        asks(201),
        asks(404, "WEBHOOK_DELIVERY_NOT_FOUND", delivery_id="nobody"),
    ],
}


@pytest.mark.parametrize(
    ("operation", "status", "says", "body", "data", "values"),
    [(operation, *ask) for operation, asked in WRITES.items() for ask in asked],
    ids=[f"{operation}-{status}" for operation, asked in WRITES.items() for status, *_ in asked],
)
def test_every_write_answers_as_documented(stocked, operation, status, says, body, data, values):
    method, template = OPERATIONS[operation]
    values = {name: value(stocked) if callable(value) else value for name, value in values.items()}
    body = body(stocked) if callable(body) else body
    response = stocked.api(method, path_of(template, {**stocked.values, **values}), json=body, data=data)
    assert response.status_code == status, response.text
    if says:
        assert says.items() <= response.json().items(), response.text


def test_every_operation_is_asked():
    """To be done, and to be refused: what is new in openapi.yaml belongs in the tables above."""
    assert set(WRITES) == {operation for operation, (method, _) in OPERATIONS.items() if method != "GET"}
    for operation, asked in WRITES.items():
        statuses = {status // 100 for status, *_ in asked}
        assert statuses == {2, 4}, operation
    in_query = {operation for operation in READS if "{" not in OPERATIONS[operation][1]}
    assert set(REFUSED_QUERIES) == in_query
