"""openapi.yaml is what the server really answers: responses are validated against it."""

import subprocess

import pytest
from contract import ROOT, SPEC, template_of
from server import BINARY, environment


def test_the_file_is_what_the_code_says():
    made = subprocess.run([BINARY, "openapi"], capture_output=True, text=True, check=True, env=environment()).stdout
    assert made.strip() == (ROOT / "openapi.yaml").read_text().strip(), "run: waybill openapi > openapi.yaml"


def test_operations_are_named_by_verb_and_resource():
    names = [
        operation["operationId"]
        for path in SPEC["paths"].values()
        for operation in path.values()
        if isinstance(operation, dict)
    ]
    assert names and len(set(names)) == len(names)
    assert all("_" in name and name == name.lower() for name in names), names


@pytest.fixture(scope="module")
def stocked(any_server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("openapi")
    (folder / "f.txt").write_text("x" * 100)
    any_server.cli("push", folder, "spec")
    any_server.cli("promote", "spec@1", "--to", "staging", "--no-wait")
    version = any_server.api("GET", "models/spec/versions/1").json()
    source = {"kind": "mlflow", "source": "http://old:5000"}
    imported = any_server.api("POST", "imports", json=source).json()
    # Of an event that never comes: nothing must be sent there.
    events = [{"entity": "BUDGET_POLICY", "action": "EXCEEDED"}]
    webhook = {"name": "spec", "url": "https://93.184.216.34/", "events": events}
    webhook = any_server.mlflow("POST", "webhooks", webhook).json()["webhook"]
    any_server.values = {
        "import_id": imported["import_id"],
        "name": "spec",
        "model": "spec",
        "version": "1",
        "uid": version["uid"],
        "digest": version["content"]["registration_snapshot_digest"],
        "environment": "staging",
        "path": "f.txt",
        "webhook_id": webhook["webhook_id"],
        # tests/python/test_webhooks.py has one.
        "delivery_id": "none",
    }
    return any_server


GETS = [
    (template, method)
    for template, methods in SPEC["paths"].items()
    for method in methods
    if method == "get" and template.startswith("/api/v1/") and not template.endswith("/logs/stream")
]


def parameters(template):
    shared = SPEC["paths"][template].get("parameters", [])
    return shared + SPEC["paths"][template]["get"].get("parameters", [])


@pytest.mark.parametrize("template", [template for template, _ in GETS])
def test_every_get_answers_as_documented(stocked, template):
    """With values of a stocked server, and with values that name nothing."""
    query = {"ref": "spec@1", "environment": "staging", "key": "sha256:" + "0" * 64}
    wanted = {p["name"]: query[p["name"]] for p in parameters(template) if p["in"] == "query" and p["name"] in query}
    rollout = stocked.api("GET", "environments/staging/deployments/spec").json().get("rollout") or {}
    known = {**stocked.values, "rollout_id": rollout.get("rollout_id", "none")}
    for values in (known, dict.fromkeys(known, "nobody")):
        path = template
        for name, value in values.items():
            path = path.replace("{" + name + "}", value).replace("{*" + name + "}", value)
        assert "{" not in path, f"no value for a parameter of {template}"
        response = stocked.api("GET", path.removeprefix("/api/v1/"), params=wanted)
        # The answer itself is validated by `api`, which finds this same template.
        assert response.status_code < 500, response.text
        assert template_of("/api/v1/" + path.removeprefix("/api/v1/")) == template


@pytest.mark.parametrize(
    ("template", "body"),
    [
        ("/api/v1/uploads", {"files": [{"path": "a", "digest": "sha256:" + "1" * 64, "size_bytes": 3}]}),
        ("/api/v1/uploads", {"files": "none"}),
        ("/api/v1/models/{name}/versions/{version}/promotions", {"to": "test", "reason": "spec"}),
        ("/api/v1/models/{name}/versions/{version}/promotions", {"to": "shelf"}),
        ("/api/v1/models/{name}/rollbacks", {"environment": "production"}),
        ("/api/v1/imports", {"kind": "mlflow", "source": "http://old:5000"}),
        ("/api/v1/imports", {"kind": "mlflow", "source": "http://user:secret@old:5000"}),
        ("/api/v1/imports/{import_id}/lookups", {"kind": "run", "objects": [{"id": "r", "fingerprint": "f"}]}),
        ("/api/v1/imports/{import_id}/batches", {"objects": [{"kind": "complete", "of": "run", "id": "r"}]}),
        ("/api/v1/imports/{import_id}/batches", {"objects": [{"kind": "metrics", "run_id": "r", "points": []}]}),
        ("/api/v1/imports/{import_id}/artifacts", {"upload_id": "none", "root": "1/x", "fingerprints": {}}),
        ("/api/v1/environments/{environment}/lease", {"holder": "test", "ttl_ms": 5}),
        ("/api/v1/environments/{environment}/lease", {"holder": "test", "ttl_ms": 5000}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_posts_answer_as_documented(stocked, template, body):
    path = template
    for name, value in stocked.values.items():
        path = path.replace("{" + name + "}", value)
    response = stocked.api("POST", path.removeprefix("/api/v1/"), json=body)
    assert response.status_code < 500, response.text
    assert response.json()
