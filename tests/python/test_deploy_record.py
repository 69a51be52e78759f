"""What is on record is what runs: digests are used again, and times without an answer are told."""

import json
import subprocess
import time
import uuid

import pytest
from deploying import (
    answer_of,
    ask,
    assert_nothing_was_made,
    containers,
    deployment,
    docker,
    log_of,
    promote,
    register,
    remove_containers,
    unseen_requirements,
    until,
)
from server import BINARY, environment

BASE = "waybill-base:py3.11"


@pytest.fixture
def base_tag(docker_engine, live):
    """A tag of the base image that a test may move and remove."""
    tag = f"waybill-base:test-{uuid.uuid4().hex[:12]}"
    docker("tag", BASE, tag)
    yield tag
    docker("rmi", tag, check=False)


@pytest.fixture
def deploying(make_server):
    """A server with its deployer whose containers go with it."""
    made = []

    def make(*flags, **options):
        made.append(make_server(*flags, deployer=True, **options))
        return made[-1].start()

    yield make
    for server in made:
        server.stop()
        remove_containers(server)


def image_id(reference):
    return docker("image", "inspect", "--format", "{{.Id}}", reference, check=False)


def digests(server, name, stage):
    revision = deployment(server, name, stage)["serving"]["revision"]
    return revision["lock_digest"], revision["image_digest"]


def history(server, name, stage):
    return server.api("GET", f"models/{name}/history", params={"environment": stage}).json()["serving"]


def test_production_and_rollback_run_what_ran_before(live, deploying, base_tag):
    """Also after the base was made anew, with another cut-off and index, and without any base at all."""
    flags = ("--base-image", base_tag)
    server = deploying(*flags, name="record")
    for answer in (1, 2):
        register(server, live.work, "record", answer)
    promote(server, "record@2")
    promote(server, "record@1", "staging")
    before, staged = digests(server, "record", "production"), digests(server, "record", "staging")

    rebuild = [BINARY, "images", "base", "--from", BASE, "--tag", base_tag, "--rebuild"]
    subprocess.run(rebuild, check=True, capture_output=True, timeout=600, env=environment())
    assert image_id(base_tag) != image_id(BASE)
    server.stop()
    # Nobody listens at that index: whatever resolved or built anew would fail.
    server.flags += ["--packages-before", "2026-11-01T00:00:00Z", "--index-url", "http://127.0.0.1:9/simple"]
    server.start()
    promote(server, "record@1")
    assert answer_of(server, "record") == 1
    assert_nothing_was_made(server, "record", "production")
    assert digests(server, "record", "production") == staged

    docker("rmi", base_tag)
    server.cli("rollback", "record", "--env", "production")
    assert answer_of(server, "record") == 2
    assert_nothing_was_made(server, "record", "production")
    assert digests(server, "record", "production") == before

    (container,) = until(lambda: (c := containers(server, "record", "production")) and len(c) == 1 and c)
    revision = deployment(server, "record")["serving"]["revision_id"]
    docker("rm", "-f", container)
    until(lambda: answer_of(server, "record") == 2, what="the container made again")
    now = deployment(server, "record")["serving"]
    assert now["revision_id"] == revision and digests(server, "record", "production") == before


def test_digests_are_told(net):
    lock, image = digests(net, "net", "production")
    assert image_id(image) == image and lock.startswith("sha256:")
    uid = net.api("GET", "models/net/versions/1").json()["uid"]
    attached = {r["digest"] for r in net.api("GET", f"versions/{uid}/referrers").json()["referrers"]}
    assert lock in attached
    rollout = net.api("GET", f"rollouts/{deployment(net, 'net')['rollout']['rollout_id']}").json()
    assert (rollout["revision"]["lock_digest"], rollout["revision"]["image_digest"]) == (lock, image)
    assert history(net, "net", "production")[0]["revision"]["image_digest"] == image
    for command in (("status", "net"), ("history", "net", "--env", "production")):
        table = net.cli(*command).stdout
        for digest in (lock, image):
            assert digest.removeprefix("sha256:")[:12] in table, table
        assert image in net.cli(*command, "--json").stdout


def test_an_interval_begins_when_traffic_switches(net):
    """The old container drains for seconds; what serves is the new one from the switch on."""
    version = register(net, net.work, "net", 2)
    asked = time.time() * 1000
    promote(net, f"net@{version}")
    newest, before = history(net, "net", "production")[:2]
    rollout = net.api("GET", f"rollouts/{newest['rollout_id']}").json()
    assert asked < newest["from_ms"] <= rollout["ended_at_ms"]
    assert before["to_ms"] == newest["from_ms"]
    switched = next(line["at_ms"] for line in log_of(net, "net", "production") if " serves at " in line["text"])
    assert abs(newest["from_ms"] - switched) < 1000
    promote(net, "net@1")


def test_outages_are_on_record(live, deploying, base_tag):
    """docker kill, then a restore that cannot succeed for a while, then one that gives another image."""
    server = deploying("--base-image", base_tag, name="outages")
    register(server, live.work, "outage", 4, requirements=unseen_requirements())
    promote(server, "outage@1", "test")
    ready = server.cli("status", "outage").stdout
    assert "yes" in ready, ready

    (container,) = containers(server, "outage", "test")
    docker("kill", container)
    until(lambda: history(server, "outage", "test")[0].get("outages"), what="the outage on record", pause=0.05)
    until(lambda: answer_of(server, "outage", "test") == 4, what="the container started again")
    until(lambda: "outage" not in deployment(server, "outage", "test")["serving"], what="its end on record")
    (interval,) = history(server, "outage", "test")
    (outage,) = interval["outages"]
    assert "exited with code 137" in outage["reason"], outage
    assert interval["from_ms"] < outage["from_ms"] < outage["to_ms"]

    lock, image = digests(server, "outage", "test")
    docker("rmi", base_tag)

    def is_taken_away():
        # The deployer may start it again in between, and an image in use stays.
        docker("rm", "-f", *containers(server, "outage", "test", everything=True), check=False)
        docker("rmi", image, check=False)
        return not image_id(image)

    until(is_taken_away, what="the image's end")
    until(lambda: ask(server, "outage", "test").status_code == 503, what="the gateway's 503")
    broken = until(
        lambda: (
            (s := deployment(server, "outage", "test")["serving"])
            and "BASE_IMAGE_MISSING" in s["outage"]["reason"]
            and s
        ),
        what="the reason on record",
    )
    assert broken["version"] == 1
    told = server.cli("status", "outage").stdout
    assert "has not answered since" in told and "BASE_IMAGE_MISSING" in told, told
    assert "now" in server.cli("history", "outage", "--env", "test").stdout

    docker("tag", BASE, base_tag)
    until(lambda: answer_of(server, "outage", "test") == 4, seconds=600, what="the container on a new image")
    # What serves now is not what served before, and the record does not say so.
    newest, before = until(lambda: (h := history(server, "outage", "test")) and len(h) == 2 and h, what="two intervals")
    assert newest["revision_id"] != before["revision_id"] and newest["version"] == before["version"] == 1
    assert newest["revision"]["lock_digest"] == lock and newest["revision"]["image_digest"] != image
    assert before["to_ms"] == newest["from_ms"] and len(before["outages"]) == 2
    assert all(outage["to_ms"] <= before["to_ms"] for outage in before["outages"])
    promote(server, "outage@1", "archived")
    until(lambda: not containers(server, "outage", everything=True), what="the container's end")
    docker("rmi", newest["revision"]["image_digest"])


def test_an_engine_that_comes_late_is_waited_for(live, deploying, tmp_path):
    """The rollout keeps its phase and says what it waits for; nobody asks for it again."""
    socket = tmp_path / "docker.sock"
    server = deploying(name="late", env={"DOCKER_HOST": f"unix://{socket}"})
    register(server, live.work, "late", 6)
    server.cli("promote", "late@1", "--to", "test", "--no-wait")
    until(lambda: any("waiting for the engine" in line["text"] for line in log_of(server, "late", "test")))
    # Long enough for many a try.
    time.sleep(6)
    assert deployment(server, "late", "test")["rollout"]["phase"] == "pending"
    socket.symlink_to("/var/run/docker.sock")
    until(lambda: answer_of(server, "late", "test") == 6, what="the rollout's end")


def test_a_route_to_a_strangers_address_is_held(live, deploying):
    """After a restart of Docker another container may have the address that the route table names."""
    server = deploying(name="routes")
    register(server, live.work, "routed", 5)
    promote(server, "routed@1")
    assert answer_of(server, "routed") == 5
    stranger = docker("run", "-d", "--rm", BASE, "python3", "-m", "http.server", "8080")
    try:
        address = docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", stranger)
        server.stop()
        path = server.data_dir / "deployer/routes.json"
        table = json.loads(path.read_text())
        assert table["boot_id"]
        (backend,) = table["routes"][0]["backends"]
        backend["upstream"] = f"http://{address}:8080"
        table["generation"] += 1
        path.write_text(json.dumps(table))
        server.start()
        statuses = set()
        until(lambda: statuses.add((r := ask(server, "routed")).status_code) or r.status_code == 200, pause=0.02)
        assert statuses <= {200, 503}, statuses
        assert answer_of(server, "routed") == 5
        assert "invocations" not in docker("logs", stranger), "a request went to the stranger"
    finally:
        docker("rm", "-f", stranger)


def test_a_gateway_apart_does_not_believe_routes_of_an_earlier_boot(net, tmp_path):
    table = json.loads((net.data_dir / "deployer/routes.json").read_text())
    routes = tmp_path / "routes.json"
    routes.write_text(json.dumps({**table, "boot_id": str(uuid.uuid4())}))
    log = tmp_path / "gateway.log"
    command = [BINARY, "gateway", "--listen", "127.0.0.1:0", "--routes", str(routes)]
    with log.open("w") as out:
        gateway = subprocess.Popen(command, stdout=out, stderr=out, env=environment())
    try:
        line = until(
            lambda: next((line for line in log.read_text().splitlines() if "ready on" in line), None), seconds=30
        )

        class Apart:
            gateway = line.split()[-1]

        assert ask(Apart, "net").status_code == 503
        routes.write_text(json.dumps({**table, "generation": table["generation"] + 1}))
        until(lambda: answer_of(Apart, "net") == 1, what="the route of this boot")
    finally:
        gateway.terminate()
        gateway.wait(timeout=30)


def test_another_registry_takes_nothing_away(live, deploying, tmp_path):
    """An empty database in place of the right one: what runs goes on running, and the way on is told."""
    server = deploying(name="lost")
    register(server, live.work, "kept", 7)
    promote(server, "kept@1")
    before = containers(server, "kept")
    right = server.api("GET", "info").json()["registry_id"]
    server.stop()
    flags = list(server.flags)
    other = [f"--database-url=sqlite:{tmp_path}/other.db", f"--artifacts-url=file://{tmp_path}/other"]
    server.flags += other
    server.start()
    found = server.api("GET", "info").json()["registry_id"]
    assert found != right
    until(lambda: f"--accept-registry {found}" in server.log, what="what to do, in the log")
    assert answer_of(server, "kept") == 7
    register(server, live.work, "kept", 8)
    said = promote(server, "kept@1", ok=False)
    assert "REGISTRY_UNKNOWN" in said and f"--accept-registry {found}" in said and right in said, said
    assert answer_of(server, "kept") == 7 and containers(server, "kept") == before

    server.stop()
    server.flags = flags
    server.start()
    until(lambda: answer_of(server, "kept") == 7 and containers(server, "kept") == before, what="the right one again")

    server.stop()
    server.flags = [*flags, *other, "--accept-registry", found]
    server.start()
    until(lambda: not containers(server, "kept", everything=True), what="the end of what it does not desire")
    until(lambda: ask(server, "kept").status_code in (404, 503), what="the route's end")
