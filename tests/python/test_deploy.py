"""From a registered version to a container that serves, on a real Docker Engine."""

import json
import os
import subprocess
import threading
import time
from pathlib import Path

import pytest
import raw
import requests
from conftest import missing
from deploying import (
    Load,
    answer_of,
    ask,
    containers,
    deployment,
    docker,
    instance,
    promote,
    register,
    remove_containers,
    until,
)
from server import BINARY, Server, environment


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
    """A server with its deployer and gateway; `net` has versions 1 and 2 with the same requirements."""
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
    live.first_promotion = promote(live, "net@1", "staging")
    live.second_promotion = promote(live, "net@1", "production")
    return live


def test_first_promotion_resolves_builds_and_serves(net):
    assert answer_of(net, "net", "staging") == 1 and answer_of(net, "net") == 1
    log = [json.loads(line) for line in net.cli("logs", "net", "--env", "staging", "--json").stdout.splitlines()]
    streams = {line["stream"] for line in log}
    assert "event" in streams
    assert [line["seq"] for line in log] == sorted(line["seq"] for line in log)


def test_production_reuses_what_staging_made(net):
    log = net.cli("logs", "net", "--env", "production", "--json").stdout
    assert not {json.loads(line)["stream"] for line in log.splitlines()} & {"resolve", "build"}, log
    images = {docker("inspect", "--format", "{{.Image}}", container) for container in containers(net, "net")}
    assert len(images) == 1


def test_the_lockfile_is_signed_and_attached(net):
    uid = net.api("GET", "models/net/versions/1").json()["uid"]
    referrers = net.api("GET", f"versions/{uid}/referrers").json()["referrers"]
    signed = [referrer for referrer in referrers if "lock" in referrer["artifact_type"] and referrer.get("signed_by")]
    assert signed, referrers
    keys = {key["hint"]: key["role"] for key in net.api("GET", "keys").json()["keys"]}
    assert keys[signed[0]["signed_by"]] == "deployer"
    assert net.cli("verify", "net@1").returncode == 0


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
    until(lambda: len(containers(net, "net", everything=True)) == 2, what="the old container's end")


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
    assert "no weights here" in said and "ping" in said.lower(), said
    state = deployment(net, "net")
    assert (
        state["serving"]["version"] == 1 and state["rollout"]["phase"] == "failed" and state["rollout"]["reason_code"]
    )
    promotions = net.api("GET", "models/net/history", params={"environment": "production"}).json()["promotions"]
    assert promotions[0]["version"] == broken
    until(lambda: len(containers(net, "net", everything=True)) == 2, what="the broken container's end")
    promote(net, "net@1")


def test_a_container_that_dies_comes_back(net):
    (container,) = [
        one
        for one in containers(net, "net")
        if docker("inspect", "-f", '{{index .Config.Labels "io.waybill.environment"}}', one) == "production"
    ]
    docker("kill", container)
    until(lambda: answer_of(net, "net") == 1, what="serving again after docker kill")


def test_a_restart_adopts_what_runs(net):
    before = set(containers(net, "net"))
    assert net.stop() == 0
    assert set(containers(net, "net")) == before, "containers outlive the server"
    net.start()
    until(lambda: answer_of(net, "net") == 1, what="serving after a restart")
    assert set(containers(net, "net")) == before


@pytest.mark.parametrize("delay", [0.05, 0.3, 1.0, 2.5, 5.0])
def test_kill_at_any_moment_of_a_rollout_heals(net, delay):
    """kill -9 while it verifies, starts, waits or switches: after the restart it ends as it was asked."""
    target = 2 if deployment(net, "net")["serving"]["version"] == 1 else 1
    net.cli("promote", f"net@{target}", "--to", "production", "--no-wait")
    time.sleep(delay)
    net.kill()
    net.start()
    until(lambda: answer_of(net, "net") == target, what=f"version {target} after kill -9 at {delay} s")
    until(lambda: len(containers(net, "net", everything=True)) == 2, what="the orphans' end")
    state = until(lambda: (d := deployment(net, "net")) and d["serving"]["version"] == target and d, what="the record")
    assert state["generation"] == state["observed_generation"]


def test_newer_change_wins(net):
    for version in (1, 2, 1, 2, 1):
        net.cli("promote", f"net@{version}", "--to", "production", "--no-wait")
    until(lambda: answer_of(net, "net") == 1 and deployment(net, "net")["rollout"]["phase"] == "succeeded")
    until(lambda: len(containers(net, "net", everything=True)) == 2, what="no container left over")


def test_gateway_as_its_own_process(net, live):
    """serve restarts, even by kill -9, and not one request fails."""
    separate = Server(net.folder.parent / "separate", "--gateway", "external", deployer=True).start()
    command = [
        BINARY,
        "gateway",
        "--listen",
        f"127.0.0.1:{separate.gateway_port}",
        "--data-dir",
        str(separate.data_dir),
    ]
    gateway = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        register(separate, live.work, "apart", 7)
        promote(separate, "apart@1")
        until(lambda: answer_of(separate, "apart") == 7)
        with Load(separate, live.work, "apart", [7]) as load:
            separate.kill()
            time.sleep(1)
            separate.start()
            time.sleep(3)
        load.assert_clean()
        assert set(containers(net, "net")), "two deployers on one engine leave each other alone"
        assert instance(net) != instance(separate)
    finally:
        gateway.terminate()
        gateway.wait(timeout=30)
        separate.stop()
        remove_containers(separate)


def test_archiving_stops_it(net):
    register(net, net.work, "short", 5)
    promote(net, "short@1", "test")
    assert answer_of(net, "short", "test") == 5
    net.cli("promote", "short@1", "--to", "archived", "--no-wait")
    until(lambda: ask(net, "short", "test").status_code in (404, 503), what="the route's end")
    until(lambda: not containers(net, "short", everything=True), what="the container's end")
    history = net.api("GET", "models/short/history", params={"environment": "test"}).json()
    assert history["serving"][0].get("to_ms")


def test_requirements_that_do_not_resolve(net):
    register(net, net.work, "unsolvable", 1, requirements=["mlflow==3.17.2", "numpy==99.0.0"])
    said = promote(net, "unsolvable@1", "staging", ok=False)
    assert "numpy" in said and "99.0.0" in said, said
    assert not containers(net, "unsolvable", everything=True)


@pytest.mark.parametrize(
    "line",
    [
        "numpy; touch /tmp/waybill-owned",
        "$(touch /tmp/waybill-owned)",
        "numpy && id",
        "-r /etc/passwd",
        "--index-url=http://evil",
    ],
)
def test_requirements_with_shell_characters(net, tmp_path, line):
    """As a plain folder, since MLflow's client would refuse to write such a line."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "requirements.txt").write_text(f"mlflow==3.17.2\n{line}\n")
    (folder / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: x\n")
    name = f"shell-{abs(hash(line)) % 10**6}"
    pushed = net.cli("push", folder, name, check=False)
    if pushed.returncode == 0:
        said = promote(net, f"{name}@1", "staging", ok=False)
        assert line.split()[0].strip(";") in said or "requirement" in said, said
    assert not Path("/tmp/waybill-owned").exists()
    for image in docker("images", "-q", "waybill-env").split():
        listing = docker("run", "--rm", "--network", "none", "--entrypoint", "ls", image, "/tmp", check=False)
        assert "waybill-owned" not in listing


@pytest.mark.parametrize("name", ["$(id)", "a b", "UPPER", "dots.and_under-scores", "ünïcode", "x" * 200])
def test_names_that_docker_would_not_take(net, name):
    register(net, net.work, name, 9)
    promote(net, f"{name}@1", "test")
    path = requests.utils.quote(name, safe="")
    assert answer_of(net, path, "test") == 9
    net.cli("promote", f"{name}@1", "--to", "archived", "--no-wait")


def test_damaged_content_is_not_deployed(net):
    """A stored file rots before its first deployment: verification stops it, naming the file."""
    version = register(net, net.work, "rotten", 4)
    digest = next(
        layer["digest"]
        for layer in net.api(
            "GET", f"versions/{net.api('GET', f'models/rotten/versions/{version}').json()['uid']}/manifest"
        ).json()["layers"]
        if layer["annotations"]["org.cncf.model.filepath"].endswith(".py")
    )
    for blob in (net.data_dir / "artifacts").rglob(f"*{digest.removeprefix('sha256:')}*/*"):
        content = bytearray(blob.read_bytes())
        content[10] ^= 1
        blob.chmod(0o644)
        blob.write_bytes(content)
    promote(net, "rotten@1", "test", ok=False)
    assert not containers(net, "rotten", everything=True)


def test_a_tampered_model_cache_is_not_mounted(net):
    """Somebody changes the cached files on the host: the next start notices."""
    version = register(net, net.work, "cached", 6)
    promote(net, f"cached@{version}", "test")
    models = net.data_dir / "deployer/models"
    changed = [path for path in models.rglob("*.py") if "self.answer" in path.read_text()]
    assert changed
    for path in changed:
        path.chmod(0o644)
        path.write_text(path.read_text().replace("[[self.answer]]", "[[666]]"))
    promote(net, f"cached@{version}", "staging")
    assert answer_of(net, "cached", "staging") == 6


def test_the_base_image_missing(docker_engine, make_server, live):
    server = make_server("--base-image", "waybill-base:nobody-made-this", deployer=True).start()
    try:
        register(server, live.work, "baseless", 1)
        said = promote(server, "baseless@1", "staging", ok=False)
        assert "waybill images base" in said, said
    finally:
        server.stop()
        remove_containers(server)


def test_the_gateway_refuses_pages(net):
    body = json.dumps({"dataframe_split": {"columns": ["x"], "data": [[1]]}}).encode()
    target = "/production/net/invocations"
    usual = {"Content-Type": "application/json"}
    assert raw.send(net.gateway_port, "POST", target, body, usual).status == 200
    for headers in (
        {"Host": "evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ):
        answer = raw.send(net.gateway_port, "POST", target, body, {**usual, **headers})
        assert answer.status in (400, 403), f"{headers}: {answer.line}"


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/production/nobody/invocations", 404),
        ("/nowhere/net/invocations", 404),
        ("/", 404),
        ("/production/net/../../x", 400),
        ("/production/%2e%2e/net/ping", 400),
    ],
)
def test_gateway_paths(net, target, status):
    answer = raw.send(net.gateway_port, "GET", target)
    assert answer.status == status, answer.line
    assert answer.json()["code"]


def test_large_and_slow_requests_through_the_gateway(net):
    rows = {"dataframe_split": {"columns": ["x"], "data": [[float(i)] for i in range(200_000)]}}
    response = requests.post(f"{net.gateway}/production/net/invocations", json=rows, timeout=120)
    assert response.status_code == 200 and len(response.json()["predictions"]) == 200_000
    failures = []

    def many():
        for _ in range(20):
            if ask(net, "net").status_code != 200:
                failures.append(1)

    threads = [threading.Thread(target=many) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_logs_follow_and_replay(net):
    """A follower sees what was there and what comes, without a gap."""
    follower = subprocess.Popen(
        [BINARY, "logs", "net", "--env", "staging", "--all", "-f", "--json"],
        env={**environment(), "WAYBILL_URL": net.url},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        promote(net, "net@1", "staging")
        promote(net, "net@2", "staging")
        time.sleep(2)
    finally:
        follower.terminate()
    followed = [json.loads(line)["seq"] for line in follower.communicate(timeout=30)[0].splitlines()]
    whole = [
        json.loads(line)["seq"]
        for line in net.cli("logs", "net", "--env", "staging", "--all", "--json").stdout.splitlines()
    ]
    assert followed == whole[: len(followed)] and len(followed) > 5


def test_kill_during_a_build_heals(net, live):
    """A new lock: kill -9 while the environment image is being made; it serves in the end."""
    register(net, live.work, "rebuilt", 8, requirements=["mlflow==3.17.2", "colorama==0.4.6"])
    net.cli("promote", "rebuilt@1", "--to", "test", "--no-wait")
    until(lambda: deployment(net, "rebuilt", "test")["rollout"]["phase"] == "building", seconds=300, what="the build")
    time.sleep(3)
    net.kill()
    net.start()
    until(lambda: answer_of(net, "rebuilt", "test") == 8, seconds=600, what="serving after kill -9 in the build")


def test_ports_of_nobody_are_left_over(net):
    """No container of ours listens on a host port, except on loopback."""
    for container in containers(net):
        ports = json.loads(docker("inspect", "-f", "{{json .HostConfig.PortBindings}}", container)) or {}
        for bindings in ports.values():
            assert all(binding["HostIp"].startswith("127.") for binding in bindings)
