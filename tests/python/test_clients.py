"""The whole surface with the clients that people have: the oldest release that is promised to work and
the newest, on both databases."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from conftest import flags_of, missing
from server import Server

TOUR = Path(__file__).with_name("client_tour.py")


def interpreter(release):
    if release == "3.17":
        return sys.executable
    python = os.environ.get("WAYBILL_TEST_PYTHON_2_22")
    if not python:
        missing("WAYBILL_TEST_PYTHON_2_22, a Python with scripts/requirements-2.22.txt (scripts/test makes it)")
    return python


@pytest.mark.parametrize("backend", ["sqlite-file", "postgres-file"])
@pytest.mark.parametrize("release", ["2.22", "3.17"])
def test_the_whole_tour(tmp_path, release, backend):
    python = interpreter(release)
    server = Server(tmp_path, *flags_of(backend)).start()
    env = {
        **os.environ,
        "MLFLOW_TRACKING_URI": server.url,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        # A file of 12 MB goes in three parts.
        "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "true",
        "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "true",
        "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": str(6 << 20),
        "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE": str(5 << 20),
        "MLFLOW_MULTIPART_DOWNLOAD_CHUNK_SIZE": str(5 << 20),
        "PYTHONWARNINGS": "ignore",
        # Nothing of git: the tour is no repository.
        "GIT_PYTHON_REFRESH": "quiet",
    }
    try:
        tour = subprocess.run([python, str(TOUR)], env=env, capture_output=True, text=True, timeout=300, cwd=tmp_path)
        assert tour.returncode == 0, f"{tour.stdout}{tour.stderr[-5000:]}\n--- server\n{server.log[-2000:]}"
        assert tour.stdout.splitlines()[-1].startswith(release), tour.stdout
        metrics = requests.get(server.url + "/metrics", timeout=10).text
        routes = ["mpu/part/", "mpu/complete/", *(["presigned/", "signed/"] if release == "3.17" else [])]
        assert [route for route in routes if route not in metrics] == [], "the large file went in parts"
    finally:
        server.stop()
