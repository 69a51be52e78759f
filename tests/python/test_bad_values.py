"""Values that have hurt MLflow's server, on every route that takes them: names, floods, places of other
hosts, files that a browser would run, files that a careless reader would execute."""

from pathlib import Path

import pytest
import raw
import requests

NAMES = {
    "slash": "a/b",
    "colon": "a:b",
    "dots": "..",
    "dots-inside": "a/../b",
    "empty": "",
    "blank": "   ",
    "nul": "a\0b",
    "a megabyte": "n" * 1_000_000,
}
TAKERS = [
    ("registered-models/create", lambda name: {"name": name}),
    ("registered-models/rename", lambda name: {"name": "values", "new_name": name}),
]


@pytest.fixture(scope="module")
def values(server):
    server.mlflow("POST", "registered-models/create", {"name": "values"})
    server.mlflow("POST", "model-versions/create", {"name": "values", "source": "s3://elsewhere/x"})
    server.experiment = server.mlflow("POST", "experiments/create", {"name": "values"}).json()["experiment_id"]
    server.run = server.mlflow("POST", "runs/create", {"experiment_id": server.experiment}).json()["run"]["info"]
    return server


def refused(response, *codes):
    assert 400 <= response.status_code < 500, response.text[:300]
    body = response.json()
    assert body["error_code"] in (codes or ("INVALID_PARAMETER_VALUE",)) and len(body["message"]) < 2_000, body


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize(("path", "body"), TAKERS, ids=[path for path, _ in TAKERS])
def test_names_of_models(values, path, body, name):
    refused(values.mlflow("POST", path, body(name)))
    assert values.mlflow("GET", "registered-models/get", {"name": "values"}).status_code == 200


@pytest.mark.parametrize("name", ["", "n" * 1_000_000, "a\0b"], ids=["empty", "a megabyte", "nul"])
@pytest.mark.parametrize(("path", "field"), [("experiments/create", "name"), ("experiments/update", "new_name")])
def test_names_of_experiments(values, path, field, name):
    refused(values.mlflow("POST", path, {"experiment_id": values.experiment, field: name}))


def test_a_name_has_one_spelling(values):
    """What would mean another name once it is decoded is no name."""
    refused(values.mlflow("POST", "registered-models/create", {"name": "a%62c"}))
    values.mlflow("POST", "registered-models/create", {"name": "abc"}).raise_for_status()
    assert values.mlflow("GET", "registered-models/get", {"name": "a%62c"}).status_code == 400
    assert values.api("GET", "models/a%62c").json()["name"] == "abc", "in a URL it is an encoding"
    assert values.api("GET", "models/a%2562c").status_code == 400


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("registered-models/create", {"name": "flood"}),
        ("model-versions/create", {"name": "values", "source": "s3://elsewhere/x"}),
        ("experiments/create", {"name": "flood"}),
        ("runs/create", {"experiment_id": "0"}),
        ("logged-models", {"experiment_id": "0"}),
    ],
)
def test_floods_of_tags(values, path, body):
    tags = [{"key": f"k{number}", "value": "v"} for number in range(10_000)]
    refused(values.mlflow("POST", path, {**body, "tags": tags}))
    for key in ("k" * 1_000_000, "", "a\0b"):
        refused(values.mlflow("POST", path, {**body, "tags": [{"key": key, "value": "v"}]}))
    # Of the other values MLflow's server keeps the beginning.
    if path.endswith("/create") and path != "runs/create":
        refused(values.mlflow("POST", path, {**body, "tags": [{"key": "k", "value": "v" * 1_000_000}]}))
    assert values.mlflow("GET", "registered-models/get", {"name": "flood"}).status_code == 404
    assert values.mlflow("GET", "experiments/get-by-name", {"experiment_name": "flood"}).status_code == 404


def test_floods_of_aliases(values):
    statuses = []
    with requests.Session() as session:
        for number in range(1_100):
            body = {"name": "values", "alias": f"a{number}", "version": "1"}
            url = values.url + "/api/2.0/mlflow/registered-models/alias"
            statuses.append(session.post(url, json=body, timeout=60).status_code)
    assert statuses[:1_000] == [200] * 1_000 and set(statuses[1_000:]) == {400}
    model = values.mlflow("GET", "registered-models/get", {"name": "values"}).json()["registered_model"]
    assert len(model["aliases"]) == 1_000


@pytest.mark.parametrize("parts", [0, -1, 10_001, 10**9, 2**62])
def test_floods_of_parts(values, parts):
    url = f"{values.url}/api/2.0/mlflow-artifacts/mpu/create/0"
    refused(requests.post(url, json={"path": "f", "num_parts": parts}, timeout=60))


@pytest.mark.parametrize("count", [1_001, 100_000])
def test_floods_of_metrics(values, count):
    metrics = [{"key": "m", "value": 1, "timestamp": 1, "step": step} for step in range(count)]
    refused(values.mlflow("POST", "runs/log-batch", {"run_id": values.run["run_id"], "metrics": metrics}))
    history = values.mlflow("GET", "metrics/get-history", {"run_id": values.run["run_id"], "metric_key": "m"})
    assert history.json().get("metrics", []) == []


# Whoever follows such a source connects to a host of the poster's choice.
HOSTS = [
    "http://169.254.169.254/latest/meta-data",
    "https://[::ffff:100.64.0.1]/x",
    "http://[64:ff9b::a9fe:a9fe]/x",
    "http://localhost:1/x",
    "HTTP://internal/x",
]


@pytest.mark.parametrize("source", HOSTS)
def test_sources_on_other_hosts(values, source):
    refused(values.mlflow("POST", "model-versions/create", {"name": "values", "source": source}))
    prompt = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
    values.mlflow("POST", "registered-models/create", {"name": "prompts", "tags": prompt})
    refused(values.mlflow("POST", "model-versions/create", {"name": "prompts", "source": source, "tags": prompt}))
    if source.lower().startswith("http"):
        refused(values.mlflow("POST", "experiments/create", {"name": source, "artifact_location": source}))


CLUSTERS = ["hdfs://internal:9000/x", "viewfs://cluster/x", "sftp://ann@internal/x", "ftp://internal/x"]


@pytest.mark.parametrize("source", CLUSTERS)
def test_sources_that_only_clients_reach(values, source):
    """A version there is a pointer: handed back as posted, never followed, without proof."""
    made = values.mlflow("POST", "model-versions/create", {"name": "values", "source": source})
    assert made.status_code == 200, made.text
    version = made.json()["model_version"]
    assert version["source"] == source
    file = {"name": "values", "version": version["version"], "path": "MLmodel"}
    refused(requests.get(f"{values.url}/model-versions/get-artifact", params=file, timeout=60))
    experiment = values.mlflow("POST", "experiments/create", {"name": source, "artifact_location": source})
    assert experiment.status_code == 200, experiment.text
    refused(values.mlflow("POST", "model-versions/create", {"name": "values", "source": source + "/../y"}))


SCRIPTS = {
    "page.html": b"<script>alert(1)</script>",
    "image.svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "code.js": b"alert(1)",
    "page.xhtml": b'<html xmlns="http://www.w3.org/1999/xhtml"><script>alert(1)</script></html>',
    "no-ending": b"<html><script>alert(1)</script></html>",
}


@pytest.fixture(scope="module")
def scripts(values, tmp_path_factory):
    """The same files as artifacts of a run, of a logged model, and of a frozen version."""
    root = values.run["artifact_uri"].removeprefix("mlflow-artifacts:/")
    model = values.mlflow("POST", "logged-models", {"experiment_id": values.experiment}).json()["model"]["info"]
    folder = tmp_path_factory.mktemp("scripts")
    for name, content in SCRIPTS.items():
        (folder / name).write_bytes(content)
        for base in (root, model["artifact_uri"].removeprefix("mlflow-artifacts:/")):
            answer = raw.send(values.port, "PUT", f"/api/2.0/mlflow-artifacts/artifacts/{base}/{name}", content)
            assert answer.status == 200, answer.body
    values.cli("push", folder, "scripts")
    uid = values.api("GET", "models/scripts/versions/1").json()["uid"]
    signed = requests.get(f"{values.url}/api/2.0/mlflow-artifacts/presigned/{root}/page.html", timeout=60)
    return [
        f"/api/2.0/mlflow-artifacts/artifacts/{root}/" + "{name}",
        f"/get-artifact?run_id={values.run['run_id']}&path=" + "{name}",
        "/model-versions/get-artifact?name=scripts&version=1&path={name}",
        f"/ajax-api/2.0/mlflow/logged-models/{model['model_id']}/artifacts/files?artifact_file_path=" + "{name}",
        f"/api/v1/versions/{uid}/files/" + "{name}",
        signed.json()["url"].removeprefix(values.url),
    ]


@pytest.mark.parametrize("name", SCRIPTS)
def test_nothing_runs_in_a_browser(values, scripts, name):
    for target in scripts:
        if "{name}" not in target and name != "page.html":
            continue
        answer = raw.send(values.port, "GET", target.format(name=name), headers={"Accept": "text/html"})
        assert answer.status == 200 and answer.body == SCRIPTS[name], f"{target}: {answer.line}"
        assert answer.headers["content-disposition"].startswith("attachment"), target
        assert answer.headers["x-content-type-options"] == "nosniff", target
        assert answer.headers["content-length"] == str(len(SCRIPTS[name])), target
        kind = answer.headers["content-type"].split(";")[0]
        assert kind in ("text/plain", "application/octet-stream"), f"{target}: {kind}"


@pytest.mark.parametrize(
    "mlmodel",
    [
        b"flavors: !!js/function 'function () { return 1 }'\n",
        b"flavors: !!python/object/apply:os.system ['touch /tmp/waybill-owned']\n",
        b"a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: &d [*c, *c]\ne: [*d, *d]\n",
        b"\xff\xfe\x00flavors",
        b"flavors: " + b"[" * 50_000,
        b"",
    ],
    ids=["js", "python", "aliases", "binary", "depth", "empty"],
)
def test_descriptions_that_are_no_yaml(values, tmp_path, mlmodel):
    """A model's own files are data: what they say is read as text or not at all."""
    (tmp_path / "MLmodel").write_bytes(mlmodel)
    (tmp_path / "model.pkl").write_bytes(b"cos\nsystem\n(S'touch /tmp/waybill-owned'\ntR.")
    values.cli("push", tmp_path, "described")
    (newest, *_) = values.api("GET", "models/described/versions").json()["versions"]
    kept = values.api("GET", f"versions/{newest['uid']}/files/MLmodel")
    assert kept.status_code == 200 and kept.content == mlmodel
    assert "panicked" not in values.log and not Path("/tmp/waybill-owned").exists()
