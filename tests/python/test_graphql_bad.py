"""GraphQL with values that it must not have: an answer with `errors` that say why, under MLflow's own status."""

import json

import pytest
import raw
import requests
from conftest import flags_of
from fitting import JSON, refused
from server import Server

MEGABYTE = "x" * 1_000_000
# What a server says of a failure of its own.
INTERNAL = "the server failed"
SEARCH = "mlflowSearchRuns", "{ runs { info { runId } } nextPageToken }"
RUN = "mlflowGetRun", "{ run { info { runId } } apiError { code message } }"
EXPERIMENT = "mlflowGetExperiment", "{ experiment { name } apiError { code message } }"
HISTORY = "mlflowGetMetricHistoryBulkInterval", "{ metrics { key } }"
VERSIONS = "mlflowSearchModelVersions", "{ modelVersions { name } }"
FILES = "mlflowListArtifacts", "{ files { path } }"


def literal(field, arguments):
    return {"query": f"{{ {field[0]}(input: {{{arguments}}}) {field[1]} }}"}


def variable(field, value):
    kind = field[0][0].upper() + field[0][1:] + "Input"
    return {"query": f"query q($i: {kind}!) {{ {field[0]}(input: $i) {field[1]} }}", "variables": {"i": value}}


IN_DEFAULT = {"experimentIds": ["0"]}
BAD = {
    "a number as text, literal": literal(EXPERIMENT, "experimentId: 7"),
    "a number as text, variable": variable(RUN, {"runId": 7}),
    "a number in a list, literal": literal(SEARCH, "experimentIds: [7]"),
    "text as a number, literal": literal(SEARCH, 'experimentIds: ["0"], maxResults: "x"'),
    "text as a number, variable": variable(SEARCH, {**IN_DEFAULT, "maxResults": "x"}),
    "a fraction": variable(SEARCH, {**IN_DEFAULT, "maxResults": 1.5}),
    "an object as text": variable(RUN, {"runId": {"a": [1]}}),
    "text as an object": variable(RUN, "x"),
    "null": variable(RUN, None),
    "no variable": {**variable(RUN, None), "variables": {}},
    "a list of all sorts": variable(SEARCH, {"experimentIds": [None, 7, {}]}),
    "an unknown choice": literal(SEARCH, 'experimentIds: ["0"], runViewType: NO_SUCH'),
    "beyond 64 bits, literal": literal(SEARCH, 'experimentIds: ["0"], maxResults: 99999999999999999999'),
    "beyond 64 bits, variable": variable(SEARCH, {**IN_DEFAULT, "maxResults": 2**63}),
    "far beyond": variable(SEARCH, {**IN_DEFAULT, "maxResults": 10**300}),
    "beyond 32 bits": variable(SEARCH, {**IN_DEFAULT, "maxResults": 2**40}),
    "below": variable(SEARCH, {**IN_DEFAULT, "maxResults": -1}),
    "a step beyond": variable(HISTORY, {"runIds": ["x"], "metricKey": "m", "startStep": 2**64}),
    "an unknown argument": {"query": "{ mlflowGetRun(nope: 1) { run { info { runId } } } }"},
    "an unknown input, literal": literal(RUN, 'nope: "x"'),
    "an unknown input, variable": variable(RUN, {"nope": "x"}),
    "an unknown field": {"query": "{ mlflowGetRun(input: {}) { nope } }"},
    "two operations": {"query": "query a { nope } query b { nope }"},
    "another operation": {"query": "query a { nope }", "operationName": "c"},
    "a long field": {"query": "{ " + "x" * 90_000 + " }"},
    "a megabyte of experiment": variable(EXPERIMENT, {"experimentId": MEGABYTE}),
    "a megabyte of run": variable(RUN, {"runId": MEGABYTE}),
    "a megabyte of filter": variable(SEARCH, {**IN_DEFAULT, "filter": MEGABYTE}),
    "a megabyte of order": variable(SEARCH, {**IN_DEFAULT, "orderBy": [MEGABYTE]}),
    "a megabyte of token": variable(SEARCH, {**IN_DEFAULT, "pageToken": MEGABYTE}),
    "a megabyte of versions' filter": variable(VERSIONS, {"filter": f"name='{MEGABYTE}'"}),
    "a megabyte of path": variable(FILES, {"runId": "$run", "path": MEGABYTE}),
}
ESCAPED = "a\\u0000b"
# Refused as a whole, as everywhere else: PostgreSQL keeps no NUL, and a query has an end. MLflow answers with what it
# found of these names, or with a page of HTML where it could not read the query.
REFUSED = {
    "NUL in a literal": literal(RUN, f'runId: "{ESCAPED}"'),
    "NUL in a list's literal": literal(SEARCH, f'experimentIds: ["0", "{ESCAPED}"]'),
    "NUL in a filter's literal": literal(VERSIONS, f"filter: \"name='{ESCAPED}'\""),
    "NUL itself in a literal": literal(RUN, 'runId: "a\0b"'),
    "NUL in a block": literal(RUN, 'runId: """a\0b"""'),
    "NUL in a variable": variable(RUN, {"runId": "a\0b"}),
    "NUL deep in a variable": variable(SEARCH, {"experimentIds": ["0", "a\0b"]}),
    "NUL in a metric": variable(HISTORY, {"runIds": ["x"], "metricKey": "a\0b"}),
    "NUL in a path": variable(FILES, {"runId": "$run", "path": "a\0b"}),
    "NUL in the operation": {"query": "query a { nope }", "operationName": "a\0"},
    "half a surrogate": literal(RUN, 'runId: "\\ud800"'),
    "a megabyte of query": literal(RUN, f'runId: "{MEGABYTE}"'),
    "a number of 400 digits": variable(SEARCH, {**IN_DEFAULT, "maxResults": 10**400}),
    "no end": {"query": "{ mlflowGetRun"},
    "nothing": {"query": ""},
    "no text": {"query": 7},
    "variables of another kind": {"query": "{ nope }", "variables": [7]},
}


@pytest.fixture(scope="module", params=["sqlite-file", "postgres-file"])
def asked(request, tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("graphql"), *flags_of(request.param)).start()
    server.run = server.mlflow("POST", "runs/create", {"experiment_id": "0"}).json()["run"]["info"]["run_id"]
    yield server
    server.stop()


@pytest.fixture(scope="module")
def elsewhere(reference):
    """MLflow's server, with a run as well."""
    url = f"{reference.url}/api/2.0/mlflow/runs/create"
    reference.run = requests.post(url, json={"experiment_id": "0"}, timeout=60).json()["run"]["info"]["run_id"]
    return reference


def ask(server, request, **options):
    body = json.dumps(request).replace("$run", server.run).encode()
    return raw.send(server.port, "POST", "/graphql", body, JSON, **options)


@pytest.mark.parametrize("request_", BAD.values(), ids=BAD)
def test_bad_values(asked, elsewhere, request_):
    # MLflow's server needs long for a megabyte.
    expected, answer = ask(elsewhere, request_, timeout_s=120), ask(asked, request_)
    assert answer.status == expected.status == 200, (answer.line, expected.line)
    body = answer.json()
    assert set(body) == {"data", "errors"} and body["errors"], answer.body[:300]
    assert body["data"] is None or set(body["data"].values()) == {None}, body["data"]
    for error in body["errors"]:
        assert isinstance(error, str) and error and INTERNAL not in error and len(error) < 2_100, error[:300]


@pytest.mark.parametrize("request_", REFUSED.values(), ids=REFUSED)
def test_what_is_refused_as_a_whole(asked, request_):
    answer = ask(asked, request_)
    refused(answer, request_["query"])
    assert answer.status == 400 and answer.json()["error_code"] == "INVALID_PARAMETER_VALUE", answer.body


def test_what_only_looks_like_it(asked):
    """A megabyte that is only looked for, and a text that is given back, are no errors."""
    found = ask(asked, variable(HISTORY, {"runIds": [asked.run], "metricKey": MEGABYTE})).json()
    assert found == {"data": {"mlflowGetMetricHistoryBulkInterval": {"metrics": []}}, "errors": None}
    echo = {"query": "query q($i: String) { test(inputString: $i) { output } }", "variables": {"i": "a\\u0000b"}}
    assert ask(asked, echo).json()["data"]["test"]["output"] == "a\\u0000b", "the six characters, and no NUL"
