"""Everything that MLflow's client offers for tracking and registry, once, with whatever release of the
client runs this. Ends with 0 when every answer was right; prints the client's version."""

import math
import sys
import tempfile
import time
from pathlib import Path

import mlflow
import numpy
import pandas
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException

MAJOR = int(mlflow.__version__.split(".")[0])
client = MlflowClient()


def refuses(call, *arguments, code="INVALID_PARAMETER_VALUE", **named):
    try:
        call(*arguments, **named)
    except MlflowException as error:
        assert error.error_code == code, f"{error.error_code}: {error}"
    else:
        raise AssertionError(f"{call.__name__} was not refused")


def experiments():
    first = client.create_experiment("tour", tags={"team": "a"})
    second = client.create_experiment("tour-2", artifact_location="s3://elsewhere/tour")
    assert client.get_experiment_by_name("tour").experiment_id == first
    assert client.get_experiment(second).artifact_location == "s3://elsewhere/tour"
    client.set_experiment_tag(first, "team", "b")
    assert [e.name for e in client.search_experiments(filter_string="tags.team = 'b'")] == ["tour"]
    names = [e.name for e in client.search_experiments(order_by=["name DESC"], filter_string="name LIKE 'tour%'")]
    assert names == ["tour-2", "tour"], names
    client.rename_experiment(second, "tour-two")
    client.delete_experiment(second)
    assert client.get_experiment(second).lifecycle_stage == "deleted"
    deleted = client.search_experiments(view_type=ViewType.DELETED_ONLY, filter_string="name LIKE 'tour%'")
    assert [e.name for e in deleted] == ["tour-two"]
    client.restore_experiment(second)
    refuses(client.create_experiment, "tour", code="RESOURCE_ALREADY_EXISTS")
    assert client.get_experiment_by_name("nobody") is None
    return first


def runs(experiment_id):
    run = client.create_run(experiment_id, run_name="one", tags={"kind": "tour"})
    run_id = run.info.run_id
    client.log_metric(run_id, "loss", 0.5, step=1)
    client.log_param(run_id, "lr", 0.1)
    client.log_param(run_id, "lr", 0.1)
    refuses(client.log_param, run_id, "lr", 0.2)
    now = int(time.time() * 1000)
    client.log_batch(
        run_id,
        metrics=[Metric("loss", 1 / step, now + step, step) for step in range(2, 30)]
        + [Metric("nan", math.nan, now, 0), Metric("inf", math.inf, now, 0)],
        params=[Param(f"p{i}", "x" * i) for i in range(1, 50)],
        tags=[RunTag("empty", ""), RunTag("long", "y" * 5_000)],
    )
    client.set_tag(run_id, "kind", "changed")
    client.set_tag(run_id, "gone", "1")
    client.delete_tag(run_id, "gone")
    client.update_run(run_id, name="renamed")
    client.set_terminated(run_id)
    got = client.get_run(run_id)
    assert got.info.status == "FINISHED" and got.info.run_name == "renamed"
    assert got.data.metrics["loss"] == 1 / 29 and math.isnan(got.data.metrics["nan"])
    assert got.data.metrics["inf"] == math.inf and got.data.params["p49"] == "x" * 49
    assert got.data.tags["kind"] == "changed" and "gone" not in got.data.tags and got.data.tags["empty"] == ""
    assert [m.step for m in client.get_metric_history(run_id, "loss")] == list(range(1, 30))

    others = [client.create_run(experiment_id, tags={"n": str(n)}).info.run_id for n in range(7)]
    for n, other in enumerate(others):
        client.log_metric(other, "score", n)
    best = client.search_runs([experiment_id], "metrics.score >= 3 and tags.n != '5'", order_by=["metrics.score DESC"])
    assert [r.info.run_id for r in best] == [others[6], others[4], others[3]]
    page = client.search_runs([experiment_id], max_results=3)
    seen = [r.info.run_id for r in page]
    while page.token:
        page = client.search_runs([experiment_id], max_results=3, page_token=page.token)
        seen += [r.info.run_id for r in page]
    assert sorted(seen) == sorted([run_id, *others])
    assert not client.search_runs([experiment_id], "params.lr = '7'")
    assert client.search_runs([experiment_id], "attributes.run_name ILIKE 'RENAMED'")[0].info.run_id == run_id
    refuses(client.search_runs, [experiment_id], "nonsense.key = 1")
    client.delete_run(others[0])
    kept = client.search_runs([experiment_id])
    assert others[0] not in {r.info.run_id for r in kept}
    client.restore_run(others[0])
    refuses(client.get_run, "0" * 32, code="RESOURCE_DOES_NOT_EXIST")
    return run_id


def datasets():
    frame = pandas.DataFrame({"x": [1.0, 2.0], "y": [0, 1]})
    dataset = mlflow.data.from_pandas(frame, name="points", targets="y")
    with mlflow.start_run() as run:
        mlflow.log_input(dataset, context="training")
    inputs = client.get_run(run.info.run_id).inputs.dataset_inputs
    assert [(i.dataset.name, i.tags[0].value) for i in inputs] == [("points", "training")]
    found = client.search_runs([run.info.experiment_id], "dataset.name = 'points'")
    assert [r.info.run_id for r in found] == [run.info.run_id]


def artifacts(run_id):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "in/deep").mkdir(parents=True)
        (folder / "in/a.txt").write_text("a")
        (folder / "in/deep/b c.txt").write_text("b")
        large = numpy.random.default_rng(1).bytes(12_345_678)
        (folder / "large.bin").write_bytes(large)
        client.log_artifacts(run_id, str(folder / "in"), "data")
        # In parts, by the sizes in the environment.
        client.log_artifact(run_id, str(folder / "large.bin"), "data")
        listed = {item.path: item.file_size for item in client.list_artifacts(run_id, "data")}
        assert listed == {"data/a.txt": 1, "data/deep": None, "data/large.bin": len(large)}, listed
        out = Path(client.download_artifacts(run_id, "data", str(folder)))
        assert (out / "deep/b c.txt").read_text() == "b" and (out / "large.bin").read_bytes() == large
        # As notebooks write directories too.
        (folder / "all").mkdir()
        out = Path(client.download_artifacts(run_id, ".", str(folder / "all")))
        assert (out / "data/deep/b c.txt").read_text() == "b"
        assert len(client.list_artifacts(run_id, "./data")) == 3
        client.log_dict(run_id, {"k": 1}, "conf.json")
        assert mlflow.artifacts.load_dict(f"{client.get_run(run_id).info.artifact_uri}/conf.json") == {"k": 1}


def registry(run_id):
    client.create_registered_model("model", tags={"a": "1"}, description="first")
    refuses(client.create_registered_model, "model", code="RESOURCE_ALREADY_EXISTS")
    for n in range(3):
        version = client.create_model_version("model", f"runs:/{run_id}/data", run_id, tags={"n": str(n)})
        assert version.version == str(n + 1) or version.version == n + 1
    client.update_registered_model("model", "described")
    client.update_model_version("model", "1", "the first")
    client.set_registered_model_tag("model", "b", "2")
    client.delete_registered_model_tag("model", "a")
    client.set_model_version_tag("model", "1", "checked", "yes")
    client.delete_model_version_tag("model", "1", "n")
    client.set_registered_model_alias("model", "champion", "2")
    model = client.get_registered_model("model")
    assert model.description == "described" and model.tags == {"b": "2"}
    assert {alias: str(number) for alias, number in model.aliases.items()} == {"champion": "2"}
    version = client.get_model_version("model", "1")
    assert version.description == "the first" and version.tags == {"checked": "yes"} and version.run_id == run_id
    assert str(client.get_model_version_by_alias("model", "champion").version) == "2"
    client.delete_registered_model_alias("model", "champion")
    refuses(client.get_model_version_by_alias, "model", "champion")

    client.transition_model_version_stage("model", "1", "Production")
    client.transition_model_version_stage("model", "2", "Production", archive_existing_versions=True)
    assert client.get_model_version("model", "1").current_stage == "Archived"
    latest = client.get_latest_versions("model", stages=["Production", "None"])
    assert {(v.current_stage, str(v.version)) for v in latest} == {("Production", "2"), ("None", "3")}
    found = client.search_model_versions(f"run_id = '{run_id}'", order_by=["version_number DESC"])
    assert [int(v.version) for v in found] == [3, 2, 1]
    assert [m.name for m in client.search_registered_models("name ILIKE 'MOD%' AND tags.b = '2'")] == ["model"]
    client.delete_model_version("model", "3")
    # What a stage holds keeps its name, and stays.
    refuses(client.rename_registered_model, "model", "renamed", code="RESOURCE_CONFLICT")
    refuses(client.delete_registered_model, "model", code="RESOURCE_CONFLICT")
    client.transition_model_version_stage("model", "2", "None")
    client.rename_registered_model("model", "renamed")
    assert str(client.get_registered_model("renamed").latest_versions[-1].version) in ("1", "2")
    refuses(client.get_registered_model, "model", code="RESOURCE_DOES_NOT_EXIST")
    client.delete_registered_model("renamed")


class Doubles(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input * 2


def models():
    example = numpy.array([[1.0], [2.0]])
    # Releases 3 take `name`; requirements given, so that nothing is inferred by importing the model.
    place = {"name": "model"} if MAJOR >= 3 else {"artifact_path": "model"}
    with mlflow.start_run() as run:
        info = mlflow.pyfunc.log_model(
            python_model=Doubles(),
            registered_model_name="doubles",
            signature=mlflow.models.infer_signature(example, example),
            pip_requirements=["mlflow", "numpy"],
            **place,
        )
    for uri in (info.model_uri, f"runs:/{run.info.run_id}/model", "models:/doubles/1", "models:/doubles/latest"):
        assert mlflow.pyfunc.load_model(uri).predict(example).tolist() == [[2.0], [4.0]], uri
    if MAJOR >= 3:
        logged_models(info.model_id, run)


def logged_models(model_id, run):
    model = client.get_logged_model(model_id)
    assert str(model.status) in ("READY", "LoggedModelStatus.READY") and model.source_run_id == run.info.run_id
    client.set_logged_model_tags(model_id, {"k": "v", "gone": "1"})
    client.delete_logged_model_tag(model_id, "gone")
    with mlflow.start_run():
        mlflow.log_metric("accuracy", 0.75, model_id=model_id)
    found = client.search_logged_models(
        [run.info.experiment_id],
        filter_string="metrics.accuracy > 0.7 AND tags.k = 'v'",
        order_by=[{"field_name": "metrics.accuracy", "ascending": False}],
    )
    assert [m.model_id for m in found] == [model_id] and found[0].tags["k"] == "v" and "gone" not in found[0].tags
    outputs = client.get_run(run.info.run_id).outputs.model_outputs
    assert [output.model_id for output in outputs] == [model_id]
    external = mlflow.create_external_model(name="external", params={"p": "1"})
    assert client.get_logged_model(external.model_id).params == {"p": "1"}
    client.delete_logged_model(external.model_id)
    refuses(client.get_logged_model, external.model_id, code="RESOURCE_DOES_NOT_EXIST")


def prompts():
    api = mlflow.genai if MAJOR >= 3 else mlflow
    first = api.register_prompt(name="greet", template="Hello {{name}}", commit_message="first", tags={"lang": "en"})
    second = api.register_prompt(name="greet", template="Hi {{name}}")
    assert (int(first.version), int(second.version)) == (1, 2)
    assert api.load_prompt("greet", version=1).format(name="Ada") == "Hello Ada"
    assert api.load_prompt("prompts:/greet/2").template == "Hi {{name}}"
    api.set_prompt_alias("greet", "best", 1)
    assert api.load_prompt("prompts:/greet@best").template == "Hello {{name}}"
    api.delete_prompt_alias("greet", "best")
    if MAJOR >= 3:
        assert [prompt.name for prompt in api.search_prompts("name = 'greet'")] == ["greet"]
        client.set_prompt_version_tag("greet", "1", "reviewed", "yes")
        assert client.get_prompt_version("greet", "1").tags["reviewed"] == "yes"
        client.set_prompt_tag("greet", "team", "a")
        assert client.get_prompt("greet").tags["team"] == "a"
        client.delete_prompt_version("greet", "1")
    # A prompt is a registered model, and no model.
    assert "greet" not in {model.name for model in client.search_registered_models()}


def main():
    experiment_id = experiments()
    mlflow.set_experiment(experiment_id=experiment_id)
    run_id = runs(experiment_id)
    datasets()
    artifacts(run_id)
    registry(run_id)
    models()
    prompts()
    print(mlflow.__version__)


if __name__ == "__main__":
    sys.exit(main())
