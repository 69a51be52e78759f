"""Moving in from where MLflow's own server keeps things in larger installations: a PostgreSQL database, and a bucket
that clients write to by themselves;
and what happens where something of it cannot be read."""

import fcntl
import importlib.util
import json
import os
import pty
import re
import shutil
import sqlite3
import struct
import subprocess
import termios
import urllib.parse
import uuid

import importing
import importing_traces
import pytest
import requests
from conftest import missing, new_database
from importer import bring
from reference import Reference
from server import BINARY

# Names that an encoding changes; with an experiment's own artifacts around them.
NAMES = ["a b.txt", "a%b.txt", "100%", "ünï/日本 é.txt", "a~[b]{c}+d&e=f.txt", "q?.txt", "semi;.txt"]
# Those that MLflow takes for another name, or whose whole directory its client refuses to list.
NO_NAMES = ["hash#.txt", "pct%41.txt"]


def files(server, client, run_id, path=None):
    """Every artifact with its bytes; MLflow's client would not encode a question mark."""
    root = client.get_run(run_id).info.artifact_uri.removeprefix("mlflow-artifacts:/")
    found = {}
    for entry in client.list_artifacts(run_id, path):
        if entry.is_dir:
            found.update(files(server, client, run_id, entry.path))
        else:
            target = "/api/2.0/mlflow-artifacts/artifacts/" + urllib.parse.quote(f"{root}/{entry.path}")
            found[entry.path] = requests.get(server.url + target, timeout=60).content
    return found


def needed(module):
    if importlib.util.find_spec(module) is None:
        missing(f"the Python package {module} (scripts/requirements.txt names it)")


@pytest.fixture(scope="module")
def on_postgres(tmp_path_factory):
    """MLflow's server on a PostgreSQL database, filled."""
    url = os.environ.get("WAYBILL_TEST_POSTGRES_URL")
    if not url:
        missing("WAYBILL_TEST_POSTGRES_URL (scripts/test starts a PostgreSQL)")
    needed("psycopg2")
    folder = tmp_path_factory.mktemp("on-postgres")
    parts = urllib.parse.urlsplit(new_database(url))
    database = urllib.parse.urlunsplit(parts._replace(scheme="postgresql+psycopg2"))
    reference = Reference(folder, database=database).wait()
    reference.database, reference.folder = database, folder
    reference.ids = importing.fill(reference.url)
    yield reference
    reference.stop()


def test_a_database_on_postgresql(make_server, on_postgres):
    """Object by object as from any other source, through a session that may only read."""
    server = make_server().start()
    flags = ["--from", on_postgres.database, "--artifacts", str(on_postgres.folder / "artifacts")]
    report = bring(server, *flags)
    assert report["failures"] == 0 and report["detail"].startswith("MLflow of version 3.17"), report
    expected, actual = importing.snapshot(on_postgres.url), importing.snapshot(server.url)
    for kind in expected:
        assert sorted(actual[kind]) == sorted(expected[kind]) and expected[kind], kind
        for key in expected[kind]:
            assert actual[kind][key] == expected[kind][key], (kind, key)
    password = urllib.parse.urlsplit(on_postgres.database).password
    assert "@" not in report["source"] and (not password or password not in str(report))
    assert not bring(server, *flags)["changed"]


def test_what_is_new_in_a_database_on_postgresql_comes_over(make_server, on_postgres):
    server = make_server().start()
    flags = ["--from", on_postgres.database, "--artifacts", str(on_postgres.folder / "artifacts")]
    bring(server, *flags)
    client = importing.client_of(on_postgres.url)
    client.set_trace_tag(on_postgres.ids["traces"]["plain"], "later", "yes")
    later = importing_traces.traced("later", 1)
    importing.mlflow.flush_trace_async_logging()
    report = bring(server, *flags)
    count = report["objects"]["trace"]
    assert (count["created"], count["updated"]) == (1, 1), count
    here = importing.client_of(server.url)
    assert here.get_trace(later).info.state == "OK"
    assert here.get_trace(on_postgres.ids["traces"]["plain"]).info.tags["later"] == "yes"


@pytest.fixture
def bucket(monkeypatch):
    """The address of an empty directory in a real bucket, which MLflow's clients reach as well."""
    url = os.environ.get("WAYBILL_TEST_S3_URL")
    if not url:
        missing("WAYBILL_TEST_S3_URL and AWS_* (scripts/test starts a Ceph RGW)")
    needed("boto3")
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", os.environ["AWS_ENDPOINT_URL"])
    monkeypatch.setenv("AWS_DEFAULT_REGION", os.environ.get("AWS_REGION", "us-east-1"))
    return f"{url.rstrip('/')}/{uuid.uuid4().hex}/mlruns"


@pytest.mark.parametrize("served", [False, True])
def test_artifacts_in_a_bucket(make_server, tmp_path, bucket, served):
    """Clients wrote them to s3://… by themselves, or the old server did: files of any name come over."""
    by_clients = ["--no-serve-artifacts", "--default-artifact-root", bucket]
    by_server = ["--artifacts-destination", bucket]
    reference = Reference(tmp_path, artifacts=by_server if served else by_clients).wait()
    try:
        client = importing.client_of(reference.url)
        experiment = client.create_experiment("in a bucket")
        run = client.create_run(experiment)
        run_id = run.info.run_id
        assert run.info.artifact_uri.startswith("mlflow-artifacts:" if served else bucket)
        # Through the server MLflow's client cuts a name off at its question mark.
        names = [name for name in NAMES if not (served and "?" in name)]
        for name in names:
            file = tmp_path / "files" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(name)
        client.log_artifacts(run_id, str(tmp_path / "files"), "of any name")
        importing.mlflow.set_experiment("in a bucket")
        attached = importing_traces.attached()
        importing.mlflow.flush_trace_async_logging()
        expected = importing_traces.entry(client, reference.url, attached)
    finally:
        reference.stop()
    server = make_server().start()
    flags = ["--from", f"sqlite:///{tmp_path}/mlflow.db", "--artifacts", bucket]
    report = bring(server, *flags)
    assert report["failures"] == 0 and not report["notes"], report
    here = importing.client_of(server.url)
    found = files(server, here, run_id)
    assert found == {f"of any name/{name}": name.encode() for name in names}
    assert here.get_run(run_id).info.artifact_uri == f"mlflow-artifacts:/{experiment}/{run_id}/artifacts"
    actual = importing_traces.entry(here, server.url, attached)
    assert actual["attachments"] == expected["attachments"] and expected["attachments"]
    assert actual["spans"] == expected["spans"]
    assert not bring(server, *flags)["changed"]


@pytest.fixture(scope="module")
def of_any_name(tmp_path_factory):
    """A server with a run whose files somebody put into the folder."""
    folder = tmp_path_factory.mktemp("of-any-name")
    reference = Reference(folder).wait()
    client = importing.client_of(reference.url)
    reference.folder = folder
    reference.experiment = client.create_experiment("of any name")
    reference.run_id = client.create_run(reference.experiment).info.run_id
    root = folder / "artifacts" / reference.experiment / reference.run_id / "artifacts" / "files"
    for name in NAMES + NO_NAMES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    database = ["--from", f"sqlite:///{folder}/mlflow.db", "--artifacts", str(folder / "artifacts")]
    reference.sources = {"rest": ["--from", reference.url], "database": database}
    yield reference
    reference.stop()


@pytest.mark.parametrize("source", ["rest", "database"])
def test_files_of_any_name(make_server, of_any_name, source):
    server = make_server().start()
    report = json.loads(bring(server, *of_any_name.sources[source], check=False).stdout)
    told = {entry["id"].rsplit("/", 1)[1]: entry["why"] for entry in report["not_taken"]}
    assert told == dict.fromkeys(NO_NAMES, "its name is no plain path") and report["failures"] == len(NO_NAMES), report
    found = files(server, importing.client_of(server.url), of_any_name.run_id)
    assert found == {f"files/{name}": name.encode() for name in NAMES}


def on_terminal(server, *arguments):
    """What the program writes to its output, and draws on a terminal of 120 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    env = {**server.env, "WAYBILL_URL": server.url, "TERM": "xterm"}
    process = subprocess.Popen([BINARY, *arguments], stdout=subprocess.PIPE, stderr=theirs, env=env)
    os.close(theirs)
    drawn = b""
    try:
        while chunk := os.read(ours, 65536):
            drawn += chunk
    except OSError:
        pass  # the other end is closed
    os.close(ours)
    return process.communicate(timeout=60)[0].decode(), drawn.decode()


def test_progress_on_a_terminal(make_server, of_any_name):
    """Two experiments and a run, counted while it goes on; then the terminal is as before."""
    command = ["import", "mlflow", *of_any_name.sources["rest"]]
    report, drawn = on_terminal(make_server().start(), *command)
    assert "experiments" in report and "\x1b" not in report
    for shown in ("experiments", "of any name", "artifacts", " B/s"):
        assert shown in drawn, drawn
    assert re.search(r" 0/2\b", drawn) and re.search(r" [1-3]/3\b", drawn), drawn
    bars = drawn.split("\x1b[2K")
    assert "█" in drawn and "█" not in bars[-1] and "artifacts" not in bars[-1], bars[-1]
    _, drawn = on_terminal(make_server(name="json").start(), *command, "--json")
    assert "█" not in drawn and "B/s" not in drawn, drawn


@pytest.mark.parametrize("location", ["oss://bucket/mlruns", "s3://b/x;y", "dbfs:/mlruns", "hdfs://h:9000/x?y"])
def test_an_experiment_somewhere_that_no_new_one_may_be(make_server, of_any_name, tmp_path, location):
    """Its run comes over, with artifacts that stay where they are; new ones are kept here."""
    shutil.copy(of_any_name.folder / "mlflow.db", tmp_path)
    uri = f"{location}/{of_any_name.run_id}/artifacts"
    own = "experiment_id = (SELECT experiment_id FROM runs WHERE run_uuid = ?)"
    assert changed(tmp_path, f"UPDATE experiments SET artifact_location = ? WHERE {own}", location, of_any_name.run_id)
    assert changed(tmp_path, "UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", uri, of_any_name.run_id)
    server = make_server().start()
    flags = ["--from", f"sqlite:///{tmp_path}/mlflow.db", "--artifacts", str(tmp_path)]
    report = bring(server, *flags)
    assert report["failures"] == 0 and report["objects"]["run"]["created"] == 1, report
    notes = {entry["id"]: entry["why"] for entry in report["notes"]}
    assert f"its artifacts stay at {uri}" in notes[of_any_name.run_id], report
    here = importing.client_of(server.url)
    assert here.get_run(of_any_name.run_id).info.artifact_uri == uri
    experiment = here.get_experiment(of_any_name.experiment)
    new = here.create_run(experiment.experiment_id)
    if experiment.artifact_location != location:
        assert f"new runs do not go to {location}" in notes[experiment.name], report
        here.log_text(new.info.run_id, "new", "new.txt")
        assert importing.files(here, new.info.run_id) == {"new.txt": b"new"}
    assert not bring(server, *flags)["changed"]


def test_artifacts_that_lay_in_a_folder_of_their_own(make_server, tmp_path):
    """A server that gave clients a folder to write to: its files come into the store, under addresses of ours."""
    runs = tmp_path / "mlruns"
    flags = ["--no-serve-artifacts", "--default-artifact-root", str(runs)]
    reference = Reference(tmp_path, artifacts=flags).wait()
    try:
        ids = importing.fill(reference.url)
        expected = importing.snapshot(reference.url)
        uris = ["models:/iris/1", "models:/a-copy/1", f"models:/{ids['model_id']}"]
        predicted = importing.predictions(reference.url, uris)
        assert expected["runs"] and expected["logged_models"] and predicted
        database = ["--from", f"sqlite:///{tmp_path}/mlflow.db", "--artifacts", str(runs)]
        for name, flags in (("rest", ["--from", reference.url]), ("database", database)):
            server = make_server(name=name).start()
            report = bring(server, *flags)
            assert report["failures"] == 0, report
            actual = importing.snapshot(server.url)
            for run_id, run in expected["runs"].items():
                assert actual["runs"][run_id]["artifacts"] == run["artifacts"]
                uri = f"mlflow-artifacts:/{run['experiment']}/{run_id}/artifacts"
                assert actual["runs"][run_id]["uri"] == uri
            for model_id, model in expected["logged_models"].items():
                assert actual["logged_models"][model_id]["files"] == model["files"]
            assert importing.predictions(server.url, uris) == predicted
            for version in ("iris/versions/1", "old-style/versions/1", "old-style/versions/2"):
                assert server.api("GET", f"models/{version}").json()["custody"] == "frozen", (name, version)
            assert not bring(server, *flags)["changed"]
    finally:
        reference.stop()


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """The folder of a server with two traces, and their ids."""
    folder = tmp_path_factory.mktemp("traced")
    (folder / "artifacts").mkdir()
    reference = Reference(folder).wait()
    try:
        importing.client_of(reference.url)
        importing.mlflow.set_experiment("traced")
        ids = importing_traces.nested(), importing_traces.traced("another", 1)
        importing.mlflow.flush_trace_async_logging()
    finally:
        reference.stop()
    return folder, *ids


def changed(folder, statement, *bound):
    with sqlite3.connect(folder / "mlflow.db") as database:
        return database.execute(statement, bound).rowcount


def test_a_trace_that_could_not_be_read_comes_over_once_it_can(make_server, traced, tmp_path):
    folder, trace_id, other = traced
    shutil.copy(folder / "mlflow.db", tmp_path)
    server = make_server().start()
    flags = ["--from", f"sqlite:///{tmp_path}/mlflow.db", "--artifacts", str(folder / "artifacts")]
    model = "trace_id = ? AND type = 'CHAT_MODEL'"
    assert changed(tmp_path, f"UPDATE spans SET content = '#' || content WHERE {model}", trace_id) == 3
    result = bring(server, *flags, check=False)
    report = json.loads(result.stdout)
    assert result.returncode == 1 and report["failures"] == 1, report
    told = [entry["why"] for entry in report["not_taken"] if entry["id"] == trace_id]
    assert len(told) == 1 and "it is not a span" in told[0], report
    here = importing.client_of(server.url)
    assert len(here.get_trace(other).data.spans) == 1, "the others come over"
    assert changed(tmp_path, f"UPDATE spans SET content = substr(content, 2) WHERE {model}", trace_id) == 3
    count = bring(server, *flags)["objects"]["trace"]
    assert (count["found"], count["unchanged"], count["updated"], count["not_taken"]) == (2, 1, 1, 0), count
    assert len(here.get_trace(trace_id).data.spans) == 7
    assert not bring(server, *flags)["changed"]


def test_spans_that_were_moved_to_an_archive_are_told(make_server, traced, tmp_path):
    """Their format is the server's own: a database alone does not give them."""
    folder, _, trace_id = traced
    shutil.copy(folder / "mlflow.db", tmp_path)
    tags = [("mlflow.trace.spansLocation", "ARCHIVE_REPO"), ("mlflow.trace.archiveLocation", "file:///archive")]
    for key, value in tags:
        changed(
            tmp_path,
            "INSERT OR REPLACE INTO trace_tags (key, value, request_id) VALUES (?, ?, ?)",
            key,
            value,
            trace_id,
        )
    server = make_server().start()
    flags = ["--from", f"sqlite:///{tmp_path}/mlflow.db", "--artifacts", str(folder / "artifacts")]
    report = json.loads(bring(server, *flags, check=False).stdout)
    told = [entry["why"] for entry in report["not_taken"] if entry["id"] == trace_id]
    assert len(told) == 1 and "file:///archive" in told[0] and report["failures"] == 1, report


def test_more_traces_than_a_page_holds(make_server, traced, tmp_path):
    """Many of one moment, through the API and from the database."""
    folder, *_ = traced
    shutil.copy(folder / "mlflow.db", tmp_path)
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        (experiment,) = database.execute("SELECT MAX(experiment_id) FROM trace_info").fetchone()
        rows = [(f"tr-{number:032x}", experiment, number // 100, 1, "OK") for number in range(450)]
        columns = "request_id, experiment_id, timestamp_ms, execution_time_ms, status"
        database.executemany(f"INSERT INTO trace_info ({columns}) VALUES (?, ?, ?, ?, ?)", rows)
    reference = Reference(tmp_path).wait()
    try:
        database = ["--from", f"sqlite:///{tmp_path}/mlflow.db", "--artifacts", str(folder / "artifacts")]
        for name, flags in (("rest", ["--from", reference.url]), ("database", database)):
            server = make_server(name=name).start()
            report = bring(server, *flags)
            assert report["objects"]["trace"]["created"] == 452 and report["failures"] == 0, report
            here = importing_traces.search(importing.client_of(server.url), [str(experiment)], include_spans=False)
            assert len(here) == 452 and {row[0] for row in rows} < set(here)
            assert not bring(server, *flags)["changed"]
    finally:
        reference.stop()
