"""pytest plugin: MLflow's own HTTP tests against Waybill, each test against a fresh server.

MLflow's tests start their server in-process. This replaces the names by which they do it; everything
else of the tests stays as it is.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import uuid
from pathlib import Path

# From the environment, not from the checkout: what the tests drive is the client that people install.
import mlflow.server.handlers
import pytest
import requests

EXCEPTIONS = Path(__file__).with_name("exceptions.txt")
READY_SECONDS = 30

# What the test in progress told MLflow's handlers about its store.
artifact_root = None
options = None


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def initialize_backend_stores(*_, default_artifact_root=None, **__):
    """In place of `mlflow.server.handlers.initialize_backend_stores`."""
    global artifact_root
    artifact_root = default_artifact_root


class ServerThread:
    """In place of MLflow's class of this name: `waybill serve` on its port, with its own data."""

    def __init__(self, _app, port, root=None, flags=()):
        self.url = f"http://127.0.0.1:{port}"
        self.folder = tempfile.mkdtemp(prefix="waybill-mlflow-")
        self.log = Path(self.folder, "serve.log")
        self.database = new_database(options.waybill_postgres) if options.waybill_postgres else None
        self.command = [
            options.waybill_bin,
            "serve",
            *("--listen", f"127.0.0.1:{port}"),
            *("--gateway-listen", f"127.0.0.1:{free_port()}"),
            *("--data-dir", f"{self.folder}/data"),
            "--no-deployer",
            *flags,
        ]
        if root or artifact_root:
            self.command += ["--default-artifact-root", root or artifact_root]
        if self.database:
            self.command += ["--database-url", self.database]

    def __enter__(self):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("WAYBILL_")}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(requests.RequestException):
                if requests.get(self.url + "/health", timeout=10).ok:
                    # MLflow's handlers set it to their database, which its command line then uses.
                    mlflow.set_tracking_uri(self.url)
                    return self.url
            time.sleep(0.005)
        self.__exit__()
        raise RuntimeError(f"waybill serve did not start: {' '.join(self.command)}")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        if options.waybill_logs:
            print(self.log.read_text(errors="replace"), file=sys.stderr)
        if self.database:
            drop_database(options.waybill_postgres, self.database)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def init_server(backend_uri, root_artifact_uri, extra_env=None, app=None, server_type="fastapi"):
    """In place of MLflow's `_init_server`."""
    mlflow.set_tracking_uri(None)
    with ServerThread(app, free_port(), root=root_artifact_uri) as url:
        yield url


@contextlib.contextmanager
def run_mlflow_server(tmp_path):
    """In place of `_run_mlflow_server` of MLflow's webhook tests, whose receiver is on this host."""
    flags = ("--webhook-allow", "127.0.0.0/8", "--webhook-allow", "::1/128")
    with ServerThread(None, free_port(), root=(tmp_path / "artifacts").as_uri(), flags=flags) as url:
        yield url


def new_database(url):
    name = f"mlflow_{uuid.uuid4().hex}"
    subprocess.run(["psql", "-q", url, "-c", f"CREATE DATABASE {name}"], check=True)
    return urllib.parse.urlunsplit(urllib.parse.urlsplit(url)._replace(path=f"/{name}"))


def drop_database(url, database):
    name = urllib.parse.urlsplit(database).path.lstrip("/")
    subprocess.run(["psql", "-q", url, "-c", f"DROP DATABASE {name} WITH (FORCE)"], check=True)


def exceptions():
    """Test name -> why it is left out. A line that begins with `#` gives the reason of those below it."""
    reasons, reason = {}, ""
    for line in EXCEPTIONS.read_text().splitlines():
        if line.startswith("#"):
            reason = line.lstrip("# ")
        elif line.strip():
            reasons[line.strip()] = reason
    return reasons


def pytest_addoption(parser):
    group = parser.getgroup("waybill")
    group.addoption("--waybill-bin", default=os.environ.get("WAYBILL_BIN", "waybill"))
    group.addoption("--waybill-postgres", metavar="URL", help="make a database per test in this cluster")
    group.addoption("--waybill-logs", action="store_true", help="print each server's log")
    group.addoption("--waybill-all", action="store_true", help="run the tests of exceptions.txt too")


def pytest_configure(config):
    global options
    options = config.option
    # Behind the environment: only `tests` comes from there.
    sys.path.append(str(config.rootpath))
    import tests.tracking.integration_test_utils as utils

    utils.ServerThread = ServerThread
    utils._init_server = init_server
    mlflow.server.handlers.initialize_backend_stores = initialize_backend_stores


def pytest_collection_modifyitems(config, items):
    if webhooks := sys.modules.get("tests.webhooks.test_e2e"):
        webhooks._run_mlflow_server = run_mlflow_server
    left_out = {} if config.option.waybill_all else exceptions()
    for item in items:
        if reason := left_out.get(getattr(item, "originalname", None) or item.name):
            item.add_marker(pytest.mark.skip(reason=f"exception: {reason}"))
