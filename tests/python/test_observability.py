"""Metrics and logs: there, useful, and without secrets."""

import re

import pytest
import raw
from conftest import flags_of
from server import Server

SECRET = "s3cr3t-that-must-not-show"


@pytest.fixture(scope="module")
def talkative(tmp_path_factory):
    """A server whose settings and requests are full of secrets, at the most talkative level."""
    env = {"AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ACCESS_KEY_ID": "AKID", "RUST_LOG": "debug", "WAYBILL_LOG": "debug"}
    server = Server(tmp_path_factory.mktemp("talkative"), env=env).start()
    headers = {"Authorization": f"Bearer {SECRET}", "Cookie": f"session={SECRET}"}
    raw.send(server.port, "GET", f"/api/v1/models?token={SECRET}", headers=headers)
    raw.send(
        server.port, "GET", f"/api/2.0/mlflow/experiments/get?experiment_id=0&X-Amz-Signature={SECRET}", headers=headers
    )
    raw.send(
        server.port, "POST", "/api/2.0/mlflow/experiments/create", b"{", {"Content-Type": "application/json", **headers}
    )
    yield server
    server.stop()


def test_no_secret_in_logs_or_metrics(talkative):
    metrics = raw.send(talkative.port, "GET", "/metrics")
    assert metrics.status == 200
    assert SECRET not in metrics.body.decode() and SECRET not in talkative.log
    private = (talkative.data_dir / "keys/registry.pem").read_text().splitlines()[1]
    assert private not in talkative.log


def test_no_database_password_in_logs(make_server):
    server = make_server("--database-url", f"postgres://waybill:{SECRET}@127.0.0.1:1/none")
    server.spawn()
    assert server.process.wait(timeout=60) != 0
    assert "127.0.0.1" in server.log, "the failure names the database"
    assert SECRET not in server.log, server.log


def test_database_password_of_a_running_server(make_server):
    flags = flags_of("postgres-file")
    url = flags[1].replace("waybill@", f"waybill:{SECRET}@")
    assert SECRET in url
    server = make_server("--database-url", url).start()
    server.mlflow("POST", "experiments/create", {"name": "x"})
    assert SECRET not in server.log and SECRET not in raw.send(server.port, "GET", "/api/v1/info").body.decode()


def test_requests_have_ids(talkative):
    answer = raw.send(talkative.port, "GET", "/api/v1/models/nobody")
    request_id = answer.headers["x-request-id"]
    assert answer.json()["request_id"] == request_id
    given = raw.send(talkative.port, "GET", "/api/v1/models/nobody", headers={"X-Request-Id": "from-the-caller-1"})
    assert given.headers["x-request-id"] == given.json()["request_id"] == "from-the-caller-1"
    for seen in (request_id, "from-the-caller-1"):
        assert seen in talkative.log, "the log can be found by the id that the caller saw"


def test_a_hostile_request_id_cannot_forge_log_lines(talkative):
    for hostile in ("a" * 10_000, "b" * 65, 'c" status=200', "d\xe4"):
        answer = raw.send(talkative.port, "GET", "/api/v1/models/nobody", headers={"X-Request-Id": hostile})
        assert answer.status == 404 and answer.headers["x-request-id"] != hostile
        assert answer.headers["x-request-id"] in talkative.log and hostile not in talkative.log


def test_metrics_are_prometheus_text(server):
    server.mlflow("POST", "experiments/create", {"name": "counted"})
    server.mlflow("POST", "experiments/create", {"name": "counted"})
    answer = raw.send(server.port, "GET", "/metrics")
    text = answer.body.decode()
    assert answer.headers["content-type"].startswith(("text/plain", "application/openmetrics-text"))
    for line in text.splitlines():
        assert line.startswith("#") or re.fullmatch(r"[a-zA-Z_:][\w:]*(\{.*\})? \S+", line), line
    requests_lines = [line for line in text.splitlines() if "request" in line and "experiments/create" in line]
    assert any('"400"' in line for line in requests_lines) and any('"200"' in line for line in requests_lines), text[
        :3000
    ]


def test_metric_labels_are_routes_not_paths(server):
    """A scanner that asks for a thousand paths must not make a thousand time series."""
    before = len(raw.send(server.port, "GET", "/metrics").body.splitlines())
    for number in range(200):
        raw.send(server.port, "GET", f"/scan/{number}")
        raw.send(server.port, "GET", f"/api/v1/models/scan-{number}")
    after = len(raw.send(server.port, "GET", "/metrics").body.splitlines())
    assert after - before < 100


@pytest.mark.parametrize("path", ["/health", "/version", "/ready", "/metrics", "/api/3.0/mlflow/server-info"])
def test_small_endpoints(server, path):
    answer = raw.send(server.port, "GET", path)
    assert answer.status == 200 and answer.body
    if path == "/health":
        assert answer.body == b"OK"
