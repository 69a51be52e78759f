"""Searches that are asked for too much: page tokens of another query, and filters without end."""

import json
import urllib.parse

import pytest
import raw
import requests
from fitting import JSON, MESSAGE_MAX_CHARS, WHEN

IN_DEFAULT = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}
# Method, path, what it needs, and another order than its own.
SEARCHES = [
    ("POST", "2.0/mlflow/experiments/search", {}, ["name DESC"]),
    ("POST", "2.0/mlflow/runs/search", {"experiment_ids": ["0"]}, ["start_time ASC"]),
    (
        *("POST", "2.0/mlflow/logged-models/search", {"experiment_ids": ["0"]}),
        [{"field_name": "creation_time", "ascending": True}],
    ),
    ("GET", "2.0/mlflow/registered-models/search", {}, ["name DESC"]),
    ("GET", "2.0/mlflow/model-versions/search", {}, ["name DESC"]),
    ("POST", "3.0/mlflow/traces/search", {"locations": [{**IN_DEFAULT}]}, ["timestamp_ms ASC"]),
    ("GET", "2.0/mlflow/traces", {"experiment_ids": ["0"]}, ["timestamp_ms ASC"]),
]
PATHS = [path for _, path, *_ in SEARCHES]


def ask(server, method, path, body):
    key = "params" if method == "GET" else "json"
    return requests.request(method, f"{server.url}/api/{path}", **{key: body}, timeout=60)


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
        info = {"trace_id": f"tr-{i}", "trace_location": IN_DEFAULT, "request_time": WHEN, "state": "OK"}
        assert ask(server, "POST", "3.0/mlflow/traces", {"trace": {"trace_info": info}}).ok
        for step in range(2):
            metric = {"run_id": run, "key": "m", "value": step, "timestamp": step, "step": step}
            assert server.mlflow("POST", "runs/log-metric", metric).ok
    for method, path, body, _ in SEARCHES:
        made[path] = ask(server, method, path, {**body, "max_results": 1}).json()["next_page_token"]
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


@pytest.mark.parametrize(("method", "path", "body", "order"), SEARCHES, ids=PATHS)
def test_tokens_of_another_query(server, tokens, method, path, body, order):
    token = tokens[path]
    assert ask(server, method, path, {**body, "max_results": 1, "page_token": token}).ok
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
    # Both searches for traces page through the same.
    others = [other for name, other in tokens.items() if other != token]
    assert len(others) >= len(SEARCHES) - 1
    for wrong in others + spoilt:
        answer = ask(server, method, path, {**body, "max_results": 1, "page_token": wrong})
        assert answer.status_code in (400, 414, 431), f"{wrong[:60]}: {answer.text[:300]}"
    answer = ask(server, method, path, {**body, "max_results": 1, "page_token": token, "order_by": order})
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
@pytest.mark.parametrize(("method", "path", "body", "order"), SEARCHES, ids=PATHS)
def test_filters_without_end(server, method, path, body, order, filter):
    target, message = f"/api/{path}", {**body, "filter": filter}
    if method == "GET":
        answer = raw.send(server.port, method, f"{target}?{urllib.parse.urlencode(message, doseq=True)}")
        # A URL has a limit of its own.
        assert answer.status in (400, 414, 431), answer.line
        return
    answer = raw.send(server.port, method, target, json.dumps(message).encode(), JSON)
    assert answer.status == 400, answer.line
    assert len(answer.json()["message"]) < MESSAGE_MAX_CHARS
