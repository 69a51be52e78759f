"""A server filled with everything that an import takes, and the comparison of two servers object by
object through the unmodified MLflow client. Runs as a script, too, for a client of another version:
`python importing.py fill URL` and `python importing.py snapshot URL FILE`."""

import json
import math
import os
import pickle
import sys
import tempfile
from pathlib import Path

import importing_traces
import mlflow
import numpy
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from sklearn.linear_model import LogisticRegression

NEW_CLIENT = int(mlflow.__version__.split(".")[0]) >= 3
if NEW_CLIENT:
    from mlflow.entities import LoggedModelInput
IS_PROMPT = "tags.`mlflow.prompt.is_prompt` = 'true'"


def model_and_data():
    features = numpy.array([[0.0, 1.0], [1.0, 0.0], [0.9, 0.1], [0.2, 0.8]])
    labels = numpy.array([0, 1, 1, 0])
    return LogisticRegression().fit(features, labels), features


def client_of(url):
    """A client of that server alone: by itself it would ask the last named one for models."""
    mlflow.set_tracking_uri(url)
    mlflow.set_registry_uri(url)
    return MlflowClient(url, url)


def fill(url):
    """Returns the names and ids that tests ask for."""
    client = client_of(url)
    shapes = client.create_experiment("shapes", tags={"team": "blue", "mlflow.note.content": "ünï\ncode"})
    gone = client.create_experiment("gone")
    client.create_run(gone)
    client.delete_experiment(gone)
    run = plain_run(client, shapes)
    deleted = client.create_run(shapes, run_name="deleted")
    client.log_text(deleted.info.run_id, "kept for its version", "kept/MLmodel")
    made = registered(client, run, deleted)
    client.delete_run(deleted.info.run_id)
    client.create_run("0", run_name="in the default experiment")
    if NEW_CLIENT:
        prompts(client)
    traces = importing_traces.fill(client, client.create_experiment("agents"), run.info.run_id)
    ids = {"experiment": shapes, "run": run.info.run_id, "deleted_run": deleted.info.run_id, **made}
    return {**ids, "traces": traces}


def plain_run(client, experiment):
    run = client.create_run(experiment, run_name="first", start_time=1_700_000_000_123)
    run_id = run.info.run_id
    loss = [Metric("loss", 1 / (step + 1), 1_700_000_000_000 + step, step) for step in range(1200)]
    for start in range(0, len(loss), 500):
        client.log_batch(run_id, metrics=loss[start : start + 500])
    odd = [math.nan, math.inf, -math.inf, 0.0, -0.5]
    client.log_batch(
        run_id,
        metrics=[Metric("odd/values", value, 5, step) for step, value in enumerate(odd)],
        params=[Param("C", "1.0"), Param("long", "x" * 5_000), Param("empty", "")],
        tags=[RunTag("mlflow.user", "ada"), RunTag("note", "ünï"), RunTag("long", "y" * 5_000)],
    )
    client.log_text(run_id, "plain", "notes/a b/ünï.txt")
    client.log_text(run_id, "", "notes/empty.txt")
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder) / "large.bin"
        large.write_bytes(os.urandom(3_000_000))
        client.log_artifact(run_id, str(large), "weights")
        client.log_artifact(run_id, str(large), "again")
    # A run is taken up again in its own experiment only, and one of another test may be set.
    mlflow.set_experiment(experiment_id=client.get_run(run_id).info.experiment_id)
    with mlflow.start_run(run_id=run_id):
        frame = mlflow.data.from_numpy(numpy.arange(6).reshape(3, 2), name="numbers", targets=numpy.arange(3))
        mlflow.log_input(frame, context="training", tags={"split": "a"} if NEW_CLIENT else None)
    client.set_terminated(run_id, "FINISHED", 1_700_000_009_999)
    return client.get_run(run_id)


def registered(client, run, deleted):
    model, features = model_and_data()
    mlflow.set_experiment("shapes")
    for number in (1, 2, 3):
        with mlflow.start_run(run_name=f"training {number}") as training:
            mlflow.log_param("number", number)
            mlflow.log_metric("accuracy", 0.9)
            name = {"name": "model"} if NEW_CLIENT else {"artifact_path": "model"}
            logged = mlflow.sklearn.log_model(model, **name, registered_model_name="iris", input_example=features[:2])
    client.delete_model_version("iris", "2")
    client.update_registered_model("iris", "flowers")
    client.set_registered_model_tag("iris", "task", "classification")
    client.update_model_version("iris", "1", "the first")
    client.set_model_version_tag("iris", "3", "validated", "yes")
    client.transition_model_version_stage("iris", "1", "Archived")
    client.transition_model_version_stage("iris", "3", "Production")
    client.set_registered_model_alias("iris", "champion", "3")
    client.set_registered_model_alias("iris", "first", "1")
    client.copy_model_version("models:/iris/3", "a-copy")
    client.log_text(run.info.run_id, "flavors: {}", "files/MLmodel")
    client.create_registered_model("old-style", tags={"kind": "old"})
    client.create_model_version("old-style", f"{run.info.artifact_uri}/files", run.info.run_id)
    client.create_model_version("old-style", f"{deleted.info.artifact_uri}/kept", deleted.info.run_id)
    client.create_model_version("old-style", "s3://elsewhere/model")
    client.create_registered_model("nothing-yet")
    ids = {"training_run": training.info.run_id}
    if NEW_CLIENT:
        ids["model_id"] = logged.model_id
        client.log_metric(training.info.run_id, "f1", 0.75, step=2, model_id=logged.model_id)
        client.log_inputs(training.info.run_id, models=[LoggedModelInput(logged.model_id)])
        client.set_logged_model_tags(logged.model_id, {"checked": "by hand"})
    return ids


def prompts(client):
    for text in ("Say {{word}}.", "Say {{word}} twice."):
        mlflow.genai.register_prompt("greeting", text, commit_message=text, tags={"tone": "kind"})
    mlflow.genai.set_prompt_alias("greeting", "live", 2)


def pages(search, **arguments):
    token, rows = None, []
    while True:
        page = search(page_token=token, **arguments)
        rows.extend(page)
        token = page.token
        if not token:
            return rows


def comparable(value):
    """NaN equals itself, numbers keep their type, entities become dictionaries."""
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [comparable(item) for item in value]
    return value


def experiments(client):
    return {
        e.experiment_id: {
            "name": e.name,
            "location": e.artifact_location,
            "created": e.creation_time,
            "updated": e.last_update_time,
            "tags": dict(e.tags),
        }
        for e in pages(client.search_experiments, view_type=ViewType.ACTIVE_ONLY)
    }


def runs(client, experiment_ids):
    found = {}
    for run in pages(client.search_runs, experiment_ids=experiment_ids, run_view_type=ViewType.ACTIVE_ONLY):
        info = run.info
        inputs = [
            (entry.dataset.to_dictionary(), sorted((tag.key, tag.value) for tag in entry.tags))
            for entry in (run.inputs.dataset_inputs if run.inputs else [])
        ]
        history = {
            key: sorted(
                (metric.timestamp, metric.step, str(metric.value))
                for metric in client.get_metric_history(info.run_id, key)
            )
            for key in run.data.metrics
        }
        entry = {
            "experiment": info.experiment_id,
            "name": info.run_name,
            "user": info.user_id,
            "status": info.status,
            "times": (info.start_time, info.end_time),
            "uri": info.artifact_uri,
            "params": run.data.params,
            "metrics": run.data.metrics,
            "tags": run.data.tags,
            "datasets": sorted(inputs, key=str),
            "history": history,
            "artifacts": files(client, info.run_id),
        }
        if NEW_CLIENT:
            # MLflow's search leaves them out.
            whole = client.get_run(info.run_id)
            models = whole.inputs.model_inputs if whole.inputs else []
            entry["model_inputs"] = sorted(model.model_id for model in models)
            outputs = run.outputs.model_outputs if run.outputs else []
            entry["model_outputs"] = sorted((output.model_id, output.step) for output in outputs)
        found[info.run_id] = comparable(entry)
    return found


def files(client, run_id, path=None):
    """Every artifact of a run with its bytes."""
    found = {}
    for entry in client.list_artifacts(run_id, path):
        if entry.is_dir:
            found.update(files(client, run_id, entry.path))
        else:
            with tempfile.TemporaryDirectory() as folder:
                found[entry.path] = Path(client.download_artifacts(run_id, entry.path, folder)).read_bytes()
            assert len(found[entry.path]) == (entry.file_size or 0)
    return found


def logged_models(client, experiment_ids):
    found = {}
    for model in pages(client.search_logged_models, experiment_ids=experiment_ids):
        entry = model.to_dictionary()
        entry["metrics"] = sorted(str(metric) for metric in entry.get("metrics") or [])
        entry["files"] = tree(f"models:/{model.model_id}")
        found[model.model_id] = comparable(entry)
    return found


def tree(uri):
    """The files that a client loads from a `models:/` address."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(mlflow.artifacts.download_artifacts(uri, dst_path=folder))
        paths = sorted(path for path in root.rglob("*") if path.is_file())
        # Written by MLflow's client on the way down.
        return {
            str(path.relative_to(root)): path.read_bytes() for path in paths if path.name != "registered_model_meta"
        }


def registry(client):
    found = {}
    for prompt in (False, True):
        filters = {"filter_string": IS_PROMPT} if prompt else {}
        for model in pages(client.search_registered_models, **filters):
            query = f"name = '{model.name}'" + (f" AND {IS_PROMPT}" if prompt else "")
            versions = pages(client.search_model_versions, filter_string=query)
            found[model.name] = {
                "description": model.description or "",
                "times": (model.creation_timestamp, model.last_updated_timestamp),
                "tags": dict(model.tags),
                "aliases": {alias: int(number) for alias, number in model.aliases.items()},
                "versions": {
                    int(version.version): version_entry(
                        version if prompt else client.get_model_version(model.name, version.version)
                    )
                    for version in versions
                },
            }
    return found


def version_entry(whole):
    return {
        "source": whole.source,
        "run": whole.run_id or "",
        "stage": whole.current_stage,
        "status": whole.status,
        "description": whole.description or "",
        "times": (whole.creation_timestamp, whole.last_updated_timestamp),
        "tags": dict(whole.tags),
        "aliases": sorted(whole.aliases),
    }


def snapshot(url):
    """All that a server holds, as its client sees it."""
    client = client_of(url)
    found = {"experiments": experiments(client)}
    ids = sorted(found["experiments"])
    found["runs"] = runs(client, ids)
    found["registry"] = registry(client)
    if NEW_CLIENT:
        found["logged_models"] = logged_models(client, ids)
    found["traces"] = importing_traces.snapshot(client, url, ids, sorted(found["runs"]))
    return found


def predictions(url, uris):
    client_of(url)
    _, features = model_and_data()
    return {uri: mlflow.pyfunc.load_model(uri).predict(features).tolist() for uri in uris}


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        print(json.dumps(fill(sys.argv[2])))
    else:
        models = ["models:/iris/1", "models:/iris@champion", "models:/a-copy/1"]
        seen = (snapshot(sys.argv[2]), predictions(sys.argv[2], models))
        Path(sys.argv[3]).write_bytes(pickle.dumps(seen))
