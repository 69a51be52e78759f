"""Tracking calls answer as MLflow's own server does: fields, defaults, codes, messages."""

import json

import pytest


@pytest.fixture
def experiment(both):
    both.same("POST", "experiments/create", {"name": "$unique"}, save={"experiment": "experiment_id"})
    return both


@pytest.fixture
def run(experiment):
    experiment.same(
        "POST",
        "runs/create",
        {"experiment_id": "$experiment", "start_time": 1700000000000, "user_id": "ada", "run_name": "first"},
        save={"run": "run.info.run_id"},
    )
    return experiment


def test_experiment_comes_back(experiment):
    experiment.same("GET", "experiments/get", {"experiment_id": "$experiment"})
    experiment.same("GET", "experiments/get-by-name", {"experiment_name": "$unique"})


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "experiments/create", {"name": "$unique"}),
        ("POST", "experiments/create", {}),
        ("POST", "experiments/create", {"name": ""}),
        ("POST", "experiments/create", {"name": 3}),
        ("POST", "experiments/create", {"name": "x" * 501}),
        ("GET", "experiments/get", {}),
        ("GET", "experiments/get", {"experiment_id": "987654321"}),
        ("GET", "experiments/get-by-name", {"experiment_name": "nobody-made-this"}),
        ("GET", "experiments/get-by-name", {}),
        ("POST", "experiments/update", {"experiment_id": "987654321", "new_name": "x"}),
        ("POST", "experiments/delete", {"experiment_id": "987654321"}),
        ("POST", "experiments/restore", {"experiment_id": "987654321"}),
        ("POST", "experiments/set-experiment-tag", {"experiment_id": "$experiment", "value": "v"}),
        ("POST", "experiments/set-experiment-tag", {"experiment_id": "$experiment", "key": "a" * 251, "value": "v"}),
    ],
)
def test_refused_experiment_calls(experiment, method, path, body):
    experiment.same(method, path, body)


def test_custom_views_of_the_pages(experiment):
    def view(number):
        return {"key": f"mlflow.customView.view.v1.{number}", "value": "{}"}

    def tag(number):
        experiment.same("POST", "experiments/set-experiment-tag", {"experiment_id": "$experiment", **view(number)})

    experiment.same("POST", "experiments/create", {"name": "$unique-51", "tags": [view(n) for n in range(51)]})
    experiment.same(
        "POST",
        "experiments/create",
        {"name": "$unique-50", "tags": [view(n) for n in range(50)]},
        save={"experiment": "experiment_id"},
    )
    tag(50)
    tag(49)
    experiment.same(
        "POST", "experiments/set-experiment-tag", {"experiment_id": "$experiment", "key": "k", "value": "v"}
    )
    experiment.same(
        "POST", "experiments/delete-experiment-tag", {"experiment_id": "$experiment", "key": view(0)["key"]}
    )
    tag(50)


def test_experiment_life(experiment):
    experiment.same(
        "POST", "experiments/set-experiment-tag", {"experiment_id": "$experiment", "key": "team", "value": "blue"}
    )
    experiment.same("POST", "experiments/update", {"experiment_id": "$experiment", "new_name": "$unique-renamed"})
    experiment.same("GET", "experiments/get", {"experiment_id": "$experiment"})
    experiment.same("POST", "experiments/delete", {"experiment_id": "$experiment"})
    experiment.same("GET", "experiments/get", {"experiment_id": "$experiment"})
    experiment.same("POST", "runs/create", {"experiment_id": "$experiment"})
    experiment.same("POST", "experiments/create", {"name": "$unique-renamed"})
    experiment.same("POST", "experiments/restore", {"experiment_id": "$experiment"})
    experiment.same("GET", "experiments/get", {"experiment_id": "$experiment"})


def test_run_life(run):
    run.same("GET", "runs/get", {"run_id": "$run"})
    run.same("POST", "runs/log-metric", {"run_id": "$run", "key": "loss", "value": 0.5, "timestamp": 1, "step": 0})
    run.same("POST", "runs/log-metric", {"run_id": "$run", "key": "loss", "value": 0.25, "timestamp": 2, "step": 1})
    run.same("POST", "runs/log-metric", {"run_id": "$run", "key": "late", "value": 7, "timestamp": 2})
    run.same("POST", "runs/log-parameter", {"run_id": "$run", "key": "depth", "value": "3"})
    run.same("POST", "runs/set-tag", {"run_id": "$run", "key": "colour", "value": "red"})
    run.same("POST", "runs/set-tag", {"run_id": "$run", "key": "colour", "value": "green"})
    run.same("GET", "runs/get", {"run_id": "$run"})
    run.same("POST", "runs/delete-tag", {"run_id": "$run", "key": "colour"})
    run.same("POST", "runs/delete-tag", {"run_id": "$run", "key": "colour"})
    run.same(
        "POST",
        "runs/update",
        {"run_id": "$run", "status": "FINISHED", "end_time": 1700000001000, "run_name": "renamed"},
    )
    run.same("GET", "runs/get", {"run_id": "$run"})
    run.same("POST", "runs/delete", {"run_id": "$run"})
    run.same("GET", "runs/get", {"run_id": "$run"})
    run.same("POST", "runs/log-parameter", {"run_id": "$run", "key": "more", "value": "3"})
    run.same("POST", "runs/restore", {"run_id": "$run"})
    run.same("GET", "runs/get", {"run_id": "$run"})


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "runs/create", {"experiment_id": "987654321"}),
        ("GET", "runs/get", {}),
        ("GET", "runs/get", {"run_id": "0" * 32}),
        ("POST", "runs/update", {"run_id": "0" * 32, "status": "FINISHED"}),
        ("POST", "runs/delete", {"run_id": "0" * 32}),
        ("POST", "runs/log-metric", {"run_id": "$run", "value": 1.0, "timestamp": 1}),
        ("POST", "runs/log-metric", {"run_id": "$run", "key": "m", "timestamp": 1}),
        ("POST", "runs/log-metric", {"run_id": "$run", "key": "m", "value": 1.0}),
        ("POST", "runs/log-metric", {"run_id": "$run", "key": "m", "value": "much", "timestamp": 1}),
        ("POST", "runs/log-metric", {"run_id": "$run", "key": "m" * 251, "value": 1, "timestamp": 1}),
        ("POST", "runs/log-metric", {"run_id": "$run", "key": "../m", "value": 1, "timestamp": 1}),
        ("POST", "runs/log-metric", {"run_id": "$run", "key": "m%", "value": 1, "timestamp": 1}),
        ("POST", "runs/log-parameter", {"run_id": "$run", "key": "p" * 251, "value": "v"}),
        ("POST", "runs/log-parameter", {"run_id": "$run", "key": "p", "value": "v" * 6001}),
        ("POST", "runs/log-parameter", {"run_id": "$run", "value": "v"}),
        ("POST", "runs/log-parameter", {"run_id": "$run", "key": "/p", "value": "v"}),
        ("POST", "runs/set-tag", {"run_id": "$run", "key": "t" * 251, "value": "v"}),
        ("POST", "runs/set-tag", {"run_id": "$run", "key": "t", "value": "v" * 8001}),
        ("GET", "metrics/get-history", {"run_id": "$run"}),
        ("GET", "metrics/get-history", {"run_id": "0" * 32, "metric_key": "m"}),
        ("POST", "runs/log-batch", {"run_id": "0" * 32}),
        ("POST", "runs/search", {"experiment_ids": ["$experiment"], "max_results": 50001}),
        ("POST", "runs/search", {"experiment_ids": ["$experiment"], "page_token": "not a token"}),
        ("GET", "artifacts/list", {"run_id": "$run", "path": "../up"}),
        ("GET", "artifacts/list", {"run_id": "0" * 32}),
    ],
)
def test_refused_run_calls(run, method, path, body):
    run.same(method, path, body)


@pytest.mark.parametrize(
    "body",
    [
        {"filter": "metrics.loss >"},
        {"filter": "params.a = 3"},
        {"filter": "wishes.a = '3'"},
        {"filter": "metrics.loss ~ 3"},
        {"filter": "metrics.loss = '3'"},
        {"filter": "params.a = '3' or params.a = '4'"},
        {"filter": "params.a = '3"},
        {"filter": "attributes.colour = 'red'"},
        {"filter": "'; DROP TABLE runs; --"},
        {"order_by": ["metrics.a SIDEWAYS"]},
        {"order_by": ["wishes.a"]},
        {"order_by": [""]},
    ],
    ids=str,
)
def test_refused_searches(run, body):
    run.alike("POST", "runs/search", {"experiment_ids": ["$experiment"], **body})


def test_a_run_is_made_with_tags_of_any_kind(experiment):
    """MLflow checks the tags that are set later only."""
    odd = {"owner(team)": "a", "git@sha": "x", "../up": "y", "mlflow.note.content": "long " * 4000}
    tags = [{"key": key, "value": value} for key, value in {**odd, **{f"t{i}": "v" for i in range(120)}}.items()]
    made = {"experiment_id": "$experiment", "run_name": "r", "start_time": 5, "tags": tags}
    experiment.same("POST", "runs/create", made, save={"run": "run.info.run_id"})
    experiment.same("GET", "runs/get", {"run_id": "$run"})


def test_a_run_keeps_its_name(run):
    run.same("POST", "runs/set-tag", {"run_id": "$run", "key": "mlflow.runName", "value": ""})
    run.same("GET", "runs/get", {"run_id": "$run"})
    tags = [{"key": "mlflow.runName", "value": name} for name in ("second", "")] + [{"key": "a", "value": ""}]
    run.same("POST", "runs/log-batch", {"run_id": "$run", "tags": tags})
    run.same("GET", "runs/get", {"run_id": "$run"})


def test_a_long_history_of_models(run):
    """Longer than a tag may be."""
    for number in range(6):
        flavors = {"python_function": {"loader_module": "m", "env": "x" * 2000}}
        model = {"artifact_path": f"model{number}", "flavors": flavors, "utc_time_created": "2024-01-01 00:00:00"}
        model |= {"model_uuid": f"{number:032}", "run_id": "0" * 32, "mlflow_version": "2.22.0"}
        run.same("POST", "runs/log-model", {"run_id": "$run", "model_json": json.dumps(model)})
    histories = []
    for side in (run.reference, run.subject):
        tags = side.ask("GET", "runs/get", {"run_id": "$run"}).json()["run"]["data"]["tags"]
        history = next(tag["value"] for tag in tags if tag["key"] == "mlflow.log-model.history")
        histories.append(json.loads(history))
    assert histories[1] == histories[0] and len(histories[0]) == 6


def test_a_param_is_written_once(run):
    run.same("POST", "runs/log-parameter", {"run_id": "$run", "key": "p", "value": "1"})
    run.same("POST", "runs/log-parameter", {"run_id": "$run", "key": "p", "value": "1"})
    run.same("POST", "runs/log-parameter", {"run_id": "$run", "key": "p", "value": "2"})
    run.same("POST", "runs/log-batch", {"run_id": "$run", "params": [{"key": "p", "value": 'it\'s "2"\n'}]})
    run.same("GET", "runs/get", {"run_id": "$run"})


def test_a_metric_that_is_no_number(run):
    run.same("POST", "runs/log-metric", {"run_id": "$run", "key": "m", "value": "NaN", "timestamp": 5, "step": 1})
    run.same("GET", "metrics/get-history", {"run_id": "$run", "metric_key": "m"})


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        *(("Infinity", "Infinity"), ("-Infinity", "-Infinity")),
        # What Python's `str` makes of them.
        *(("inf", "Infinity"), ("-inf", "-Infinity"), ("nan", "NaN")),
    ],
)
def test_infinities_survive(run, value, kept):
    """MLflow's own server turns them into the largest number that it can store, and refuses `nan`."""
    ours = run.subject
    ours.ask("POST", "runs/log-metric", {"run_id": "$run", "key": "m", "value": value, "timestamp": 5})
    history = ours.ask("GET", "metrics/get-history", {"run_id": "$run", "metric_key": "m"}).json()
    assert history["metrics"][0]["value"] == kept
    answer = ours.ask("POST", "runs/log-metric", {"run_id": "$run", "key": "m", "value": "1e999", "timestamp": 5})
    assert answer.status_code == 400 and "value" in answer.json()["message"], answer.text


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("runs/update", {"status": "DANCING"}, "status"),
        ("runs/log-batch", {"metrics": [{"key": "m", "value": 1, "timestamp": "soon"}]}, "timestamp"),
        ("runs/log-inputs", {"datasets": [{"dataset": {"name": "no digest"}}]}, "digest"),
    ],
)
def test_what_mlflow_drops_in_silence_is_refused_here(run, path, body, field):
    answer = run.subject.ask("POST", path, {"run_id": "$run", **body})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error_code"] == "INVALID_PARAMETER_VALUE" and field in answer.json()["message"]


def test_batches(run):
    metrics = [{"key": f"m{i % 5}", "value": i / 3, "timestamp": i, "step": i} for i in range(50)]
    params = [{"key": f"p{i}", "value": str(i)} for i in range(20)]
    tags = [{"key": f"t{i}", "value": str(i)} for i in range(20)]
    run.same("POST", "runs/log-batch", {"run_id": "$run", "metrics": metrics, "params": params, "tags": tags})
    run.same("GET", "runs/get", {"run_id": "$run"})
    run.same("GET", "metrics/get-history", {"run_id": "$run", "metric_key": "m3"})
    run.same("GET", "metrics/get-history", {"run_id": "$run", "metric_key": "never-logged"})


@pytest.mark.parametrize(
    "batch",
    [
        {"metrics": [{"key": "m", "value": 1, "timestamp": 1}] * 1001},
        {"params": [{"key": f"p{i}", "value": "v"} for i in range(101)]},
        {"tags": [{"key": f"t{i}", "value": "v"} for i in range(101)]},
        {"params": [{"key": "p", "value": "1"}, {"key": "p", "value": "2"}]},
        {"params": [{"key": "p", "value": "1"}, {"key": "q" * 300, "value": "2"}]},
        {"metrics": [{"key": "m", "value": 1, "timestamp": 1}, {"key": "n", "timestamp": 1}]},
        {"metrics": "many"},
    ],
    ids=["metrics", "params", "tags", "twice", "long-key", "no-value", "not-a-list"],
)
def test_refused_batches_write_nothing(run, batch):
    run.same("POST", "runs/log-batch", {"run_id": "$run", **batch})
    run.same("GET", "runs/get", {"run_id": "$run"})


def test_inputs(run):
    dataset = {
        "name": "iris",
        "digest": "abc123",
        "source_type": "local",
        "source": "{}",
        "schema": "{}",
        "profile": "{}",
    }
    tags = [{"key": "mlflow.data.context", "value": "training"}]
    run.same("POST", "runs/log-inputs", {"run_id": "$run", "datasets": [{"dataset": dataset, "tags": tags}]})
    run.same("GET", "runs/get", {"run_id": "$run"})


def test_children_and_names(experiment):
    experiment.same(
        "POST",
        "runs/create",
        {"experiment_id": "$experiment", "start_time": 5, "tags": [{"key": "mlflow.runName", "value": "by tag"}]},
        save={"run": "run.info.run_id"},
    )
    experiment.same("POST", "runs/set-tag", {"run_id": "$run", "key": "mlflow.runName", "value": "by tag again"})
    experiment.same("GET", "runs/get", {"run_id": "$run"})


def test_experiment_search(experiment):
    experiment.same("POST", "experiments/search", {"filter": "name = '$unique'", "max_results": 10})
    experiment.same("POST", "experiments/search", {"max_results": 0})
    experiment.same("GET", "experiments/search", {"filter": "name LIKE '$unique%'", "max_results": 10})
