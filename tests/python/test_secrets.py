"""No secret in what the whole service writes: registry, deployer and gateway together, on PostgreSQL and
S3, at the most talkative level."""

import os

import pytest
import raw
from conftest import base_image, flags_of
from deploying import answer_of, containers, docker, promote, register, remove_containers
from receivers import LOOPBACK, Receiver
from server import Server

PASSWORD = "s3cr3t-of-the-database"
NETRC = "s3cr3t-of-the-index"
WEBHOOK = "s3cr3t-of-the-webhook"
CALLER = "s3cr3t-of-a-caller"


@pytest.fixture(scope="module")
def whole(docker_engine, tmp_path_factory):
    base_image()
    work = tmp_path_factory.mktemp("secrets")
    database = flags_of("postgres-file")
    database[1] = database[1].replace("waybill@", f"waybill:{PASSWORD}@")
    netrc = work / "netrc"
    netrc.write_text(f"machine index.invalid login ci password {NETRC}\n")
    netrc.chmod(0o600)
    flags = [*database, *flags_of("sqlite-s3"), "--deployer", "--netrc", netrc, *LOOPBACK]
    env = {"RUST_LOG": "trace", "WAYBILL_LOG": "trace"}
    server = Server(work / "server", *map(str, flags), env=env, deployer=True).start()
    yield server
    server.stop()
    remove_containers(server)


@pytest.fixture(scope="module")
def written(whole, tmp_path_factory):
    """Everything that was written while secrets of every kind were in use, by where it was found."""
    receiver = Receiver()
    hook = {
        "name": "h",
        "url": receiver.url,
        "secret": WEBHOOK,
        "events": [{"entity": "MODEL_VERSION", "action": "CREATED"}],
    }
    made = whole.mlflow("POST", "webhooks", hook)
    assert made.status_code == 200, made.text
    register(whole, tmp_path_factory.mktemp("models"), "secretive", 1)
    promote(whole, "secretive@1", "test")
    receiver.wait(1)
    headers = {"Authorization": f"Bearer {CALLER}", "Cookie": f"session={CALLER}"}
    raw.send(whole.gateway_port, "GET", f"/test/secretive/ping?token={CALLER}", headers=headers)
    raw.send(whole.gateway_port, "GET", f"/test/nobody/ping?token={CALLER}", headers=headers)
    raw.send(whole.port, "GET", f"/api/v1/models/nobody?token={CALLER}", headers=headers)
    assert answer_of(whole, "secretive", "test") == 1
    (container,) = containers(whole, "secretive", "test")
    return {
        "log": whole.log,
        "metrics": raw.send(whole.port, "GET", "/metrics").body.decode(),
        "info": whole.api("GET", "info").text,
        "logs": whole.cli("logs", "secretive", "--env", "test", "--json").stdout,
        "history": whole.cli("history", "secretive", "--env", "test", "--json").stdout,
        "container": docker("inspect", container),
        "image": docker("image", "history", "--no-trunc", docker("inspect", "-f", "{{.Image}}", container)),
        "output": docker("logs", container),
    }


@pytest.mark.parametrize(
    "secret",
    ["password", "netrc", "webhook", "caller", "s3", "registry key", "deployer key"],
)
def test_a_secret_is_written_nowhere(whole, written, secret):
    known = {
        "password": PASSWORD,
        "netrc": NETRC,
        "webhook": WEBHOOK,
        "caller": CALLER,
        "s3": os.environ["AWS_SECRET_ACCESS_KEY"],
    }
    if secret.endswith(" key"):
        (path,) = whole.data_dir.rglob(f"{secret.split()[0]}.pem")
        known[secret] = path.read_text().splitlines()[1]
    assert len(written["log"]) > 10_000 and len(written["logs"]) > 100, "there is something to look at"
    found = [place for place, text in written.items() if known[secret] in text]
    assert not found, f"the {secret} is in {found}"
