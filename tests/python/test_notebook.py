"""What one ordinary notebook does, with the client as it comes from PyPI, on every backend."""

import json
import os
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from stored import validate_referrers

DEMO = Path(__file__).parents[2] / "scripts/demo.d"


def python(server, script, *arguments):
    env = {
        **os.environ,
        "MLFLOW_TRACKING_URI": server.url,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONWARNINGS": "ignore",
    }
    command = [sys.executable, str(script), *map(str, arguments)]
    result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600, cwd=DEMO)
    assert result.returncode == 0, f"{script}\n{result.stdout}{result.stderr}\n--- server\n{server.log[-3000:]}"
    return result.stdout


@pytest.fixture(scope="module")
def notebook(any_server, tmp_path_factory):
    """The demo's own notebook has run once; `out` has its input, prediction and ids."""
    out = tmp_path_factory.mktemp("notebook")
    python(any_server, DEMO / "notebook.py", 1.0, out)
    any_server.out = out
    any_server.ids = json.loads((out / "version.json").read_text())
    mlflow.set_tracking_uri(any_server.url)
    return any_server


def test_the_run_has_what_autolog_logged(notebook):
    mlflow.set_tracking_uri(notebook.url)
    run = MlflowClient().get_run(notebook.ids["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.params["C"] == "1.0" and run.data.params["max_iter"] == "500"
    assert 0.9 < run.data.metrics["test_accuracy"] <= 1
    assert "training_accuracy_score" in run.data.metrics
    assert run.data.tags["estimator_name"] == "LogisticRegression"
    names = {dataset.dataset.name for dataset in run.inputs.dataset_inputs}
    assert "iris" in names
    assert [output.model_id for output in run.outputs.model_outputs] == [notebook.ids["model_id"]]


def test_the_version_is_frozen(notebook):
    version = notebook.api("GET", "models/iris/versions/1").json()
    assert version["custody"] == "frozen"
    assert version["run_id"] == notebook.ids["run_id"] and version["model_id"] == notebook.ids["model_id"]
    content = version["content"]
    assert content["requirements_digest"] and content["experiment_config_digest"]
    manifest = notebook.api("GET", f"versions/{version['uid']}/manifest").json()
    paths = {layer["annotations"]["org.cncf.model.filepath"] for layer in manifest["layers"]}
    assert {"MLmodel", "requirements.txt", "conda.yaml", "python_env.yaml", "input_example.json"} <= paths
    assert content["file_count"] == len(paths)


def test_the_experiment_config_says_how_it_was_made(notebook):
    version = notebook.api("GET", "models/iris/versions/1").json()
    config = notebook.api("GET", f"blobs/{version['content']['experiment_config_digest']}").json()
    text = json.dumps(config)
    assert '"C": "1.0"' in text and "notebook.py" in text
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=DEMO, capture_output=True, text=True)
    if commit.returncode == 0:
        assert commit.stdout.strip() in text, "the git commit that MLflow's client saw"


def test_stored_documents_are_as_their_schemas_say(notebook):
    uid = notebook.api("GET", "models/iris/versions/1").json()["uid"]
    kinds = validate_referrers(notebook, uid)
    assert kinds >= {"requirements", "experiment-config", "registration-snapshot", "registration-statement"}


def test_loading_by_number_alias_and_stage(notebook):
    mlflow.set_tracking_uri(notebook.url)
    for uri in ("models:/iris/1", "models:/iris@champion"):
        python(notebook, DEMO / "predict.py", uri, notebook.out)
    moved = MlflowClient().transition_model_version_stage("iris", "1", "Staging")
    assert moved.current_stage == "Staging"
    python(notebook, DEMO / "predict.py", "models:/iris/Staging", notebook.out)
    python(notebook, DEMO / "predict.py", "models:/iris/latest", notebook.out)


def test_what_is_frozen_is_what_is_loaded(notebook):
    """The run's artifacts are overwritten: the version still has the files of its registration."""
    python(notebook, DEMO / "overwrite.py", notebook.out)
    python(notebook, DEMO / "predict.py", "models:/iris/1", notebook.out)
    result = notebook.cli("verify", "iris@1")
    assert result.returncode == 0


def test_download_uri_is_the_frozen_tree(notebook):
    mlflow.set_tracking_uri(notebook.url)
    client = MlflowClient()
    uid = notebook.api("GET", "models/iris/versions/1").json()["uid"]
    assert client.get_model_version_download_uri("iris", "1") == f"mlflow-artifacts:/.versions/{uid}"
    source = client.get_model_version("iris", "1").source
    assert source == f"models:/{notebook.ids['model_id']}"
    listed = {item.path for item in client.list_artifacts(notebook.ids["run_id"])}
    assert "classes.json" in listed
    folder = mlflow.artifacts.download_artifacts(f"mlflow-artifacts:/.versions/{uid}")
    assert "overwritten" not in (Path(folder) / "MLmodel").read_text()


def test_a_second_version_and_its_search(notebook, tmp_path):
    python(notebook, DEMO / "notebook.py", 0.1, tmp_path / "second")
    mlflow.set_tracking_uri(notebook.url)
    client = MlflowClient()
    assert {int(version.version) for version in client.search_model_versions("name = 'iris'")} >= {1, 2}
    assert int(client.get_model_version_by_alias("iris", "champion").version) == 2
    frame = mlflow.search_runs(experiment_names=["iris"], order_by=["metrics.test_accuracy DESC"])
    accuracies = frame["metrics.test_accuracy"].dropna().tolist()
    assert accuracies == sorted(accuracies, reverse=True) and len(accuracies) >= 2
    models = mlflow.search_logged_models(experiment_ids=[frame.iloc[0]["experiment_id"]], output_format="list")
    assert notebook.ids["model_id"] in {model.model_id for model in models}


def test_autolog_that_registers_before_it_ends(any_server):
    """Registered while the run still runs: a snapshot at once, a statement when the run has ended."""
    run_id = json.loads(python(any_server, Path(__file__).with_name("notebook_autolog.py")).splitlines()[-1])["run_id"]
    version = any_server.api("GET", "models/tree/versions/1").json()
    assert version["run_id"] == run_id and version["custody"] == "frozen"
    referrers = any_server.api("GET", f"versions/{version['uid']}/referrers").json()["referrers"]
    kinds = [referrer["artifact_type"] for referrer in referrers]
    assert any("run-completed" in kind for kind in kinds), kinds
    assert "run-completed" in validate_referrers(any_server, version["uid"])
    verified = any_server.cli("verify", "tree@1")
    assert verified.returncode == 0


def test_autolog_of_many_steps(any_server):
    mlflow.set_tracking_uri(any_server.url)
    mlflow.set_experiment("steps")
    with mlflow.start_run() as run:
        for step in range(250):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_metrics({"nan": float("nan"), "inf": float("inf"), "ninf": float("-inf")})
        mlflow.log_params({f"p{number}": number for number in range(150)})
        mlflow.set_tags({"long": "x" * 5000})
    client = MlflowClient()
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [point.step for point in history] == list(range(250))
    metrics = client.get_run(run.info.run_id).data.metrics
    assert numpy.isnan(metrics["nan"]) and metrics["inf"] == numpy.inf and metrics["ninf"] == -numpy.inf
    with pytest.raises(MlflowException, match="already logged|Changing param"):
        client.log_param(run.info.run_id, "p1", "other")


def test_folders_of_artifacts(any_server, tmp_path):
    mlflow.set_tracking_uri(any_server.url)
    mlflow.set_experiment("folders")
    (tmp_path / "in/deep").mkdir(parents=True)
    (tmp_path / "in/a.txt").write_text("a")
    (tmp_path / "in/deep/b c.txt").write_text("b")
    (tmp_path / "in/empty").write_bytes(b"")
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(tmp_path / "in"), "data")
        mlflow.log_text("hello", "notes/hello.txt")
    client = MlflowClient()
    assert {(item.path, item.is_dir) for item in client.list_artifacts(run.info.run_id)} == {
        ("data", True),
        ("notes", True),
    }
    assert {item.path for item in client.list_artifacts(run.info.run_id, "data")} == {
        "data/a.txt",
        "data/deep",
        "data/empty",
    }
    out = mlflow.artifacts.download_artifacts(
        run_id=run.info.run_id, artifact_path="data", dst_path=str(tmp_path / "out")
    )
    assert (Path(out) / "deep/b c.txt").read_text() == "b" and (Path(out) / "empty").read_bytes() == b""
    assert mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/notes/hello.txt") == "hello"


def test_a_prompt_and_a_pointer(any_server):
    """What cannot be frozen is kept as MLflow keeps it, and says that it has no proof."""
    mlflow.set_tracking_uri(any_server.url)
    prompt = mlflow.genai.register_prompt(name="greeting", template="Hello {{name}}")
    assert mlflow.genai.load_prompt(f"prompts:/greeting/{prompt.version}").template == "Hello {{name}}"
    client = MlflowClient()
    client.create_registered_model("outside")
    version = client.create_model_version("outside", "s3://elsewhere/model", None)
    assert version.source == "s3://elsewhere/model"
    assert client.get_model_version_download_uri("outside", version.version) == "s3://elsewhere/model"
    assert any_server.api("GET", "models/outside/versions/1").json()["custody"] == "pointer"
    refused = any_server.cli("verify", "outside@1", check=False)
    assert refused.returncode != 0
    # MLflow's clients may label it; nothing follows, since there is nothing to verify and run.
    client.transition_model_version_stage("outside", version.version, "Staging")
    deployments = any_server.api("GET", "deployments").json()["deployments"]
    assert "outside" not in {deployment["model"] for deployment in deployments}
