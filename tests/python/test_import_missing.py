"""What an import makes of versions whose files are not all there."""

import json
import sqlite3

import importing
from importer import bring
from reference import Reference


def test_half_a_model_is_no_version(make_server, tmp_path):
    reference = Reference(tmp_path).wait()
    try:
        client = importing.client_of(reference.url)
        experiment = client.create_experiment("halves")
        run_id = client.create_run(experiment).info.run_id
        for name in ("half", "whole"):
            client.log_text(run_id, "flavors: {}", f"{name}/MLmodel")
            client.create_registered_model(name)
            client.create_model_version(name, f"runs:/{run_id}/{name}", run_id)
        lost = tmp_path / "artifacts" / experiment / run_id / "artifacts" / "half" / "hash#.txt"
        lost.write_text("weights")
        server = make_server().start()
        report = json.loads(bring(server, "--from", reference.url, check=False).stdout)
        reasons = {entry["id"]: entry["why"] for entry in report["not_taken"]}
        assert reasons["half@1"] == "some of its files could not be taken", report
        assert server.api("GET", "models/whole/versions/1").json()["custody"] == "frozen"
        lost.unlink()
        assert bring(server, "--from", reference.url)["failures"] == 0
        assert server.api("GET", "models/half/versions/1").json()["custody"] == "frozen"
    finally:
        reference.stop()


def test_a_store_whose_files_are_not_found(make_server, tmp_path):
    """No version becomes a pointer because a folder was mistaken; the right one brings all, later too."""
    reference = Reference(tmp_path).wait()
    try:
        client = importing.client_of(reference.url)
        run = client.create_run(client.create_experiment("files"))
        client.log_text(run.info.run_id, "flavors: {}", "model/MLmodel")
        client.create_registered_model("m")
        client.create_model_version("m", f"runs:/{run.info.run_id}/model", run.info.run_id)
        client.set_registered_model_alias("m", "live", "1")
    finally:
        reference.stop()
    (tmp_path / "wrong").mkdir()
    wrong, right = (
        ["--from", f"sqlite:///{tmp_path}/mlflow.db", "--artifacts", str(tmp_path / folder)]
        for folder in ("wrong", "artifacts")
    )
    server = make_server().start()
    result = bring(server, *wrong, check=False)
    reasons = {entry["id"]: entry["why"] for entry in json.loads(result.stdout)["not_taken"]}
    assert result.returncode == 1 and "--accept-missing-artifacts" in reasons["m@1"], result.stdout
    assert bring(server, *right)["failures"] == 0
    assert server.api("GET", "models/m/versions/1").json()["custody"] == "frozen"
    assert importing.files(importing.client_of(server.url), run.info.run_id) == {"model/MLmodel": b"flavors: {}"}
    other = make_server(name="other").start()
    assert bring(other, *wrong, "--accept-missing-artifacts")["failures"] == 0
    assert other.api("GET", "models/m/versions/1").json()["custody"] == "pointer"
    pointer = other.api("GET", "models/m/versions/1").json()
    report = bring(other, *right)
    assert report["objects"]["model version"]["updated"] == 1 and report["notes"] == []
    frozen = other.api("GET", "models/m/versions/1").json()
    assert (frozen["custody"], frozen["uid"]) == ("frozen", pointer["uid"])
    assert importing.client_of(other.url).get_model_version_by_alias("m", "live").version in (1, "1")
    assert other.cli("verify", "m@1").returncode == 0
    assert not bring(other, *right)["changed"]
    # What lies elsewhere is not missing.
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("UPDATE runs SET artifact_uri = 's3://elsewhere/' || run_uuid")
    third = make_server(name="third").start()
    assert bring(third, *wrong)["failures"] == 0
    assert third.api("GET", "models/m/versions/1").json()["custody"] == "pointer"
