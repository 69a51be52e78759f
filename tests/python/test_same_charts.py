"""What MLflow's pages ask beyond its client answers as MLflow's own server does."""

import pytest
import requests

PAGES = "/ajax-api/2.0/mlflow/"


@pytest.fixture
def runs(both):
    both.same("POST", "experiments/create", {"name": "$unique"}, save={"experiment": "experiment_id"})
    for name in ("first", "second"):
        body = {"experiment_id": "$experiment", "run_name": name}
        both.same("POST", "runs/create", body, save={name: "run.info.run_id"})
    return both


@pytest.fixture
def charts(runs):
    for run, steps in (("$first", range(10)), ("$second", range(-2, 40, 2))):
        metrics = [{"key": "loss", "value": step / 4, "timestamp": 100 + step, "step": step} for step in steps]
        metrics += [{"key": "loss", "value": value, "timestamp": 7, "step": 4} for value in (0.25, 0.5)]
        runs.same("POST", "runs/log-batch", {"run_id": run, "metrics": metrics})
    return runs


@pytest.mark.parametrize(
    "query",
    [
        {"run_ids": ["$second", "$first"]},
        {"run_ids": ["$first"], "start_step": 2, "end_step": 6},
        {"run_ids": ["$first"], "start_step": 100, "end_step": 200},
        {"run_ids": ["$first"], "start_step": 2},
        {"run_ids": ["$first"], "start_step": 2, "end_step": 1},
        {"run_ids": ["$first"], "max_results": 0},
        {"run_ids": ["$first"], "max_results": 2501},
        {"run_ids": ["$first"], "start_step": "x", "end_step": 1},
        {"run_ids": [f"r{number}" for number in range(101)]},
        {"run_ids": []},
    ],
)
def test_sampled_histories(charts, query):
    charts.same("GET", PAGES + "metrics/get-history-bulk-interval", {"metric_key": "loss", **query})


def test_long_histories_end_where_the_run_does(runs):
    """More steps than a chart has points, and values without steps."""
    steps = {"long": range(3000), "flat": [0] * 3000}
    for key, of_key in steps.items():
        for first in range(0, 3000, 1000):
            metrics = [
                {"key": key, "value": number, "timestamp": number, "step": of_key[number]}
                for number in range(first, first + 1000)
            ]
            runs.same("POST", "runs/log-batch", {"run_id": "$first", "metrics": metrics})
    for query in ({"metric_key": "flat"}, {"metric_key": "long"}, {"metric_key": "long", "max_results": 320}):
        query["run_ids"] = ["$first"]
        sides = (runs.reference, runs.subject)
        found = [side.ask("GET", PAGES + "metrics/get-history-bulk-interval", query).json() for side in sides]
        theirs, ours = ([answer["metrics"][at]["value"] for at in (0, -1)] for answer in found)
        assert ours == theirs == [0, 2999]
        assert len(found[1]["metrics"]) <= 2501
    query = {"metric_key": "flat", "max_results": 320, "run_ids": ["$first"]}
    answer = runs.subject.ask("GET", PAGES + "metrics/get-history-bulk-interval", query).json()
    values = [metric["value"] for metric in answer["metrics"]]
    assert len(values) <= 321 and values == sorted(values) and (values[0], values[-1]) == (0, 2999)


def test_sampled_histories_need_a_metric(charts):
    charts.same("GET", PAGES + "metrics/get-history-bulk-interval", {"run_ids": ["$first"]})
    charts.same("GET", PAGES + "metrics/get-history-bulk-interval", {"run_ids": ["$first"], "metric_key": ""})


@pytest.mark.parametrize(
    "query",
    [
        {"metric_key": "loss"},
        {"metric_key": "loss", "run_id": [f"r{number}" for number in range(101)]},
        {"run_id": ["$first"]},
        {"run_id": ["$first"], "metric_key": "nothing"},
        {"run_id": ["0" * 32], "metric_key": "loss"},
    ],
)
def test_whole_histories(charts, query):
    charts.same("GET", PAGES + "metrics/get-history-bulk", query)


def test_whole_histories_in_order(charts):
    """MLflow orders by run id, which each server makes itself: runs are asked one by one, then together."""
    for run in ("$first", "$second"):
        for more in ({}, {"max_results": 3}):
            charts.same("GET", PAGES + "metrics/get-history-bulk", {"run_id": [run], "metric_key": "loss", **more})
    ours = charts.subject
    ids = [ours.ids["second"], ours.ids["first"]]
    query = {"run_id": ids, "metric_key": "loss"}
    metrics = requests.get(ours.url + PAGES + "metrics/get-history-bulk", params=query, timeout=60).json()["metrics"]
    assert [metric["run_id"] for metric in metrics] == sorted(metric["run_id"] for metric in metrics)
    assert len(metrics) == 12 + 23


@pytest.mark.parametrize("ids", [[], ["$experiment"] * 21, ["987654321"], ["$experiment"], ["$experiment", "0"]])
def test_datasets(runs, ids):
    dataset = {"name": "iris", "digest": "d1", "source_type": "local", "source": "{}"}
    for run, context in (("$first", "training"), ("$second", "training")):
        tags = [{"key": "mlflow.data.context", "value": context}]
        runs.same("POST", "runs/log-inputs", {"run_id": run, "datasets": [{"dataset": dataset, "tags": tags}]})
    runs.same("POST", PAGES + "experiments/search-datasets", {"experiment_ids": ids})


def test_a_dataset_without_a_context(runs):
    dataset = {"name": "plain", "digest": "d2", "source_type": "local", "source": "{}"}
    runs.same("POST", "runs/log-inputs", {"run_id": "$first", "datasets": [{"dataset": dataset}]})
    runs.same("POST", PAGES + "experiments/search-datasets", {"experiment_ids": ["$experiment"]})


def upload(side, query, content):
    return requests.post(side.url + PAGES + "upload-artifact", params=side.fill(query), data=content, timeout=60)


@pytest.mark.parametrize(
    ("query", "content"),
    [
        ({}, b"x"),
        ({"run_uuid": "$first"}, b"x"),
        ({"run_uuid": "$first", "path": ""}, b"x"),
        ({"run_uuid": "$first", "path": "../x"}, b"x"),
        ({"run_uuid": "$first", "path": "x"}, b""),
        ({"run_uuid": "$first", "path": "x"}, b"x" * (10 * 1024 * 1024 + 1)),
        ({"run_uuid": "0" * 32, "path": "x"}, b"x"),
        ({"run_uuid": "$first", "path": "deep/er/x.txt"}, b"hello"),
    ],
)
def test_small_uploads(runs, query, content):
    theirs, ours = (upload(side, query, content) for side in (runs.reference, runs.subject))
    assert ours.status_code == theirs.status_code
    if ours.status_code == 200:
        runs.same("GET", "/get-artifact", {"run_uuid": "$first", "path": query["path"]})
    else:
        assert runs.subject.normal(ours.json()) == runs.reference.normal(theirs.json())


def test_files_of_a_logged_model(runs):
    body = {"experiment_id": "$experiment", "name": "m", "source_run_id": "$first"}
    runs.same("POST", "logged-models", body, save={"model": "model.info.model_id"})
    for side in (runs.reference, runs.subject):
        place = f"{side.ids['experiment']}/models/{side.ids['model']}/artifacts/MLmodel"
        put = requests.put(f"{side.url}/api/2.0/mlflow-artifacts/artifacts/{place}", data=b"flavors: {}", timeout=60)
        assert put.status_code == 200
    for query in ({"artifact_file_path": "MLmodel"}, {}, {"artifact_file_path": "../MLmodel"}):
        runs.same("GET", PAGES + "logged-models/$model/artifacts/files", query)
