"""Fixtures: real servers on real stores. What a machine lacks is skipped with the reason, and with
CI=true it fails instead: a test that silently does not run is a test that does not exist."""

import os
import shutil
import subprocess
import sys
import urllib.parse
import uuid
from importlib.util import find_spec

import pytest
from deploying import promote, register, remove_containers
from reference import Both, Reference
from server import BINARY, Server, environment

BACKENDS = ("sqlite-file", "sqlite-s3", "postgres-file")


def missing(reason):
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI has to provide this: {reason}", pytrace=False)
    pytest.skip(f"skipped: {reason}")


@pytest.fixture(scope="session", autouse=True)
def binary():
    if not shutil.which(BINARY):
        pytest.exit(f"no waybill binary at {BINARY!r}: set WAYBILL_BIN, or run scripts/test", 2)
    return BINARY


@pytest.fixture(scope="module", autouse=True)
def client_of_its_own():
    """MLflow's client keeps the registry that it was told for the whole process, and for its children
    in the environment: what one module told would be asked by the next, of a server that is gone."""
    yield
    if "mlflow" in sys.modules:
        sys.modules["mlflow"].set_registry_uri(None)
        os.environ.pop("MLFLOW_REGISTRY_URI", None)


@pytest.fixture(scope="module")
def ui(tmp_path_factory):
    """A server that serves MLflow's pages, those of the installed package."""
    (package,) = find_spec("mlflow").submodule_search_locations
    server = Server(tmp_path_factory.mktemp("ui"), "--mlflow-ui", package).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def docker_engine():
    if os.environ.get("WAYBILL_TEST_DOCKER", "1") == "0":
        pytest.skip("skipped: --fast leaves out Docker")
    if subprocess.run(["docker", "info"], capture_output=True).returncode != 0:
        missing("a Docker Engine that answers (scripts/setup test)")


@pytest.fixture(scope="session")
def root_user():
    if os.geteuid() != 0:
        missing("root, to mount a small file system")


def new_database(url):
    """Creates an empty database beside the one that `url` names; returns its URL."""
    name = f"test_{uuid.uuid4().hex}"
    subprocess.run(["psql", "-q", url, "-c", f"CREATE DATABASE {name}"], check=True)
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit(parts._replace(path=f"/{name}"))


def flags_of(backend):
    """Flags and environment that put a server's data where `backend` says."""
    if backend == "postgres-file":
        url = os.environ.get("WAYBILL_TEST_POSTGRES_URL")
        if not url:
            missing("WAYBILL_TEST_POSTGRES_URL (scripts/test starts a PostgreSQL)")
        return ["--database-url", new_database(url)]
    if backend == "sqlite-s3":
        url = os.environ.get("WAYBILL_TEST_S3_URL")
        if not url:
            missing("WAYBILL_TEST_S3_URL and AWS_* (scripts/test starts a Ceph RGW)")
        return ["--artifacts-url", f"{url.rstrip('/')}/{uuid.uuid4().hex}"]
    return []


@pytest.fixture(scope="module", params=BACKENDS)
def any_server(request, tmp_path_factory):
    """A server for a whole module, once per backend."""
    server = Server(tmp_path_factory.mktemp(request.param), *flags_of(request.param))
    server.backend = request.param
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server for a whole module, on SQLite and a folder."""
    server = Server(tmp_path_factory.mktemp("server")).start()
    yield server
    server.stop()


@pytest.fixture
def make_server(tmp_path):
    """Makes servers for one test; they end with it."""
    made = []

    def make(*flags, name="server", **options):
        made.append(Server(tmp_path / name, *flags, **options))
        return made[-1]

    yield make
    for server in made:
        if server.process and server.process.poll() is None:
            server.kill()


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """MLflow's own server, once for all."""
    server = Reference(tmp_path_factory.mktemp("mlflow"))
    yield server.wait()
    server.stop()


@pytest.fixture
def both(reference, server):
    """MLflow's server and ours; `$unique` is a name that neither has seen."""
    pair = Both(reference.url, server.url)
    pair.name("unique", f"u{uuid.uuid4().hex[:12]}")
    return pair


def base_image():
    """What `waybill images base` makes, once for the machine."""
    flags = ["--ca-bundle", os.environ["SSL_CERT_FILE"]] if os.environ.get("SSL_CERT_FILE") else []
    made = subprocess.run(
        [BINARY, "images", "base", *flags], capture_output=True, text=True, env=environment(), timeout=900
    )
    if made.returncode != 0:
        missing(f"a base image: {made.stdout}{made.stderr}")


@pytest.fixture(scope="module")
def live(docker_engine, tmp_path_factory):
    """A server with its deployer and gateway."""
    base_image()
    server = Server(tmp_path_factory.mktemp("deploy"), deployer=True).start()
    server.work = tmp_path_factory.mktemp("models")
    yield server
    server.stop()
    remove_containers(server)


@pytest.fixture(scope="module")
def net(live):
    """Version 1 serves in production."""
    assert register(live, live.work, "net", 1) == 1
    promote(live, "net@1", "staging")
    promote(live, "net@1")
    return live
