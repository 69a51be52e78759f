"""From a registered version to a container that serves, on a real Docker Engine."""

import json
import socket
import subprocess
import time

from deploying import (
    Load,
    answer_of,
    ask,
    containers,
    deployment,
    docker,
    one_container,
    promote,
    register,
    remove_containers,
    until,
)
from server import BINARY, environment
from stored import validate_referrers


def test_first_promotion_resolves_builds_and_serves(net):
    assert answer_of(net, "net") == 1
    # A version is in one stage: what followed staging ended when the version left it.
    until(lambda: ask(net, "net", "staging").status_code == 404, what="the end of the route to staging")
    until(lambda: not containers(net, "net", "staging", everything=True), what="the end of staging's container")
    log = [json.loads(line) for line in net.cli("logs", "net", "--env", "staging", "--json").stdout.splitlines()]
    streams = {line["stream"] for line in log}
    assert "event" in streams
    assert [line["seq"] for line in log] == sorted(line["seq"] for line in log)


def test_production_reuses_what_staging_made(net):
    log = net.cli("logs", "net", "--env", "production", "--json").stdout
    assert not {json.loads(line)["stream"] for line in log.splitlines()} & {"resolve", "build"}, log


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
    log = [json.loads(line) for line in net.cli("logs", "locked", "--env", "test", "--json").stdout.splitlines()]
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
    for container in containers(net, "net"):
        facts = json.loads(docker("inspect", container))[0]
        host, config = facts["HostConfig"], facts["Config"]
        assert host["ReadonlyRootfs"] is True
        assert host["CapDrop"] == ["ALL"] and not host["CapAdd"] and not host["Privileged"]
        assert any(option.startswith("no-new-privileges") for option in host["SecurityOpt"])
        assert config["User"].split(":")[0] not in ("", "0", "root")
        assert host["Memory"] > 0 and host["PidsLimit"] > 0 and (host["NanoCpus"] > 0 or host["CpuQuota"] > 0)
        assert all(not mount["RW"] for mount in facts["Mounts"]), facts["Mounts"]
        assert not any("docker.sock" in mount["Source"] for mount in facts["Mounts"])
        written = docker("exec", container, "sh", "-c", "touch /opt/ml/model/x 2>&1; touch /x 2>&1; id -u", check=False)
        assert written.count("Read-only") == 2 and not written.endswith("\n0"), written


def test_a_switch_under_load_loses_nothing(net):
    second = register(net, net.work, "net", 2)
    with Load(net, net.work, "net", [1, 2]) as load:
        promote(net, f"net@{second}")
        time.sleep(1)
    load.assert_clean()
    assert answer_of(net, "net") == 2
    log = net.cli("logs", "net", "--env", "production", "--json").stdout
    assert not {json.loads(line)["stream"] for line in log.splitlines()} & {"resolve", "build"}
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
    assert before["to_ms"] <= newest["from_ms"] + 60_000
    assert net.cli("history", "net", "--env", "production").stdout.count("two is worse") >= 1


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


def test_logs_follow_and_replay(net):
    """A follower sees what was there and what comes, without a gap."""
    for answer in (1, 2):
        register(net, net.work, "chatty", answer)
    promote(net, "chatty@1", "test")
    follower = subprocess.Popen(
        [BINARY, "logs", "chatty", "--env", "test", "--all", "-f", "--json"],
        env={**environment(), "WAYBILL_URL": net.url},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        promote(net, "chatty@2", "test")
        time.sleep(2)
    finally:
        follower.terminate()
    whole = net.cli("logs", "chatty", "--env", "test", "--all", "--json").stdout
    followed = [json.loads(line)["seq"] for line in follower.communicate(timeout=30)[0].splitlines()]
    assert followed == [json.loads(line)["seq"] for line in whole.splitlines()][: len(followed)]
    assert len(followed) > 5


def test_ports_of_nobody_are_left_over(net):
    """No container of ours listens on a host port, except on loopback."""
    for container in containers(net):
        ports = json.loads(docker("inspect", "-f", "{{json .HostConfig.PortBindings}}", container)) or {}
        for bindings in ports.values():
            assert all(binding["HostIp"].startswith("127.") for binding in bindings)
