"""Every field of every MLflow message × values that it must not have: a 4xx in MLflow's shape, or the
field is taken as MLflow takes it; never a 500, and a refused request has changed nothing."""

import json
import re
import sqlite3
import urllib.parse

import pytest
import raw
from conftest import flags_of
from mlflow_api import endpoints, fill
from receivers import LOOPBACK
from server import Server

# These have suites of their own.
ELSEWHERE = re.compile(r"/graphql|/demo/")
# Twins under /ajax-api go the same way (test_routes.py shows that they are there).
TWINS = {endpoint.path for endpoint in endpoints() if endpoint.path.startswith("/api/")}
ENDPOINTS = [
    endpoint
    for endpoint in endpoints()
    if endpoint.fields and endpoint.path.replace("/ajax-api/", "/api/") not in TWINS - {endpoint.path}
    if not endpoint.left_out and not ELSEWHERE.search(endpoint.path)
]

JSON = {"Content-Type": "application/json"}
MESSAGE_MAX_CHARS = 2_000
HUGE = 10_000_000

ANYTHING = {
    "nested": json.loads("[" * 100 + "]" * 100),
    "object": {"a": {"b": [1, {"c": None}]}},
    "list": [None, 7, "x", [], {}],
}
WRONG = {
    "text": {"number": 7, "true": True, "list": ["x"], "nul": "a\0b", "megabyte": "x" * 1_000_000, **ANYTHING},
    "int": {"words": "seven", "fraction": 1.5, "bool": True, "beyond": 2**63, "below": -(2**63) - 1, **ANYTHING},
    "float": {"words": "seven", "bool": True, **ANYTHING},
    "bool": {"words": "maybe", "number": 7, **ANYTHING},
    "enum": {"unknown": "NO_SUCH_VALUE", "number": 99, "below": -1, **ANYTHING},
    "message": {"text": "x", "number": 7, **ANYTHING},
}
WRONG_ITEMS = {
    "text": "x",
    "number": 7,
    "object": {"a": 1},
    "nulls": [None, None],
    "numbers": [7, 8],
    "lists": [[], [[]]],
    "objects": [{}, {"key": 7}, {"key": None}],
    "many": ["x"] * 200_000,
}
# In a query everything is text.
WRONG_WORDS = {
    "nul": "a\0b",
    "words": "no number",
    "beyond": "9" * 400,
    "below": "-" + "9" * 400,
    "fraction": "1.5",
    "escape": "../../etc/passwd",
    "long": "x" * 50_000,
    "broken": "%ff%fe",
}


@pytest.fixture(scope="module", params=["sqlite-file", "postgres-file"])
def stocked(request, tmp_path_factory):
    """One object of every kind, so that a request fails for the field that is wrong and no other."""
    # A webhook that is tried out leads to this machine, where nobody listens.
    server = Server(tmp_path_factory.mktemp("fields"), *flags_of(request.param), *LOOPBACK).start()
    ids = {"experiment_id": server.mlflow("POST", "experiments/create", {"name": "fields"}).json()["experiment_id"]}
    ids["run_id"] = server.mlflow("POST", "runs/create", {"experiment_id": ids["experiment_id"]}).json()["run"]["info"][
        "run_id"
    ]
    model = server.mlflow("POST", "logged-models", {"experiment_id": ids["experiment_id"]}).json()
    ids["model_id"] = model["model"]["info"]["model_id"]
    server.mlflow("POST", "registered-models/create", {"name": "fields"})
    server.mlflow("POST", "model-versions/create", {"name": "fields", "source": "s3://elsewhere/x"})
    server.mlflow("POST", "registered-models/alias", {"name": "fields", "alias": "champion", "version": "1"})
    webhook = {"name": "fields", "url": "http://127.0.0.1:9/", "events": [{"entity": "PROMPT", "action": "CREATED"}]}
    ids["webhook_id"] = server.mlflow("POST", "webhooks", webhook).json()["webhook"]["webhook_id"]
    server.good = {
        **ids,
        "run_uuid": ids["run_id"],
        "source_run_id": ids["run_id"],
        "experiment_ids": [ids["experiment_id"]],
        "run_ids": [ids["run_id"]],
        "name": "fields",
        "new_name": "renamed",
        "version": "1",
        "alias": "champion",
        "stage": "Staging",
        "metric_key": "loss",
        "experiment_name": "fields",
        "key": "k",
        "value": "1",
        "timestamp": 1,
        "path": "a/b",
        "source": "s3://elsewhere/x",
        "tag_key": "k",
        "artifact_file_path": "a",
        "model_json": "{}",
        "upload_id": "mpu-none",
        "num_parts": 2,
        "url": webhook["url"],
        "events": webhook["events"],
    }
    # PostgreSQL has no such thing; the rules are the same code.
    server.watch = sqlite3.connect(server.data_dir / "waybill.db") if request.param == "sqlite-file" else None
    yield server
    if server.watch:
        server.watch.close()
    server.stop()


def commits(server):
    """Changes with every commit of another connection."""
    return server.watch.execute("PRAGMA data_version").fetchone()[0] if server.watch else None


def base(server, endpoint):
    """A request that fits, as far as one table of values can make it."""
    named = {field.name for field in endpoint.fields}
    in_path = set(re.findall(r"<(?:\w+:)?(\w+)>", endpoint.path))
    return {name: value for name, value in server.good.items() if name in named - in_path}


def refused_or_taken(server, answer, before, what):
    assert answer.status is not None, f"{what}: no answer"
    # As MLflow, whose own tests want it: file://host/path as a source.
    assert answer.status < 500, f"{what}: {answer.line} {answer.body[:300]!r}"
    if answer.status == 200:
        return
    assert 400 <= answer.status < 500, f"{what}: {answer.line}"
    body = answer.json()
    assert set(body) == {"error_code", "message"} and body["error_code"] and body["message"], f"{what}: {body}"
    assert len(body["message"]) < MESSAGE_MAX_CHARS, f"{what}: {body['message'][:200]}"
    assert commits(server) == before, f"{what}: refused, and yet something was written"


def ask(server, endpoint, message, what):
    path = fill(endpoint.path, {name: str(value) for name, value in server.good.items()})
    before = commits(server)
    if endpoint.method == "GET":
        query = urllib.parse.urlencode(message, doseq=True)
        answer = raw.send(server.port, "GET", f"{path}?{query}")
    else:
        answer = raw.send(server.port, endpoint.method, path, json.dumps(message).encode(), JSON)
    refused_or_taken(server, answer, before, f"{endpoint.method} {path} {what}")


def wrong_values(endpoint, field):
    if endpoint.method == "GET":
        return WRONG_WORDS
    return {**WRONG_ITEMS, **ANYTHING} if field.repeated else WRONG[field.kind]


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: f"{e.method} {e.path}")
def test_wrong_values(stocked, endpoint):
    for field in endpoint.fields:
        if f"<{field.name}>" in endpoint.path:
            continue
        for name, value in wrong_values(endpoint, field).items():
            if "delete" in endpoint.path or endpoint.method == "DELETE":
                # What fits here would take away what the next one needs.
                fitting = base(stocked, endpoint)
                fitting.update({key: "absent" for key in ("name", "experiment_id", "run_id") if key in fitting})
            else:
                fitting = base(stocked, endpoint)
            ask(stocked, endpoint, {**fitting, field.name: value}, f"{field.name}: {name}")


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: f"{e.method} {e.path}")
def test_missing_and_unknown(stocked, endpoint):
    ask(stocked, endpoint, {}, "nothing at all")
    ask(stocked, endpoint, {"no_such_field": 7, "nor_this": [{}]}, "unknown fields only")
    for field in endpoint.fields:
        ask(stocked, endpoint, {f.name: "" for f in endpoint.fields if f is not field}, f"empty, without {field.name}")


BODIES = [endpoint for endpoint in ENDPOINTS if endpoint.method != "GET"]


@pytest.mark.parametrize("endpoint", BODIES, ids=lambda e: f"{e.method} {e.path}")
def test_bodies(stocked, endpoint):
    path = fill(endpoint.path, {name: str(value) for name, value in stocked.good.items()})
    text = next((field.name for field in endpoint.fields if field.kind == "text"), "name")
    for what, body in {
        "no JSON": b"{",
        "a list": b"[]",
        "broken UTF-8": b'{"%s": "\xff\xfe"}' % text.encode(),
        "half a surrogate": b'{"%s": "\\ud800"}' % text.encode(),
        "depth": b'{"%s": ' % text.encode() + b"[" * 100_000,
        "the same field twice": b'{"%s": 1, "%s": 2}' % (text.encode(), text.encode()),
        "10 MB": json.dumps({text: "x" * HUGE}).encode(),
    }.items():
        if what == "10 MB" and not stocked.watch:
            continue  # it ends before the database
        before = commits(stocked)
        answer = raw.send(stocked.port, endpoint.method, path, body, JSON)
        if what == "10 MB" and answer.status == 200:
            continue  # not every text has a limit of its own; the body has
        refused_or_taken(stocked, answer, before, f"{endpoint.method} {path} {what}")


SEARCHES = [
    ("POST", "experiments/search", {}),
    ("POST", "runs/search", {"experiment_ids": ["0"]}),
    ("POST", "logged-models/search", {"experiment_ids": ["0"]}),
    ("GET", "registered-models/search", {}),
    ("GET", "model-versions/search", {}),
]


@pytest.fixture(scope="module")
def tokens(server):
    """A page token of every search, and of a metric's history."""
    made = {}
    for i in range(2):
        server.mlflow("POST", "experiments/create", {"name": f"page-{i}"})
        run = server.mlflow("POST", "runs/create", {"experiment_id": "0"}).json()["run"]["info"]["run_id"]
        server.mlflow("POST", "logged-models", {"experiment_id": "0"})
        server.mlflow("POST", "registered-models/create", {"name": f"page-{i}"})
        server.mlflow("POST", "model-versions/create", {"name": f"page-{i}", "source": "s3://elsewhere/x"})
        for step in range(2):
            metric = {"run_id": run, "key": "m", "value": step, "timestamp": step, "step": step}
            assert server.mlflow("POST", "runs/log-metric", metric).ok
    for method, path, body in SEARCHES:
        answer = server.mlflow(method, path, {**body, "max_results": 1})
        made[path] = answer.json()["next_page_token"]
    history = {"run_id": run, "metric_key": "m", "max_results": 1}
    made["history"] = server.mlflow("GET", "metrics/get-history", history).json()["next_page_token"]
    server.history = history
    return made


def test_a_history_takes_its_own_tokens_only(server, tokens):
    def page(token, **changed):
        return server.mlflow("GET", "metrics/get-history", {**server.history, **changed, "page_token": token})

    assert page(tokens["history"]).json()["metrics"][0]["step"] == 1
    for name, token in tokens.items():
        if name != "history":
            assert page(token).status_code == 400, name
    assert page(tokens["history"], metric_key="other").status_code == 400
    assert page(tokens["history"], run_id="0" * 32).status_code in (400, 404)


@pytest.mark.parametrize(("method", "path", "body"), SEARCHES, ids=[path for _, path, _ in SEARCHES])
def test_tokens_of_another_query(server, tokens, method, path, body):
    token = tokens[path]
    assert server.mlflow(method, path, {**body, "max_results": 1, "page_token": token}).ok
    half = len(token) // 2
    spoilt = [
        token[:half],
        token + "AAAA",
        token[:-2] + "zz",
        token[half:] + token[:half],
        "x",
        "%",
        "\u00e9",
        "A" * 100_000,
    ]
    others = [other for name, other in tokens.items() if name != path]
    for wrong in others + spoilt:
        answer = server.mlflow(method, path, {**body, "max_results": 1, "page_token": wrong})
        assert answer.status_code in (400, 414, 431), f"{wrong[:60]}: {answer.text[:300]}"
    changed = {**body, "max_results": 1, "page_token": token, "order_by": ["name DESC"]}
    if path.startswith("runs"):
        changed["order_by"] = ["start_time ASC"]
    if path.startswith("logged"):
        changed["order_by"] = [{"field_name": "creation_time", "ascending": True}]
    answer = server.mlflow(method, path, changed)
    assert answer.status_code == 400 and answer.json()["error_code"] == "INVALID_PARAMETER_VALUE", answer.text


FLOODS = {
    "letters": "a" * 1_000_000,
    "conditions": "attributes.name = 'x' AND " * 40_000 + "attributes.name = 'x'",
    "quotes": "'" * 1_000_000,
    "backticks": "tags.`" + "`" * 999_999,
    "brackets": "(" * 1_000_000,
    "a long list": "name IN (" + "'x'," * 250_000 + "'x')",
    "wildcards": "name LIKE '" + "%_" * 500_000 + "'",
}


@pytest.mark.parametrize("filter", FLOODS.values(), ids=FLOODS)
@pytest.mark.parametrize(("method", "path", "body"), SEARCHES, ids=[path for _, path, _ in SEARCHES])
def test_filters_without_end(server, method, path, body, filter):
    target, message = f"/api/2.0/mlflow/{path}", {**body, "filter": filter}
    if method == "GET":
        answer = raw.send(server.port, method, f"{target}?{urllib.parse.urlencode(message)}")
        # A URL has a limit of its own.
        assert answer.status in (400, 414, 431), answer.line
        return
    answer = raw.send(server.port, method, target, json.dumps(message).encode(), JSON)
    assert answer.status == 400, answer.line
    assert len(answer.json()["message"]) < MESSAGE_MAX_CHARS
