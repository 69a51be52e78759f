"""Webhooks with MLflow's own client and real receivers on loopback, the good and the bad."""

import json
import os
import signal
import ssl
import subprocess
import time

import mlflow
import pytest
import raw
from conftest import flags_of
from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent
from mlflow.exceptions import MlflowException
from receivers import LOOPBACK, Receiver, client_of, deliveries, settled, verified
from server import Server

SECRET = "s3cr3t-of-the-receiver"
MODEL_CREATED = WebhookEvent(WebhookEntity.REGISTERED_MODEL, WebhookAction.CREATED)
METADATA = "http://169.254.169.254/latest/meta-data/"


@pytest.fixture
def receive():
    made = []

    def start(*arguments, **options):
        made.append(Receiver(*arguments, **options))
        return made[-1]

    yield start
    for receiver in made:
        receiver.stop()


@pytest.fixture(scope="module", params=["sqlite-file", "postgres-file"])
def hooked(request, tmp_path_factory):
    """A server that may deliver to loopback, once per database."""
    flags = [*flags_of(request.param), *LOOPBACK, "--webhook-timeout-ms", "5000"]
    server = Server(tmp_path_factory.mktemp("hooked"), *flags).start()
    yield server
    server.stop()


@pytest.fixture
def client(hooked):
    client = client_of(hooked)
    yield client
    for webhook in client.list_webhooks():
        client.delete_webhook(webhook.webhook_id)


@pytest.fixture
def unique(request):
    return f"{request.node.name.replace('[', '-').rstrip(']')}-{os.urandom(3).hex()}"


def test_life_of_a_webhook(client):
    webhook = client.create_webhook(
        name="ci",
        url="http://127.0.0.1:9/hook",
        events=["model_version.created", MODEL_CREATED],
        description="builds",
        secret=SECRET,
    )
    assert webhook.secret is None and webhook.description == "builds" and str(webhook.status) == "ACTIVE"
    assert [str(event) for event in webhook.events] == ["model_version.created", "registered_model.created"]
    assert repr(client.get_webhook(webhook.webhook_id)) == repr(webhook)
    changed = client.update_webhook(webhook.webhook_id, name="cd", status="DISABLED", events=[MODEL_CREATED])
    assert (changed.name, str(changed.status), changed.url) == ("cd", "DISABLED", webhook.url)
    assert changed.last_updated_timestamp >= webhook.last_updated_timestamp
    second = client.create_webhook(name="second", url="http://127.0.0.1:9/2", events=[MODEL_CREATED])
    page = client.list_webhooks(max_results=1)
    assert [found.webhook_id for found in page] == [second.webhook_id], "newest first"
    rest = client.list_webhooks(max_results=1, page_token=page.token)
    assert [found.webhook_id for found in rest] == [webhook.webhook_id] and not rest.token
    client.delete_webhook(webhook.webhook_id)
    with pytest.raises(MlflowException, match=f"Webhook with ID {webhook.webhook_id} not found"):
        client.get_webhook(webhook.webhook_id)


def test_a_signed_delivery_after_an_error(hooked, client, receive, unique):
    receiver = receive(lambda number: 500 if number == 1 else 200)
    webhook = client.create_webhook(name="ci", url=receiver.url, events=[MODEL_CREATED], secret=SECRET)
    client.create_registered_model(unique, tags={"a": "b"}, description="grüße")
    first, second = receiver.wait(2)
    payload = verified(second, SECRET)
    assert (payload["entity"], payload["action"]) == ("registered_model", "created")
    assert payload["data"] == {"name": unique, "tags": {"a": "b"}, "description": "grüße"}
    assert first[1]["x-mlflow-delivery-id"] == second[1]["x-mlflow-delivery-id"] and first[2] == second[2]
    (delivery,) = settled(hooked, webhook, "delivered")
    assert (delivery["attempts"], delivery["response_status"]) == (2, 200)


def test_every_event_of_a_prompt(client, receive, unique):
    receiver = receive()
    prompt = [
        *("prompt.created", "prompt_version.created", "prompt_tag.set", "prompt_tag.deleted"),
        *("prompt_version_tag.set", "prompt_version_tag.deleted", "prompt_alias.created", "prompt_alias.deleted"),
    ]
    client.create_webhook(name="prompts", url=receiver.url, events=prompt)
    client.create_prompt(unique)
    client.create_prompt_version(unique, template="Hello {{name}}", description="first", tags={"a": "b"})
    client.set_prompt_tag(unique, "k", "v")
    client.delete_prompt_tag(unique, "k")
    client.set_prompt_version_tag(unique, "1", "k", "v")
    client.delete_prompt_version_tag(unique, "1", "k")
    client.set_prompt_alias(unique, "live", 1)
    client.delete_prompt_alias(unique, "live")
    told = [json.loads(body) for _, _, body in receiver.wait(len(prompt))]
    assert sorted(f"{event['entity']}.{event['action']}" for event in told) == sorted(prompt)
    version = next(event["data"] for event in told if event["entity"] == "prompt_version")
    expected = {"template": "Hello {{name}}", "description": "first", "tags": {"a": "b"}}
    assert version == {"name": unique, "version": "1", **expected}


def test_a_prompt_registered_with_genai(hooked, client, receive, unique, monkeypatch):
    receiver = receive()
    client.create_webhook(name="prompts", url=receiver.url, events=["prompt.created", "prompt_version.created"])
    monkeypatch.setattr(mlflow, "get_registry_uri", lambda: hooked.url)
    mlflow.set_tracking_uri(hooked.url)
    mlflow.set_registry_uri(hooked.url)
    mlflow.genai.register_prompt(name=unique, template="Say {{what}}")
    told = {json.loads(body)["entity"]: json.loads(body)["data"] for _, _, body in receiver.wait(2)}
    assert told["prompt"]["name"] == unique and told["prompt_version"]["template"] == "Say {{what}}"


def test_trying_a_webhook_out(client, receive):
    receiver = receive(lambda number: 200 if number == 1 else 404)
    webhook = client.create_webhook(
        name="ci", url=receiver.url, events=["model_version_tag.set", "model_version.created"], secret=SECRET
    )
    result = client.test_webhook(webhook.webhook_id, event="model_version_tag.set")
    assert (result.success, result.response_status, result.response_body) == (True, 200, "thanks")
    assert verified(receiver.requests[0], SECRET)["data"]["key"] == "example_key"
    result = client.test_webhook(webhook.webhook_id)
    assert (result.success, result.response_status, result.error_message) == (False, 404, None)
    assert json.loads(receiver.requests[1][2])["entity"] == "model_version", "the first event by name"


def test_bad_receivers(hooked, client, receive, unique):
    good, inner = receive(), receive()
    hanging, endless = receive(lambda _: "hang"), receive(lambda _: "endless")
    redirects = [receive(lambda _, to=to: (302, {"Location": to})) for to in (inner.url, METADATA)]
    hooks = {
        name: client.create_webhook(name=name, url=receiver.url, events=[MODEL_CREATED])
        for name, receiver in [
            *(("hanging", hanging), ("endless", endless), ("good", good)),
            *(("loopback", redirects[0]), ("metadata", redirects[1])),
        ]
    }
    for number in range(5):
        client.create_registered_model(f"{unique}-{number}")
    good.wait(5)
    settled(hooked, hooks["endless"], "delivered", 5)
    for name in ("loopback", "metadata"):
        for delivery in settled(hooked, hooks[name], "failed", 5):
            assert (delivery["response_status"], delivery["error"]) == (302, "redirects are not followed")
        result = client.test_webhook(hooks[name].webhook_id)
        assert (result.success, result.response_status) == (False, 302)
    assert inner.requests == [], "nobody went there"
    result = client.test_webhook(hooks["hanging"].webhook_id)
    assert not result.success and "no answer from 127.0.0.1 within 5000 ms" in result.error_message
    assert hooked.rss_mib() < 300


def test_history_and_replay_on_the_command_line(hooked, client, receive, unique):
    receiver = receive(lambda number: 400 if number == 1 else 200)
    name = f"ci-{os.urandom(3).hex()}"
    webhook = client.create_webhook(name=name, url=receiver.url, events=[MODEL_CREATED], secret=SECRET)
    client.create_registered_model(unique)
    settled(hooked, webhook, "failed")
    (shown,) = json.loads(hooked.cli("webhooks", "deliveries", name, "--state", "failed", "--json").stdout)
    assert (shown["attempts"], shown["response_status"]) == (1, 400), "a refusal is no reason to try again"
    assert name in hooked.cli("webhooks", "list").stdout
    assert SECRET not in hooked.cli("webhooks", "list", "--json").stdout
    assert shown["delivery_id"] in hooked.cli("webhooks", "deliveries", webhook.webhook_id).stdout
    (replayed,) = json.loads(hooked.cli("webhooks", "replay", shown["delivery_id"], "--json").stdout)
    assert replayed["replay_of"] == shown["delivery_id"] != replayed["delivery_id"]
    refused, sent = receiver.wait(2)
    assert refused[2] == sent[2] and sent[1]["x-mlflow-delivery-id"] == replayed["delivery_id"]
    verified(sent, SECRET)
    body = hooked.api("GET", f"webhook-deliveries/{replayed['delivery_id']}").json()["body"]
    assert body.encode() == sent[2]
    assert hooked.cli("webhooks", "replay", "nobody", check=False).returncode == 4
    assert hooked.cli("webhooks", "deliveries", "nobody", check=False).returncode == 4
    audit = hooked.api("GET", "audit", params={"subject": f"webhook:{webhook.webhook_id}"}).json()["events"]
    assert [event["action"] for event in audit] == ["webhook_delivery.replayed", "webhook.created"]
    assert SECRET not in hooked.log and receiver.url not in hooked.log


@pytest.mark.parametrize("backend", ["sqlite-file", "postgres-file"])
def test_kill_between_commit_and_delivery(make_server, receive, unique, backend):
    server = make_server(*flags_of(backend), *LOOPBACK).start()
    client = client_of(server)
    receiver = receive(lambda number: "hang" if number == 1 else 200)
    webhook = client.create_webhook(name="ci", url=receiver.url, events=[MODEL_CREATED], secret=SECRET)
    client.create_registered_model(unique)
    receiver.wait(1)
    server.kill()
    server.start()
    first, second = receiver.wait(2)
    assert first[1]["x-mlflow-delivery-id"] == second[1]["x-mlflow-delivery-id"] and first[2] == second[2]
    assert verified(second, SECRET)["data"]["name"] == unique
    (delivery,) = settled(server, webhook, "delivered")
    assert delivery["delivery_id"] == first[1]["x-mlflow-delivery-id"]
    assert len(receiver.requests) == 2


def test_an_event_waits_while_nobody_delivers(make_server, receive, unique):
    """The receiver is away when it happens, and the server too, until both are back."""
    server = make_server(*LOOPBACK, "--webhook-max-retries", "20").start()
    client = client_of(server)
    away = Receiver()
    port = away.port
    away.stop()
    webhook = client.create_webhook(name="ci", url=f"http://127.0.0.1:{port}/", events=[MODEL_CREATED])
    client.create_registered_model(unique)
    while not deliveries(server, webhook)[0]["attempts"]:
        time.sleep(0.02)
    started = time.monotonic()
    assert server.stop() == 0 and time.monotonic() - started < 8, "waiting deliveries do not hold up the end"
    receiver = receive(port=port)
    server.start()
    assert json.loads(receiver.wait(1)[0][2])["data"]["name"] == unique
    (delivery,) = settled(server, webhook, "delivered")
    assert delivery["attempts"] >= 2


def test_what_nobody_took_is_replayed(make_server, receive, unique):
    """A receiver that refuses connections longer than MLflow retries: three times, unless a flag says otherwise."""
    server = make_server(*LOOPBACK).start()
    away = Receiver()
    port = away.port
    away.stop()
    url = f"http://127.0.0.1:{port}/"
    webhook = client_of(server).create_webhook(name="ci", url=url, events=[MODEL_CREATED], secret=SECRET)
    client_of(server).create_registered_model(unique)
    (failed,) = settled(server, webhook, "failed", seconds=60)
    assert failed["attempts"] == 1 + 3 and failed["error"] and "response_status" not in failed, failed
    receiver = receive(port=port)
    (replayed,) = json.loads(server.cli("webhooks", "replay", failed["delivery_id"], "--json").stdout)
    assert replayed["replay_of"] == failed["delivery_id"]
    (sent,) = receiver.wait(1)
    assert (
        sent[1]["x-mlflow-delivery-id"] == replayed["delivery_id"] and verified(sent, SECRET)["data"]["name"] == unique
    )
    while not deliveries(server, webhook, state="delivered"):
        time.sleep(0.02)
    states = {delivery["delivery_id"]: delivery["state"] for delivery in deliveries(server, webhook)}
    assert states == {failed["delivery_id"]: "failed", replayed["delivery_id"]: "delivered"}


def test_end_of_the_server_waits_for_an_answer_only_so_long(make_server, receive, unique):
    server = make_server(*LOOPBACK).start()
    receiver = receive(lambda _: "hang")
    client_of(server).create_webhook(name="ci", url=receiver.url, events=[MODEL_CREATED])
    client_of(server).create_registered_model(unique)
    receiver.wait(1)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=20) == 0


def test_metrics(hooked, client, receive, unique):
    receiver = receive()
    webhook = client.create_webhook(name="ci", url=receiver.url, events=[MODEL_CREATED])
    client.create_registered_model(unique)
    settled(hooked, webhook, "delivered")
    metrics = raw.send(hooked.port, "GET", "/metrics").body.decode()
    figures = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if line.startswith("waybill_webhook"))
    assert float(figures['waybill_webhook_attempts_total{outcome="delivered"}']) >= 1
    assert "waybill_webhook_deliveries_pending" in figures and "waybill_webhook_oldest_pending_seconds" in figures


def test_https_with_a_certificate_that_is_checked(make_server, receive, tmp_path, unique):
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run(
        [*command, "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"],
        check=True,
        capture_output=True,
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    receiver = receive(tls=tls)
    trusting = make_server(*LOOPBACK, name="trusting", env={"SSL_CERT_FILE": str(certificate)}).start()
    webhook = client_of(trusting).create_webhook(name="ci", url=receiver.url, events=[MODEL_CREATED])
    client_of(trusting).create_registered_model(unique)
    settled(trusting, webhook, "delivered")
    suspicious = make_server(*LOOPBACK, name="suspicious").start()
    webhook = client_of(suspicious).create_webhook(name="ci", url=receiver.url, events=[MODEL_CREATED])
    result = client_of(suspicious).test_webhook(webhook.webhook_id)
    assert not result.success and "TLS" in result.error_message
    assert len(receiver.requests) == 1, "nothing is told to who cannot prove its name"


def test_what_leads_inside_is_refused_when_it_is_sent_too(make_server, receive, unique):
    """A webhook from the time of a laxer configuration, delivered and tried out under a stricter one."""
    server = make_server(*LOOPBACK).start()
    receiver = receive()
    webhook = client_of(server).create_webhook(name="ci", url=receiver.url, events=[MODEL_CREATED])
    server.stop()
    server.flags = [flag for flag in server.flags if flag not in LOOPBACK] + ["--webhook-allow", "10.0.0.0/8"]
    server.start()
    client_of(server).create_registered_model(unique)
    (delivery,) = settled(server, webhook, "failed")
    assert delivery["attempts"] == 1 and "non-public IP address" in delivery["error"]
    result = client_of(server).test_webhook(webhook.webhook_id)
    assert not result.success and "non-public IP address" in result.error_message
    assert receiver.requests == []


def test_settings_are_checked(make_server, tmp_path):
    for flags in (["--webhook-allow", "localhost"], ["--webhook-timeout-ms", "0"], ["--webhook-max-retries", "101"]):
        server = make_server(*flags, name="-".join(flags).strip("-")).spawn()
        assert server.process.wait(timeout=30) == 2 and flags[0] in server.log, server.log
    file = tmp_path / "waybill.toml"
    file.write_text('webhook_allow = ["127.0.0.0/8", "::1"]\nwebhook_timeout_ms = 500\nwebhook_max_retries = 0\n')
    server = make_server("--config", str(file), name="file").start()
    answer = server.mlflow(
        "POST", "webhooks", {"name": "a", "url": "http://[::1]:9/", "events": [{"entity": 2, "action": 1}]}
    )
    assert answer.status_code == 200, answer.text
