"""A page in the user's browser must not drive a loopback server that drives Docker."""

import json

import pytest
import raw

BODY = json.dumps({"name": "from-a-page"}).encode()
WRITE = "/api/2.0/mlflow/experiments/create"
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:5000",
        "169.254.169.254",
        "",
        "127.0.0.1@evil.example",
    ],
)
@pytest.mark.parametrize(
    ("method", "target"),
    [("GET", "/health"), ("GET", "/api/v1/info"), ("POST", WRITE), ("GET", "/api/2.0/mlflow/experiments/search")],
)
def test_foreign_hosts(server, host, method, target):
    answer = raw.send(server.port, method, target, BODY if method == "POST" else b"", {**JSON, "Host": host})
    assert answer.status == 403, f"{host!r}: {answer.line}"


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST"])
def test_own_names(server, name):
    assert raw.send(server.port, "GET", "/health", host=f"{name}:{server.port}").status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1.evil.example"},
        {"Origin": "http://127.0.0.1@evil.example"},
        {"Origin": "http://127.0.0.1:8888", "Sec-Fetch-Site": "same-site"},
        {"Origin": "http://localhost"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", WRITE),
        ("POST", "/ajax-api/2.0/mlflow/experiments/create"),
        ("POST", "/api/v1/uploads"),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/0/x.txt"),
        ("DELETE", "/api/2.0/mlflow-artifacts/artifacts/0/x.txt"),
        ("PATCH", "/api/2.0/mlflow/registered-models/update"),
        ("POST", "/ajax-api/2.0/mlflow/upload-artifact?run_uuid=0&path=x"),
    ],
)
def test_foreign_pages_cannot_write(server, method, target, headers):
    # text/plain is what a page may send without asking first.
    answer = raw.send(server.port, method, target, BODY, {"Content-Type": "text/plain", **headers})
    assert answer.status == 403, answer.line
    search = server.mlflow("GET", "experiments/search", {"max_results": 100}).json()
    assert "from-a-page" not in {experiment["name"] for experiment in search.get("experiments", [])}


def test_own_pages_may_write(server):
    body = json.dumps({"name": "from-our-own-page"}).encode()
    headers = {**JSON, "Origin": server.url, "Sec-Fetch-Site": "same-origin"}
    assert raw.send(server.port, "POST", WRITE, body, headers).status == 200


def test_stored_pages_do_not_run(server):
    """A page stored as an artifact is a download, never a document of this origin."""
    target = "/api/2.0/mlflow-artifacts/artifacts/0/x.html"
    assert raw.send(server.port, "PUT", target, b"<script>alert(1)</script>").status == 200
    answer = raw.send(server.port, "GET", target, headers={"Accept": "text/html"})
    assert answer.status == 200
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_no_answer_invites_other_origins(server):
    answer = raw.send(server.port, "GET", "/health", headers={"Origin": "http://evil.example"})
    assert "access-control-allow-origin" not in answer.headers
