"""From a registered version to a container that serves, on a real Docker Engine."""

import json
import re
import socket
import subprocess
import time

from deploying import (
    Load,
    answer_of,
    ask,
    assert_nothing_was_made,
    containers,
    deployment,
    docker,
    listed,
    log_of,
    one_container,
    promote,
    register,
    remove_containers,
    unseen_requirements,
    until,
)
from server import BINARY, environment
from stored import validate_referrers

PHASES = (
    *("pending", "verifying", "resolving", "building", "starting"),
    *("health check", "switching", "draining", "succeeded"),
)


def shown(said):
    """Of what a promotion printed: its phases in their order, and the streams that its lines are of."""
    return re.findall(r"^… (.+)$", said, re.M), set(re.findall(r"^[\d:]{8} (\w+) ", said, re.M))


def test_first_promotion_resolves_builds_and_serves(live):
    """What it does is stored, and shown as it comes; the second finds all of it made."""
    register(live, live.work, "fresh", 8, requirements=unseen_requirements())
    first = promote(live, "fresh@1", "staging")
    log = log_of(live, "fresh", "staging")
    assert {line["stream"] for line in log} >= {"event", "resolve", "build"}
    assert [line["seq"] for line in log] == sorted(line["seq"] for line in log)
    phases, streams = shown(first)
    assert phases == [phase for phase in PHASES if phase in phases], first
    assert {"resolving", "health check", "succeeded"} <= set(phases), "those that last long enough to be seen"
    assert streams >= {"event", "resolve", "build"}, first
    # The resolver's own words come while there is still much to do, not at the end.
    assert re.search(r"^[\d:]{8} resolve Resolved \d+ packages in .*^… health check$", first, re.M | re.S), first
    assert f"  {live.gateway}/staging/fresh/invocations\n" in first, first
    assert answer_of(live, "fresh", "staging") == 8

    second = promote(live, "fresh@1")
    phases, streams = shown(second)
    assert phases[-1] == "succeeded" and "event" in streams and not streams & {"resolve", "build"}, second
    assert f"  {live.gateway}/production/fresh/invocations\n" in second, second
    assert_nothing_was_made(live, "fresh", "production")
    image = deployment(live, "fresh")["serving"]["revision"]["image_digest"]
    promote(live, "fresh@1", "archived")
    until(lambda: not containers(live, "fresh", everything=True), what="the containers' end")
    docker("rmi", image)


def test_a_version_is_in_one_stage(net):
    """What followed staging ended when the version left it."""
    assert answer_of(net, "net") == 1
    until(lambda: ask(net, "net", "staging").status_code == 404, what="the end of the route to staging")
    until(lambda: not containers(net, "net", "staging", everything=True), what="the end of staging's container")


def test_production_reuses_what_staging_made(net):
    assert_nothing_was_made(net, "net", "production")


def test_the_lockfile_is_signed_and_attached(net):
    uid = net.api("GET", "models/net/versions/1").json()["uid"]
    referrers = net.api("GET", f"versions/{uid}/referrers").json()["referrers"]
    signed = [referrer for referrer in referrers if "lock" in referrer["artifact_type"] and referrer.get("signed_by")]
    assert signed, referrers
    keys = {key["hint"]: key["role"] for key in net.api("GET", "keys").json()["keys"]}
    assert keys[signed[0]["signed_by"]] == "deployer"
    assert net.cli("verify", "net@1").returncode == 0
    assert validate_referrers(net, uid) >= {"lockfile", "lockfile-signature"}


def test_a_lockfile_that_came_with_the_version_is_taken(net, tmp_path):
    """Nothing is resolved, nothing is signed by the deployer: the registration names the lockfile."""
    uid = net.api("GET", "models/net/versions/1").json()["uid"]
    referrers = net.api("GET", f"versions/{uid}/referrers").json()["referrers"]
    (digest,) = [r["digest"] for r in referrers if r["artifact_type"].endswith(".lockfile.v1+json")]
    (tmp_path / "lock.json").write_bytes(net.api("GET", f"blobs/{digest}").content)
    net.cli("pull", "net@1", tmp_path / "model")
    for proof in ("model.sig", "provenance.sigstore.json"):
        (tmp_path / "model" / proof).unlink()
    net.cli("push", tmp_path / "model", "locked", "--lockfile", tmp_path / "lock.json")
    promote(net, "locked@1", "test")
    assert answer_of(net, "locked", "test") == 1
    log = log_of(net, "locked", "test")
    assert any("came with the version" in line["text"] for line in log), log
    assert "resolve" not in {line["stream"] for line in log}
    net.cli("verify", "locked@1")
    promote(net, "locked@1", "archived")


def test_published_ports(make_server, live):
    """For engines whose bridge is out of reach; a port that another program holds is passed over."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        first = other.getsockname()[1]
        flags = ("--publish-ports", f"{first}-{min(first + 20, 65535)}")
        server = make_server(*flags, name="published", deployer=True).start()
        try:
            register(server, live.work, "published", 3)
            promote(server, "published@1", "test")
            assert answer_of(server, "published", "test") == 3
            (container,) = containers(server, "published", "test")
            (bound,) = json.loads(docker("inspect", container))[0]["NetworkSettings"]["Ports"].values()
            assert {entry["HostIp"] for entry in bound} == {"127.0.0.1"}
            assert first < int(bound[0]["HostPort"]) <= first + 20
            server.kill()
            server.start()
            until(lambda: answer_of(server, "published", "test") == 3, what="adoption with its port")
        finally:
            server.stop()
            remove_containers(server)


def test_containers_are_hardened(net):
    (container,) = containers(net, "net", "production")
    facts = json.loads(docker("inspect", container))[0]
    host, config = facts["HostConfig"], facts["Config"]
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"] and not host["CapAdd"] and not host["Privileged"]
    assert any(option.startswith("no-new-privileges") for option in host["SecurityOpt"])
    assert config["User"].split(":")[0] not in ("", "0", "root")
    assert host["Memory"] > 0 and host["PidsLimit"] > 0 and (host["NanoCpus"] > 0 or host["CpuQuota"] > 0)
    assert facts["Mounts"] and all(not mount["RW"] for mount in facts["Mounts"]), facts["Mounts"]
    assert not any("docker.sock" in mount["Source"] for mount in facts["Mounts"])
    written = docker("exec", container, "sh", "-c", "touch /opt/ml/model/x 2>&1; touch /x 2>&1; id -u")
    assert written.count("Read-only") == 2 and not written.endswith("\n0"), written


def test_a_switch_under_load_loses_nothing(net):
    second = register(net, net.work, "net", 2)
    with Load(net, net.work, "net", [1, 2]) as load:
        promote(net, f"net@{second}")
        time.sleep(1)
    load.assert_clean()
    assert answer_of(net, "net") == 2
    assert_nothing_was_made(net, "net", "production")
    until(lambda: one_container(net, "net"), what="the old container's end")


def test_rollback_under_load(net):
    with Load(net, net.work, "net", [1, 2]) as load:
        net.cli("rollback", "net", "--env", "production", "--reason", "two is worse")
    load.assert_clean()
    assert answer_of(net, "net") == 1
    latest = net.mlflow("POST", "registered-models/get-latest-versions", {"name": "net", "stages": ["Production"]})
    assert [version["version"] for version in latest.json()["model_versions"]] == ["1"]
    history = net.api("GET", "models/net/history", params={"environment": "production"}).json()
    assert [interval["version"] for interval in history["serving"]][:3] == [1, 2, 1]
    newest, before = history["serving"][:2]
    assert newest["reason"] == "two is worse" and newest["actor"] and newest.get("to_ms") is None
    assert before["to_ms"] == newest["from_ms"]
    assert "two is worse" in net.cli("history", "net", "--env", "production").stdout


def test_mlflow_transition_deploys(net):
    body = {"name": "net", "version": "2", "stage": "Staging", "archive_existing_versions": True}
    start = time.monotonic()
    assert net.mlflow("POST", "model-versions/transition-stage", body).status_code == 200
    assert time.monotonic() - start < 5, "a transition returns once it is recorded"
    until(lambda: answer_of(net, "net", "staging") == 2, what="staging serving version 2")


def test_code_that_raises_never_takes_traffic(net):
    broken = register(net, net.work, "net", 3, startup='raise RuntimeError("no weights here")')
    with Load(net, net.work, "net", [1]) as load:
        said = promote(net, f"net@{broken}", ok=False)
    load.assert_clean()
    assert "no weights here" in said and "Probe" in said, said
    state = deployment(net, "net")
    assert (
        state["serving"]["version"] == 1 and state["rollout"]["phase"] == "failed" and state["rollout"]["reason_code"]
    )
    promotions = net.api("GET", "models/net/history", params={"environment": "production"}).json()["promotions"]
    assert promotions[0]["version"] == broken
    until(lambda: one_container(net, "net"), what="the broken container's end")
    promote(net, "net@1")


def test_newer_change_wins(net):
    for version in (1, 2, 1, 2, 1):
        net.cli("promote", f"net@{version}", "--to", "production", "--no-wait")
    until(lambda: answer_of(net, "net") == 1 and deployment(net, "net")["rollout"]["phase"] == "succeeded")
    until(lambda: one_container(net, "net"), what="no container left over")


def test_archiving_stops_it(net):
    register(net, net.work, "short", 5)
    promote(net, "short@1", "test")
    assert answer_of(net, "short", "test") == 5
    net.cli("promote", "short@1", "--to", "archived", "--no-wait")
    until(lambda: ask(net, "short", "test").status_code in (404, 503), what="the route's end")
    until(lambda: not containers(net, "short", everything=True), what="the container's end")

    def history():
        return net.api("GET", "models/short/history", params={"environment": "test"}).json()["serving"]

    # On record once it is so, which is when the container has gone.
    until(lambda: history()[0].get("to_ms"), what="the end on record")


def test_logs_follow_and_replay(net, tmp_path):
    """A follower sees what was there and what comes, without a gap."""
    for answer in (1, 2):
        register(net, net.work, "chatty", answer)
    promote(net, "chatty@1", "test")
    before = len(log_of(net, "chatty", "test", "--all"))
    assert before > 5

    def followed():
        return [json.loads(line) for line in (tmp_path / "followed").read_text().rpartition("\n")[0].splitlines()]

    with (tmp_path / "followed").open("w") as out:
        follower = subprocess.Popen(
            [BINARY, "logs", "chatty", "--env", "test", "--all", "-f", "--json"],
            env={**environment(), "WAYBILL_URL": net.url},
            stdout=out,
        )
    try:
        until(lambda: len(followed()) >= before, what="the replay")
        promote(net, "chatty@2", "test")
        # Its lines came after the replay's end, so it is the follower that brings them.
        newest = deployment(net, "chatty", "test")["rollout"]["rollout_id"]
        served = "version 2 serves at /test/chatty"
        until(
            lambda: any(line["rollout_id"] == newest and line["text"] == served for line in followed()),
            seconds=30,
            what="the second rollout in the followed log",
        )
    finally:
        follower.terminate()
        follower.wait(timeout=30)
    seen = followed()
    assert seen == log_of(net, "chatty", "test", "--all")[: len(seen)]


def test_no_port_of_the_host_is_taken(net):
    """Unless `--publish-ports` asks for it, no container of ours listens there."""
    # In one look: a container of the rollout before may be ending.
    ports = listed(net, "{{.Names}} {{.Ports}}").splitlines()
    assert ports and not [line for line in ports if "->" in line]
