"""Every field of every MLflow message × values that it must not have: a 4xx in MLflow's shape, or the
field is taken as MLflow takes it; never a 500, and a refused request has changed nothing."""

import json
import random
import re
import string

import pytest
import raw
from conftest import flags_of
from fitting import ASSESSMENT, JSON, ask, base, path_of, put, refused_or_taken, stock
from mlflow_api import endpoints
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

HUGE = "x" * 10_000_000


def noise(length):
    """Text that PostgreSQL cannot make shorter: it refuses an index entry of more than 2,704 bytes."""
    return "".join(random.Random(length).choices(string.ascii_letters + string.digits, k=length))


LONG = {"3,000": noise(3_000), "4,000": noise(4_000)}
ANYTHING = {
    "nested": json.loads("[" * 100 + "]" * 100),
    "object": {"a": {"b": [1, {"c": None}]}},
    "list": [None, 7, "x", [], {}],
}
WRONG = {
    "text": {"number": 7, "true": True, "list": ["x"], "nul": "a\0b", "megabyte": "x" * 1_000_000, **ANYTHING, **LONG},
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
    **LONG,
}


@pytest.fixture(scope="module", params=["sqlite-file", "postgres-file"])
def stocked(request, tmp_path_factory):
    """One object of every kind, so that a request fails for the field that is wrong and no other."""
    # A webhook that is tried out leads to this machine, where nobody listens.
    server = Server(tmp_path_factory.mktemp("fields"), *flags_of(request.param), *LOOPBACK).start()
    server.on_postgres = request.param.startswith("postgres")
    stock(server)
    yield server
    server.watch.connection.close()
    server.stop()


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
            ask(stocked, endpoint, {**base(stocked, endpoint), field.name: value}, f"{field.name}: {name}")


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: f"{e.method} {e.path}")
def test_missing_and_unknown(stocked, endpoint):
    ask(stocked, endpoint, {}, "nothing at all")
    ask(stocked, endpoint, {"no_such_field": 7, "nor_this": [{}]}, "unknown fields only")
    for field in endpoint.fields:
        ask(stocked, endpoint, {f.name: "" for f in endpoint.fields if f is not field}, f"empty, without {field.name}")


BODIES = [endpoint for endpoint in ENDPOINTS if endpoint.method != "GET"]


@pytest.mark.parametrize("endpoint", BODIES, ids=lambda e: f"{e.method} {e.path}")
def test_bodies(stocked, endpoint):
    path = path_of(stocked, endpoint)
    text = next((field.name for field in endpoint.fields if field.kind == "text"), "name")
    for what, body in {
        "no JSON": b"{",
        "a list": b"[]",
        "broken UTF-8": b'{"%s": "\xff\xfe"}' % text.encode(),
        "half a surrogate": b'{"%s": "\\ud800"}' % text.encode(),
        "depth": b'{"%s": ' % text.encode() + b"[" * 100_000,
        "the same field twice": b'{"%s": 1, "%s": 2}' % (text.encode(), text.encode()),
    }.items():
        before = stocked.watch.look()
        answer = raw.send(stocked.port, endpoint.method, path, body, JSON)
        refused_or_taken(stocked, answer, before, f"{endpoint.method} {path} {what}")


# Texts that may have 10 MB: the path, and the way to the field.
LARGE = [
    # MLflow keeps the beginning.
    r"runs/(create|log-batch) tags\.value",
    r"runs/log-batch params\.value",
    r"runs/(set-tag|log-parameter) value",
    r"logged-models(/\S+/tags)? tags\.value",
    r"traces(/\S+)? (request_metadata|tags)\.value",
    r"traces/\S+/tags value",
    r"traces trace\.trace_info\.((trace_metadata|tags)\.value|(request|response)_preview)",
    r"traces.* (trace\.trace_info\.)?assessments?\.metadata\.value",
    # Kept whole.
    r"logged-models(/\S+/params)? params\.value",
    r"runs/log-inputs datasets\.dataset\.profile",
    # Looked for, and not found.
    r"logged-models/search (datasets|order_by)\.dataset_(name|digest)",
    r"experiments/search-datasets experiment_ids",
    r"traces/batchGetInfos trace_ids",
    # Not looked at: of an area that is left out, a second name for what another field said, or not in the mask.
    r"runs/\S+ run_uuid",
    r"runs/log-batch metrics\.run_id",
    r"registered-models/\S+ deployment_job_id",
    r"traces trace\.trace_info\.(request|response)",
    r"traces/search locations\.inference_table\.full_table_name",
    r"traces.* (trace\.trace_info\.)?assessments?\.(trace_id|error\.\w+)",
    r"traces/\S+/assessments/\S+ assessment\.(assessment_id|span_id|source\.source_id|overrides)",
    r"traces/metrics page_token",
]
LARGE = re.compile(rf"/(ajax-)?api/\d\.0/mlflow/({'|'.join(LARGE)})")
# What else a request needs, so that it would be taken.
NEEDED = {
    "experiments/create": {"name": "n#"},
    "experiments/search": {"max_results": 1},
    "registered-models/create": {"name": "n#"},
    "runs/log-parameter": {"key": "k#"},
    "assessments/<assessment_id>": {"update_mask": "assessment_name,feedback,rationale,metadata"},
    "traces/calculate-filter-correlation": {"filter_string1": "status = 'OK'", "filter_string2": "status = 'OK'"},
    "traces/metrics": {
        **{"view_type": "TRACES", "metric_name": "trace_count"},
        "aggregations": [{"aggregation_type": "COUNT"}],
    },
}


@pytest.mark.parametrize("endpoint", BODIES, ids=lambda e: f"{e.method} {e.path}")
def test_long_texts(stocked, endpoint):
    trace = {**stocked.trace, "trace_id": "tr-#"}
    fits = {"trace": {"trace_info": trace}, "trace_info": trace, "assessment": ASSESSMENT, "assessments": ASSESSMENT}
    fits["locations"] = stocked.trace["trace_location"]
    needed = next((more for end, more in NEEDED.items() if endpoint.path.endswith(end)), {})
    wrong = []
    for way in endpoint.texts:
        field = ".".join(name for name, _ in way)
        if re.search(rf"[<:]{field}>", endpoint.path):
            continue
        is_large = bool(LARGE.fullmatch(f"{endpoint.path} {field}"))
        for text in (*LONG.values(), HUGE):
            if text is HUGE and stocked.on_postgres and not is_large:
                continue  # takes a minute, and what PostgreSQL is asked for is tried with the shorter ones
            message = put({**base(stocked, endpoint), **needed}, way, text, fits)
            answer = ask(stocked, endpoint, message, f"{field}: {len(text)}")
            if text is HUGE and (answer.status == 200) != is_large:
                wrong.append(f"{field}: {answer.line} {answer.body[:200]!r}")
    assert not wrong, "\n".join(wrong)
