"""The command line against a real server: tables for people, JSON for scripts, exit codes, backup."""

import json
import os
import shutil

import pytest
from conftest import flags_of


@pytest.fixture(scope="module")
def stocked(any_server, tmp_path_factory):
    model = tmp_path_factory.mktemp("commands") / "model"
    (model / "deep/er").mkdir(parents=True)
    (model / "config.json").write_text("{}")
    (model / "deep/er/weights.bin").write_bytes(os.urandom(6_000_000))
    (model / "empty").write_bytes(b"")
    any_server.model = model
    any_server.cli("push", model, "net", "--description", "the first one")
    return any_server


def test_tables(stocked):
    _, model = stocked.cli("models").stdout.splitlines()
    assert model.split()[:2] == ["net", "1"]
    _, version = stocked.cli("versions", "net").stdout.splitlines()
    digest = stocked.api("GET", "models/net/versions/1").json()["content"]["manifest_digest"]
    assert version.split()[:5] == ["1", "none", "frozen", digest[: len("sha256:") + 12], "3"]


def test_json(stocked):
    (model,) = json.loads(stocked.cli("models", "--json").stdout)
    assert (model["name"], model["last_version"]) == ("net", 1)
    (version,) = json.loads(stocked.cli("versions", "net", "--json").stdout)
    assert (version["custody"], version["description"]) == ("frozen", "the first one")


@pytest.mark.parametrize(
    "reference", ["net@1", "net@sha256:DIGEST", "net@stage:staging", "net@staging", "net@alias:best", "net@best"]
)
def test_references(stocked, tmp_path, reference):
    stocked.mlflow("POST", "registered-models/alias", {"name": "net", "alias": "best", "version": "1"})
    stocked.cli("promote", "net@1", "--to", "staging", "--no-wait")
    digest = stocked.api("GET", "models/net/versions/1").json()["content"]["manifest_digest"]
    stocked.cli("pull", reference.replace("sha256:DIGEST", digest), tmp_path / "out")
    for path in stocked.model.rglob("*"):
        if path.is_file():
            assert (tmp_path / "out" / path.relative_to(stocked.model)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["verify", "nobody@1"], 4),
        (["verify", "net@99"], 4),
        (["pull", "net", "OUT"], 2),
        (["promote", "net@1"], 2),
        (["promote", "net@1", "--to", "shelf"], 2),
        (["history", "net"], 2),
        (["logs", "nobody", "--env", "production"], 4),
        (["push", "/nonexistent", "x"], 1),
        (["rollback", "net", "--env", "production"], 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_exit_codes(stocked, tmp_path, arguments, status):
    arguments = [str(tmp_path / "out") if word == "OUT" else word for word in arguments]
    result = stocked.cli(*arguments, check=False)
    assert result.returncode == status, result.stderr
    assert result.stderr.strip() and "panicked" not in result.stderr


def test_errors_as_json(stocked):
    result = stocked.cli("verify", "nobody@1", "--json", check=False)
    problem = json.loads(result.stderr)["error"]
    assert (problem["code"], problem["exit_code"], result.returncode) == ("MODEL_NOT_FOUND", 4, 4)
    assert "nobody" in problem["message"]


def test_pull_into_a_folder_with_other_things(stocked, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    refused = stocked.cli("pull", "net@1", tmp_path, check=False)
    assert refused.returncode == 1 and "mine.txt is not part of the version" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    assert (tmp_path / "mine.txt").read_text() == "mine", "a pull never deletes what it did not write"


def test_an_interrupted_pull_goes_on(stocked, tmp_path):
    out = tmp_path / "out"
    stocked.cli("pull", "net@1", out)
    (out / "config.json").unlink()
    stocked.cli("pull", "net@1", out)
    assert (out / "config.json").read_text() == "{}"


def test_history_and_audit_name_who_and_why(stocked):
    stocked.cli("promote", "net@1", "--to", "test", "--no-wait", "--reason", "because of the test")
    history = stocked.api("GET", "models/net/history", params={"environment": "test"}).json()
    promotion = history["promotions"][0]
    assert promotion["reason"] == "because of the test" and promotion["actor"]
    events = stocked.api("GET", "audit", params={"subject": "net@1"}).json()["events"]
    assert events[-1]["action"] == "model_version.registered"
    assert (events[0]["action"], events[0].get("reason")) == ("model_version.promoted", "because of the test")
    assert all(event["actor"] for event in events)


# What is saved from one kind of store comes back in another.
RESTORED_INTO = {"sqlite-file": "postgres-file", "sqlite-s3": "sqlite-file", "postgres-file": "sqlite-s3"}


def test_backup_comes_back_elsewhere(stocked, make_server, tmp_path):
    """Everything: runs, files, signatures, stages, history, audit, the signing key."""
    experiment = stocked.mlflow("POST", "experiments/create", {"name": "kept"}).json()["experiment_id"]
    run = stocked.mlflow("POST", "runs/create", {"experiment_id": experiment}).json()["run"]["info"]["run_id"]
    metric = {"key": "loss", "value": "NaN", "timestamp": 1, "step": 2**62}
    stocked.mlflow("POST", "runs/log-batch", {"run_id": run, "metrics": [metric]}).raise_for_status()
    stocked.cli("promote", "net@1", "--to", "staging", "--no-wait", "--reason", "before the backup")
    stocked.cli("backup", tmp_path / "backup.tar", *stocked.storage_flags())
    elsewhere = make_server(*flags_of(RESTORED_INTO[stocked.backend]), name="elsewhere")
    stocked.cli("restore", tmp_path / "backup.tar", *elsewhere.storage_flags())
    elsewhere.start()
    elsewhere.cli("verify", "net@1")
    for path in (
        "models/net/versions/1",
        "models/net/history?environment=staging",
        "audit",
        "environments/staging/deployments/net",
    ):
        here, there = (server.api("GET", path).json() for server in (stocked, elsewhere))
        assert here == there, path
    for path in (f"runs/get?run_id={run}", f"metrics/get-history?run_id={run}&metric_key=loss"):
        here, there = (server.mlflow("GET", path).json() for server in (stocked, elsewhere))
        assert here == there, path
    assert stocked.cli("keys", "export").stdout == elsewhere.cli("keys", "export").stdout
    elsewhere.cli("pull", "net@1", tmp_path / "pulled")
    assert (tmp_path / "pulled/deep/er/weights.bin").read_bytes() == (
        stocked.model / "deep/er/weights.bin"
    ).read_bytes()
    elsewhere.cli("push", tmp_path / "pulled/deep", "net")
    assert elsewhere.api("GET", "models/net/versions/2").status_code == 200


# Once is enough: the archive is the same.
@pytest.mark.parametrize("any_server", ["sqlite-file"], indirect=True, scope="module")
def test_a_damaged_backup_is_refused(stocked, make_server, tmp_path):
    """Nothing of it shows, and the same place takes a sound backup afterwards."""
    backup = tmp_path / "backup.tar"
    stocked.cli("backup", backup, "--data-dir", stocked.data_dir)
    content = bytearray(backup.read_bytes())
    weights = (stocked.model / "deep/er/weights.bin").read_bytes()
    content[content.index(weights[:64]) + 1000] ^= 1
    for name, damaged in (("flipped", bytes(content)), ("cut", backup.read_bytes()[: len(content) // 2])):
        (tmp_path / name).write_bytes(damaged)
        into = make_server(name=f"into-{name}")
        result = stocked.cli("restore", tmp_path / name, "--data-dir", into.data_dir, check=False)
        assert result.returncode != 0, name
        # A start makes a key of its own, so what shows is looked at in a copy.
        seen = make_server(name=f"seen-{name}")
        shutil.copytree(into.data_dir, seen.data_dir)
        assert seen.start().api("GET", "models").json()["models"] == []
        stocked.cli("restore", backup, "--data-dir", into.data_dir)
        into.start().cli("verify", "net@1")


@pytest.mark.parametrize("any_server", ["sqlite-file"], indirect=True, scope="module")
def test_restore_never_overwrites(stocked, tmp_path):
    stocked.cli("backup", tmp_path / "backup.tar", "--data-dir", stocked.data_dir)
    target = tmp_path / "target"
    shutil.copytree(stocked.data_dir / "keys", target / "keys")
    (target / "waybill.db").write_bytes(b"mine")
    result = stocked.cli("restore", tmp_path / "backup.tar", "--data-dir", target, check=False)
    assert result.returncode != 0 and str(target) in result.stderr
    assert (target / "waybill.db").read_bytes() == b"mine"
