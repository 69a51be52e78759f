"""What MLflow's R and Java clients and hand-written REST send: other JSON than the Python client's, and the same in
what is kept. The bodies are what `rapply(data, as.character)` and protobuf's `JsonFormat` with
`preservingProtoFieldNames` make of the clients' calls."""

import json

import pytest
import requests

START, END = 1_700_000_000_000, 1_700_000_000_500


@pytest.fixture
def run(both):
    both.same("POST", "experiments/create", {"name": "$unique"}, save={"experiment": "experiment_id"})
    body = {"experiment_id": "$experiment", "run_name": "first", "user_id": "ada", "start_time": START}
    both.same("POST", "runs/create", body, save={"run": "run.info.run_id"})
    return both


def both_ids(**fields):
    """Both clients name a run twice."""
    return {"run_uuid": "$run", "run_id": "$run", **fields}


# R posts every value as text, and writes numbers the shorter way.
R = [
    ("runs/log-metric", both_ids(key="loss", value="1e-04", timestamp="1.7e+12", step="1e+05")),
    ("runs/log-metric", both_ids(key="loss", value="NaN", timestamp="1.7e+12", step="0")),
    (
        "runs/log-batch",
        {
            "run_id": "$run",
            "metrics": [{"key": "acc", "value": "0.9", "timestamp": "1700000000123", "step": "2e+05"}],
            "params": [{"key": "epochs", "value": "1e+05"}],
            "tags": [{"key": "shuffled", "value": "TRUE"}],
        },
    ),
    ("runs/log-parameter", both_ids(key="shuffle", value="TRUE")),
    ("runs/set-tag", both_ids(key="mlflow.source.type", value="LOCAL")),
    ("runs/update", both_ids(status="FINISHED", end_time="1.7000000005e+12")),
]
# Protobuf writes 64 bits as text, and what JSON has no number for as a word.
JAVA = [
    ("runs/log-metric", both_ids(key="loss", value=1e-04, timestamp=str(START), step="100000")),
    ("runs/log-metric", both_ids(key="loss", value="NaN", timestamp=str(START), step="0")),
    (
        "runs/log-batch",
        {
            "run_id": "$run",
            "metrics": [{"key": "acc", "value": 0.9, "timestamp": "1700000000123", "step": "200000"}],
            "params": [{"key": "epochs", "value": "1e+05"}],
            "tags": [{"key": "shuffled", "value": "TRUE"}],
        },
    ),
    ("runs/log-parameter", both_ids(key="shuffle", value="TRUE")),
    ("runs/set-tag", both_ids(key="mlflow.source.type", value="LOCAL")),
    ("runs/update", both_ids(status="FINISHED", end_time=str(END))),
]


@pytest.mark.parametrize("calls", [R, JAVA], ids=["R", "Java"])
def test_a_run_of_another_client(run, calls):
    for path, body in calls:
        run.same("POST", path, body)
    seen = run.same("GET", "runs/get", both_ids())["run"]
    assert seen["info"]["end_time"] == "<clock>" and seen["info"]["status"] == "FINISHED"
    assert {item["key"]: item["value"] for item in seen["data"]["params"]} == {"epochs": "1e+05", "shuffle": "TRUE"}
    history = run.subject.ask("GET", "metrics/get-history", both_ids(metric_key="loss")).json()["metrics"]
    assert history == [
        {"key": "loss", "value": "NaN", "timestamp": START, "step": 0},
        {"key": "loss", "value": 1e-04, "timestamp": START, "step": 100_000},
    ]
    run.same("GET", "metrics/get-history", both_ids(metric_key="loss"))
    run.same("GET", "metrics/get-history", both_ids(metric_key="acc"))


@pytest.mark.parametrize("start", ["1.7e+12", str(START)])
def test_a_run_begins_with_text(run, start):
    body = {"experiment_id": "$experiment", "run_name": "r", "user_id": "unknown", "start_time": start}
    run.same("POST", "runs/create", body, save={"second": "run.info.run_id"})
    info = run.subject.ask("GET", "runs/get", {"run_id": "$second"}).json()["run"]["info"]
    assert info["start_time"] == START


@pytest.mark.parametrize(("path", "limit"), [("experiments/search", "100"), ("runs/search", "1000")])
def test_limits_as_text(run, path, limit):
    assert run.subject.ask("POST", path, {"experiment_ids": ["$experiment"], "max_results": limit}).status_code == 200
    run.alike("POST", path, {"experiment_ids": ["$experiment"], "max_results": "TRUE"})


def kept(run, key):
    return run.same("GET", "metrics/get-history", {"run_id": "$run", "metric_key": key}).get("metrics", [])


@pytest.mark.parametrize(
    ("text", "number"),
    [("1e+05", 100_000), ("-1e+05", -100_000), ("1E5", 100_000), ("2.0", 2), ("3", 3), ("0", 0)],
)
def test_numbers_as_text(run, text, number):
    run.same("POST", "runs/log-metric", both_ids(key="m", value="1", timestamp="1", step=text))
    assert [metric["step"] for metric in kept(run, "m")] == [number]
    if number >= 0:
        run.same("POST", "runs/log-metric", both_ids(key="t", value="1", timestamp=text, step="1"))
        assert [metric["timestamp"] for metric in kept(run, "t")] == [number]


@pytest.mark.parametrize("text", ["1.5", "1e-01", "1e+19", "-1e+19", "1e+400", "TRUE", "NaN", "Inf", "NA", "", "0x10"])
@pytest.mark.parametrize("field", ["step", "timestamp"])
def test_text_that_is_no_whole_number(run, field, text):
    run.alike("POST", "runs/log-metric", {**both_ids(key="m", value="1", timestamp="1", step="1"), field: text})
    assert kept(run, "m") == []


@pytest.mark.parametrize("text", [str(2**63), str(-(2**63) - 1)])
@pytest.mark.parametrize("field", ["step", "timestamp"])
def test_whole_numbers_beyond_64_bits(run, field, text):
    """MLflow answers 200 and keeps 0."""
    body = {**both_ids(key="m", value="1", timestamp="1", step="1"), field: text}
    answer = run.subject.ask("POST", "runs/log-metric", body)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), answer.text
    history = {"run_id": "$run", "metric_key": "m"}
    assert run.subject.ask("GET", "metrics/get-history", history).json().get("metrics", []) == []


# What `json.dumps` writes; it comes back as text.
WORDS = ["NaN", "Infinity", "-Infinity"]


def post(side, path, text):
    """The text as it stands: `requests` refuses to write such numbers."""
    headers = {"Content-Type": "application/json"}
    return requests.post(f"{side.url}/api/2.0/mlflow/{path}", data=side.fill(text), headers=headers, timeout=60)


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("path", ["runs/log-metric", "runs/log-batch"])
def test_numbers_that_json_does_not_have(run, path, word):
    """MLflow takes them too, but stops to read there: it keeps 0 at the time 0."""
    metric = {"key": "m", "value": float(word), "timestamp": 5, "step": 7}
    body = {"run_id": "$run", **metric} if path.endswith("metric") else {"run_id": "$run", "metrics": [metric]}
    text = json.dumps(body)
    assert f'"value": {word},' in text
    assert [post(side, path, text).status_code for side in (run.reference, run.subject)] == [200, 200]
    history = run.subject.ask("GET", "metrics/get-history", {"run_id": "$run", "metric_key": "m"}).json()["metrics"]
    assert history == [{"key": "m", "value": word, "timestamp": 5, "step": 7}]


ELSEWHERE = {
    "step": '{"run_id": "$run", "key": "m", "value": 1, "timestamp": 5, "step": WORD}',
    "timestamp": '{"run_id": "$run", "key": "m", "value": 1, "timestamp": WORD, "step": 1}',
    "key": '{"run_id": "$run", "key": WORD, "value": 1, "timestamp": 5, "step": 1}',
    "twice minus": '{"run_id": "$run", "key": "m", "value": --WORD, "timestamp": 5, "step": 1}',
    "longer": '{"run_id": "$run", "key": "m", "value": WORDS, "timestamp": 5, "step": 1}',
    "list": '{"run_id": "$run", "key": "m", "value": [WORD], "timestamp": 5, "step": 1}',
}


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("body", ELSEWHERE.values(), ids=ELSEWHERE)
def test_such_numbers_elsewhere(run, body, word):
    answer = post(run.subject, "runs/log-metric", body.replace("WORD", word))
    assert answer.status_code == 400 and answer.json()["error_code"] == "INVALID_PARAMETER_VALUE", answer.text
    history = {"run_id": "$run", "metric_key": "m"}
    assert run.subject.ask("GET", "metrics/get-history", history).json().get("metrics", []) == []


def test_names_as_protobuf_writes_them(run):
    """Its own JSON has `runName`, where MLflow's clients keep `run_name`; what is required MLflow wants under that."""
    run.same("POST", "runs/log-batch", {"run_id": "$run", "tags": [{"key": "runId", "value": "runName"}]})
    run.same("POST", "runs/update", {"run_id": "$run", "runName": "second", "endTime": str(END), "status": "FAILED"})
    run.same("POST", "runs/search", {"experimentIds": ["$experiment"], "maxResults": 1, "runViewType": "ALL"})
    seen = run.same("GET", "runs/get", both_ids())["run"]
    assert (seen["info"]["run_name"], seen["info"]["status"]) == ("second", "FAILED")
    twice = run.subject.ask("POST", "runs/set-tag", {"runId": "$run", "run_id": "$run", "key": "t", "value": "v"})
    assert twice.status_code == 400, twice.text
