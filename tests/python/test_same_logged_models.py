"""Logged models and outputs answer as MLflow's own server does."""

import pytest


@pytest.fixture
def model(both):
    both.same("POST", "experiments/create", {"name": "$unique"}, save={"experiment": "experiment_id"})
    both.same(
        "POST",
        "runs/create",
        {"experiment_id": "$experiment", "run_name": "r", "start_time": 5},
        save={"run": "run.info.run_id"},
    )
    both.same(
        "POST",
        "logged-models",
        {
            "experiment_id": "$experiment",
            "name": "net",
            "source_run_id": "$run",
            "model_type": "Agent",
            "params": [{"key": "depth", "value": "3"}],
            "tags": [{"key": "team", "value": "blue"}],
        },
        save={"model": "model.info.model_id"},
    )
    return both


def test_life(model):
    model.same("GET", "logged-models/$model")
    model.same("PATCH", "logged-models/$model", {"model_id": "$model", "status": "LOGGED_MODEL_READY"})
    model.same("PATCH", "logged-models/$model/tags", {"tags": [{"key": "colour", "value": "red"}]})
    model.same("DELETE", "logged-models/$model/tags/team")
    model.same(
        "POST", "logged-models/$model/params", {"model_id": "$model", "params": [{"key": "width", "value": "8"}]}
    )
    model.same("GET", "logged-models/$model")
    model.same("DELETE", "logged-models/$model")
    model.same("GET", "logged-models/$model")


def test_long_values_and_keys_that_are_no_names(model):
    params = [{"key": "prompt", "value": "x" * 9000}, {"key": "messages[0].role", "value": "user"}]
    tags = [{"key": "card", "value": "y" * 20_000}, {"key": "owner(team)", "value": "é"}]
    model.same("POST", "logged-models/$model/params", {"model_id": "$model", "params": params})
    model.same("PATCH", "logged-models/$model/tags", {"tags": tags})
    model.same("GET", "logged-models/$model")
    made = {"experiment_id": "$experiment", "name": "odd", "params": params, "tags": tags}
    model.same("POST", "logged-models", made, save={"odd": "model.info.model_id"})
    model.same("GET", "logged-models/$odd")


def test_a_model_knows_its_versions_but_not_their_copies(model):
    model.same("PATCH", "logged-models/$model", {"model_id": "$model", "status": "LOGGED_MODEL_READY"})
    for name, source, named in (
        ("first-$unique", "models:/$model", True),
        ("copy-$unique", "models:/first-$unique/1", False),
    ):
        model.same("POST", "registered-models/create", {"name": name})
        body = {"name": name, "source": source}
        model.same("POST", "model-versions/create", {**body, "model_id": "$model"} if named else body)
    model.same("GET", "logged-models/$model")


def test_metrics_of_a_model(model):
    model.same(
        "POST",
        "runs/log-metric",
        {"run_id": "$run", "key": "acc", "value": 0.75, "timestamp": 9, "step": 2, "model_id": "$model"},
    )
    model.same("GET", "logged-models/$model")
    model.same("GET", "runs/get", {"run_id": "$run"})


def test_outputs_of_a_run(model):
    model.same("POST", "runs/outputs", {"run_id": "$run", "models": [{"model_id": "$model", "step": 1}]})
    model.same("GET", "runs/get", {"run_id": "$run"})


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"filter": "name = 'net'"},
        {"filter": "params.depth = '3' and tags.team = 'blue'"},
        {"filter": "params.depth = '4'"},
        {"order_by": [{"field_name": "name", "ascending": True}]},
        {"max_results": 1},
    ],
    ids=str,
)
def test_search(model, body):
    model.same("POST", "logged-models/search", {"experiment_ids": ["$experiment"], **body})


@pytest.mark.parametrize("dataset", [{"dataset_name": "d"}, {"dataset_digest": "1"}], ids=str)
def test_half_a_dataset_is_refused(model, dataset):
    metric = {"key": "acc", "value": 0.5, "timestamp": 1, "step": 0, "model_id": "$model", **dataset}
    model.same("POST", "runs/log-metric", {"run_id": "$run", **metric})
    model.same("POST", "runs/log-batch", {"run_id": "$run", "metrics": [metric]})


@pytest.mark.parametrize(
    "dataset",
    [
        {"dataset_name": "train"},
        {"dataset_name": "test", "dataset_digest": "d2"},
        {"dataset_digest": "d1"},
        {"dataset_digest": "d2"},
        {"dataset_name": "", "dataset_digest": ""},
        {"dataset_name": "train", "dataset_digest": "d2"},
    ],
    ids=str,
)
def test_ordered_by_a_metric_on_a_dataset(model, dataset):
    body = {"experiment_id": "$experiment", "name": "other", "source_run_id": "$run"}
    model.same("POST", "logged-models", body, save={"other": "model.info.model_id"})
    for timestamp, (of, name, digest, value) in enumerate(
        [
            ("$model", "train", "d1", 0.9),
            ("$model", "test", "d2", 0.1),
            ("$other", "train", "d1", 0.5),
            ("$other", "test", "d2", 0.7),
        ]
    ):
        metric = {"run_id": "$run", "key": "acc", "value": value, "timestamp": timestamp, "step": 0, "model_id": of}
        model.same("POST", "runs/log-metric", {**metric, "dataset_name": name, "dataset_digest": digest})
    order = {"field_name": "metrics.acc", "ascending": True, **dataset}
    model.same("POST", "logged-models/search", {"experiment_ids": ["$experiment"], "order_by": [order]})


def test_a_refused_search(model):
    model.alike("POST", "logged-models/search", {"experiment_ids": ["$experiment"], "filter": "name ="})


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "logged-models", {"experiment_id": "987654321", "name": "net"}),
        ("POST", "logged-models", {"experiment_id": "$experiment", "name": "a/b"}),
        ("GET", "logged-models/m-00000000000000000000000000000000", None),
        (
            "PATCH",
            "logged-models/m-00000000000000000000000000000000",
            {"model_id": "m-00000000000000000000000000000000", "status": "LOGGED_MODEL_READY"},
        ),
        ("DELETE", "logged-models/m-00000000000000000000000000000000", None),
        ("DELETE", "logged-models/$model/tags/never", None),
    ],
)
def test_refused(model, method, path, body):
    model.same(method, path, body)
