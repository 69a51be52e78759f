"""Moving in from a server of MLflow 2.22."""

import os
import pickle
import subprocess

import importing
from conftest import missing
from importer import bring
from reference import Reference

# A Python whose MLflow is 2.22, for a server of that version; without it this is left out.
OLD_PYTHON = os.environ.get("WAYBILL_TEST_PYTHON_2_22")


def with_old_client(*arguments):
    command = [OLD_PYTHON, importing.__file__, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-3000:]


def test_a_server_of_version_2(make_server, tmp_path):
    """Filled and compared by the client of its own version, which then talks to a Waybill as well."""
    if not OLD_PYTHON:
        missing("WAYBILL_TEST_PYTHON_2_22, a Python with MLflow 2.22 (scripts/test makes one)")
    reference = Reference(tmp_path, python=OLD_PYTHON).wait()
    try:
        with_old_client("fill", reference.url)
        with_old_client("snapshot", reference.url, tmp_path / "expected")
        expected = pickle.loads((tmp_path / "expected").read_bytes())
        database = ["--from", f"sqlite:///{tmp_path}/mlflow.db", "--artifacts", str(tmp_path / "artifacts")]
        for name, flags in (("rest", ["--from", reference.url]), ("database", database)):
            server = make_server(name=name).start()
            report = bring(server, *flags)
            assert report["failures"] == 0 and "2.22" in report["detail"]
            assert report["objects"]["trace"]["created"] == 1
            with_old_client("snapshot", server.url, tmp_path / f"{name}.seen")
            assert pickle.loads((tmp_path / f"{name}.seen").read_bytes()) == expected
            assert not bring(server, *flags)["changed"]
    finally:
        reference.stop()
