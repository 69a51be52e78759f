"""Moving in: a real MLflow server, filled by its own client, comes over through its REST API and from its
database, and is then the same object by object through that client on both sides."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time

import importing
import pytest
from conftest import flags_of
from importer import bring
from reference import Reference
from server import BINARY, Server, environment
from stored import validate_referrers


class Old:
    """MLflow's own server, filled."""

    def __init__(self, folder):
        self.folder = folder
        self.reference = Reference(folder).wait()
        self.url = self.reference.url
        self.ids = importing.fill(self.url)

    def from_database(self):
        return ["--from", f"sqlite:///{self.folder}/mlflow.db", "--artifacts", str(self.folder / "artifacts")]


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    filled = Old(tmp_path_factory.mktemp("old"))
    yield filled
    filled.reference.stop()


@pytest.fixture(scope="module", params=["rest", "database", "rest-postgres"])
def moved(request, old, tmp_path_factory):
    """A Waybill into which the old server was imported, with the import's report."""
    backend = "postgres-file" if request.param == "rest-postgres" else "sqlite-file"
    server = Server(tmp_path_factory.mktemp(request.param), *flags_of(backend)).start()
    server.flags_of_import = old.from_database() if request.param == "database" else ["--from", old.url]
    server.report = bring(server, *server.flags_of_import)
    server.expected = importing.snapshot(old.url)
    server.content = importing.snapshot(server.url)
    yield server
    server.stop()


@pytest.mark.parametrize("kind", ["experiments", "runs", "logged_models", "traces"])
def test_objects_are_the_same(moved, kind):
    expected, actual = moved.expected[kind], moved.content[kind]
    assert sorted(actual) == sorted(expected) and expected
    for key in expected:
        assert actual[key] == expected[key], key


def test_traces_of_every_shape_were_there(old, moved):
    """What the comparison above rests on."""
    traces, ids = moved.content["traces"], old.ids["traces"]
    nested = traces[ids["nested"]]
    parents = {span["parent_span_id"] for span in nested["spans"]}
    assert len(nested["spans"]) == 7 and len(parents) == 5 and nested["info"]["tags"]["reviewed by"] == "ada & ünï"
    said = nested["info"]["assessments"]
    assert len(said) == 10 and sum(entry.get("valid") is False for entry in said) == 1
    assert any(entry.get("overrides") for entry in said) and any("expectation" in entry for entry in said)
    assert traces[ids["failed"]]["info"]["state"] == "ERROR"
    run_id = nested["info"]["trace_metadata"]["mlflow.sourceRun"]
    assert sorted(nested["runs"]) == sorted([run_id, old.ids["run"]])
    assert traces[ids["linked"]]["runs"] == [old.ids["run"]]
    assert traces[ids["prompted"]]["prompts"] == ["asked/1"]
    assert len(traces[ids["attached"]]["attachments"]) == 1
    in_a_file = traces[ids["in_a_file"]]
    assert in_a_file["spans"] and "mlflow.trace.spansLocation" not in in_a_file["info"]["tags"]


def test_the_registry_is_the_same(moved):
    expected, actual = moved.expected["registry"], moved.content["registry"]
    assert sorted(actual) == sorted(expected) and expected
    for name in expected:
        assert actual[name] == expected[name], name


def test_models_load_and_predict_the_same(old, moved):
    uris = ["models:/iris/1", "models:/iris@champion", "models:/iris/Production", "models:/a-copy/1"]
    uris += [f"models:/{old.ids['model_id']}", f"runs:/{old.ids['training_run']}/model"]
    assert importing.predictions(moved.url, uris) == importing.predictions(old.url, uris)


def test_versions_have_their_files_and_proof(old, moved):
    for name, number, custody in [
        ("iris", 1, "frozen"),
        ("iris", 3, "frozen"),
        ("a-copy", 1, "frozen"),
        ("old-style", 1, "frozen"),
        ("old-style", 2, "frozen"),
        ("old-style", 3, "pointer"),
        ("greeting", 2, "prompt"),
    ]:
        version = moved.api("GET", f"models/{name}/versions/{number}").json()
        assert version["custody"] == custody, version
        if custody == "frozen":
            verified = moved.cli("verify", f"{name}@{number}")
            assert f"where it was {name}@{number}" in verified.stdout
            assert "did not witness the training" in verified.stdout
            assert "builder/imported/v1" in verified.stdout
    iris = moved.api("GET", "models/iris/versions/3").json()
    assert iris["stage"] == "production"
    assert moved.api("GET", "environments/production/deployments/iris").status_code == 404


def test_the_signed_statements_say_where_it_came_from(moved):
    version = moved.api("GET", "models/iris/versions/3").json()
    assert "registration-statement" in validate_referrers(moved, version["uid"])


def test_the_report_says_what_was_not_taken(old, moved):
    report = moved.report
    assert report["failures"] == 0 and report["changed"]
    reasons = {(entry["kind"], entry["id"]): entry["why"] for entry in report["not_taken"]}
    assert "deleted" in reasons["experiment", "gone"]
    assert "deleted" in reasons["run", old.ids["deleted_run"]]
    notes = {(entry["kind"], entry["id"]): entry["why"] for entry in report["notes"]}
    assert "s3://elsewhere/model" in notes["model version", "old-style@3"]
    for kind in ("experiment", "run", "logged model", "trace", "registered model", "model version"):
        count = report["objects"][kind]
        assert count["created"] + count["updated"] + count["not_taken"] == count["found"] > 0, (kind, count)


def test_a_second_import_changes_nothing_and_says_so(moved):
    before = moved.api("GET", "audit?limit=1").json()["events"][0]["event_id"]
    report = bring(moved, *moved.flags_of_import)
    assert not report["changed"] and report["failures"] == 0
    assert report["files"]["brought"] == 0 and report["files"]["sent_bytes"] == 0
    counts = report["objects"].values()
    assert counts and all(count["created"] == count["updated"] == 0 < count["found"] for count in counts), counts
    assert moved.api("GET", "audit?limit=1").json()["events"][0]["event_id"] == before
    people = moved.cli("import", "mlflow", *moved.flags_of_import)
    assert "Nothing was changed" in people.stdout and "HERE ALREADY" in people.stdout


def test_what_is_new_since_comes_over(old, moved):
    client = importing.client_of(old.url)
    run = client.create_run("0", run_name=f"later for {moved.port}")
    client.log_text(run.info.run_id, "later", "later.txt")
    client.log_metric(old.ids["training_run"], f"more.{moved.port}", 1.5)
    client.set_terminated(run.info.run_id)
    report = bring(moved, *moved.flags_of_import)
    assert report["objects"]["run"]["created"] == 1 and report["objects"]["run"]["updated"] == 1
    found = importing.client_of(moved.url).get_run(old.ids["training_run"])
    assert found.data.metrics[f"more.{moved.port}"] == 1.5
    assert list(importing.files(importing.client_of(moved.url), run.info.run_id)) == ["later.txt"]


def test_files_that_are_new_since_come_over(old, moved):
    """Nothing else about the run tells of them."""
    name = f"late for {moved.port}.txt"
    importing.client_of(old.url).log_text(old.ids["run"], "late", name)
    report = bring(moved, *moved.flags_of_import)
    assert report["objects"]["run"]["updated"] == report["files"]["brought"] == 1, report
    assert importing.files(importing.client_of(moved.url), old.ids["run"])[name]
    assert not bring(moved, *moved.flags_of_import)["changed"]


def test_a_value_that_was_logged_late_comes_with_a_recheck(old, moved):
    """Into the middle of a history, where it is not the last value of its metric."""
    client, here = importing.client_of(old.url), importing.client_of(moved.url)
    client.log_metric(old.ids["run"], "loss", float(moved.port), timestamp=1, step=5)
    bring(moved, *moved.flags_of_import, "--recheck")
    values = [
        sorted((m.step, m.timestamp, m.value) for m in side.get_metric_history(old.ids["run"], "loss"))
        for side in (client, here)
    ]
    assert values[0] == values[1] and (5, 1, float(moved.port)) in values[1]


def test_what_was_changed_here_since_stays(old, moved):
    client = importing.client_of(moved.url)
    client.set_tag(old.ids["run"], "note", "changed here")
    client.set_registered_model_alias("iris", "champion", "1")
    bring(moved, *moved.flags_of_import)
    assert client.get_run(old.ids["run"]).data.tags["note"] == "changed here"
    assert client.get_model_version_by_alias("iris", "champion").version in (1, "1")


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A server with enough runs that an import takes a while."""
    folder = tmp_path_factory.mktemp("many")
    reference = Reference(folder).wait()
    client = importing.client_of(reference.url)
    experiment = client.create_experiment("many")
    for number in range(60):
        run = client.create_run(experiment, run_name=f"run {number}")
        client.log_batch(run.info.run_id, metrics=[importing.Metric("m", step, step, step) for step in range(300)])
        client.log_text(run.info.run_id, str(number) * 10_000, "number.txt")
    reference.folder = folder
    yield reference
    reference.stop()


def runs_here(server):
    imports = server.api("GET", "imports").json()["imports"]
    counts = {count["kind"]: count for entry in imports for count in entry["counts"]}
    return counts.get("run", {}).get("complete", 0)


def half_way(server, many, at_least):
    """Starts an import and waits until some of it is done."""
    command = [BINARY, "import", "mlflow", "--from", many.url, "--json"]
    process = subprocess.Popen(
        command,
        env=environment({"WAYBILL_URL": server.url}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while runs_here(server) < at_least and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert process.poll() is None, "the import was over before it could be cut off"
    return process


def test_an_import_that_is_killed_goes_on(make_server, many):
    server = make_server().start()
    importer = half_way(server, many, 5)
    importer.send_signal(signal.SIGKILL)
    importer.wait(timeout=10)
    first = runs_here(server)
    assert 5 <= first < 60
    # The server is killed as well, amid the second attempt.
    importer = half_way(server, many, first + 5)
    server.kill()
    _, error = importer.communicate(timeout=60)
    assert importer.returncode == 5 and json.loads(error)["error"]["exit_code"] == 5, error
    server.start()
    before = runs_here(server)
    assert first <= before < 60
    report = bring(server, "--from", many.url)
    assert report["objects"]["run"]["unchanged"] == before
    assert report["objects"]["run"]["created"] + report["objects"]["run"]["updated"] == 60 - before
    assert importing.snapshot(server.url) == importing.snapshot(many.url)
    assert not bring(server, "--from", many.url)["changed"]


def test_conflicts_are_told_and_nothing_is_half_written(make_server, old):
    server = make_server().start()
    client = importing.client_of(server.url)
    own = client.create_experiment("shapes")
    client.create_run(own)
    client.create_registered_model("iris")
    result = bring(server, "--from", old.url, check=False)
    assert result.returncode == 1
    report = json.loads(result.stdout)
    reasons = {(entry["kind"], entry["id"]): entry["why"] for entry in report["not_taken"] if entry["failed"]}
    assert "is here already" in reasons["experiment", "shapes"]
    assert "is here already" in reasons["registered model", "iris"]
    assert len(client.search_runs([own])) == 1
    assert server.api("GET", "models/iris/versions").json()["versions"] == []
    assert server.api("GET", "models/old-style/versions/1").json()["custody"] == "frozen", "its files came alone"


def copy_of(old, folder):
    """The old server's database and artifacts, for a test to damage."""
    source = sqlite3.connect(f"file:{old.folder}/mlflow.db?mode=ro", uri=True)
    with source, sqlite3.connect(folder / "mlflow.db") as target:
        source.backup(target)
    shutil.copytree(old.folder / "artifacts", folder / "artifacts")
    return ["--from", f"sqlite:///{folder}/mlflow.db", "--artifacts", str(folder / "artifacts")]


def test_bad_sources_are_refused_with_a_sentence(make_server, old, tmp_path):
    server = make_server().start()
    database = f"sqlite:///{old.folder}/mlflow.db"
    (tmp_path / "garbage.db").write_bytes(os.urandom(9_000))
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE songs (title TEXT)")
    with sqlite3.connect(tmp_path / "older.db") as older:
        older.execute("CREATE TABLE alembic_version (version_num TEXT)")
        older.execute("CREATE TABLE experiments (experiment_id INTEGER)")
    folder = ["--artifacts", str(old.folder / "artifacts")]
    for flags, code, words in [
        (["--from", "http://127.0.0.1:9"], 5, ["cannot reach the MLflow server", "127.0.0.1:9", "does --from name it"]),
        (["--from", f"{server.url}/api/v1/nothing"], 1, ["does not answer as an MLflow"]),
        (["--from", server.url], 2, ["the server to import into"]),
        (["--from", "ftp://old"], 2, ["ftp://old", "expected an address"]),
        (["--from", "mysql://old/db"], 2, ["mysql", "mlflow server"]),
        (["--from", database], 2, ["--artifacts"]),
        (["--from", old.url, *folder], 2, ["--artifacts"]),
        (["--from", database, "--artifacts", str(tmp_path / "none")], 1, ["cannot read", "none"]),
        (["--from", f"sqlite:///{tmp_path}/none.db", *folder], 1, ["no database file", "none.db"]),
        (["--from", f"sqlite:///{tmp_path}/garbage.db", *folder], 1, ["not a database"]),
        (["--from", f"sqlite:///{tmp_path}/other.db", *folder], 1, ["not MLflow's", "songs"]),
        (["--from", f"sqlite:///{tmp_path}/older.db", *folder], 1, ["table experiments has no column name"]),
        (["--from", "postgresql://127.0.0.1:1/none", *folder], 5, ["database cannot be read"]),
    ]:
        result = server.cli("import", "mlflow", *flags, check=False)
        assert result.returncode == code, (flags, result.returncode, result.stderr)
        for word in words:
            assert word in result.stderr, (flags, result.stderr)
        assert "panicked" not in result.stderr
    assert server.api("GET", "models").json()["models"] == []
    assert server.api("GET", "imports").json()["imports"] == []


def test_a_server_that_does_not_listen(old):
    result = subprocess.run(
        [BINARY, "import", "mlflow", "--from", old.url],
        env=environment({"WAYBILL_URL": "http://127.0.0.1:9"}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 5 and "127.0.0.1:9" in result.stderr


def test_paths_of_a_hostile_database_lead_nowhere(make_server, old, tmp_path):
    """URIs that escape, links out of the folder and files that are gone: told, and the rest comes over."""
    flags = copy_of(old, tmp_path)
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    run, training = old.ids["run"], old.ids["training_run"]
    link = tmp_path / "artifacts" / old.ids["experiment"] / training / "artifacts"
    link.mkdir(parents=True, exist_ok=True)
    (link / "link.txt").symlink_to(secret)
    (link / "folder").symlink_to(tmp_path)
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        uri = "mlflow-artifacts:/../../secret.txt"
        database.execute("UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", (uri, run))
    server = make_server().start()
    result = bring(server, *flags, check=False)
    assert result.returncode == 1
    report = json.loads(result.stdout)
    told = json.dumps(report["not_taken"] + report["notes"])
    assert "symbolic link" in told and "link.txt" in told and run in told
    assert "secret" not in json.dumps(importing.snapshot(server.url)["registry"])
    listed = importing.files(importing.client_of(server.url), training)
    assert "link.txt" not in listed and not any(content == b"secret" for content in listed.values())


def test_nothing_is_written_at_the_source(make_server, old, tmp_path):
    flags = copy_of(old, tmp_path)
    for path in [tmp_path / "mlflow.db", *(tmp_path / "artifacts").rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = (tmp_path / "mlflow.db").read_bytes()
    server = make_server().start()
    assert bring(server, *flags)["failures"] == 0
    assert (tmp_path / "mlflow.db").read_bytes() == before
    assert sorted(path.name for path in tmp_path.glob("mlflow.db*")) == ["mlflow.db"]


def test_artifacts_elsewhere_stay_there(make_server, old, tmp_path):
    """A database beside another folder than the one that holds its artifacts."""
    flags = copy_of(old, tmp_path)
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute(
            "UPDATE runs SET artifact_uri = 's3://bucket/' || run_uuid WHERE run_uuid = ?", (old.ids["run"],)
        )
    server = make_server().start()
    report = bring(server, *flags)
    notes = {entry["id"]: entry["why"] for entry in report["notes"]}
    assert f"stay at s3://bucket/{old.ids['run']}" in notes[old.ids["run"]]
    run = importing.client_of(server.url).get_run(old.ids["run"])
    assert run.info.artifact_uri == f"s3://bucket/{old.ids['run']}"
    assert run.data.params["C"] == "1.0"
