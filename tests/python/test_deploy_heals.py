"""What runs goes on running: through restarts, kill -9 at any moment, and containers that die."""

import random
import subprocess
import time

import pytest
from deploying import (
    Load,
    answer_of,
    containers,
    deployment,
    docker,
    instance,
    one_container,
    promote,
    register,
    remove_containers,
    until,
)
from server import BINARY, Server, environment


def test_a_container_that_dies_comes_back(net):
    (container,) = containers(net, "net", "production")
    docker("kill", container)
    until(lambda: answer_of(net, "net") == 1, what="serving again after docker kill")


def test_a_restart_adopts_what_runs(net):
    before = set(containers(net, "net"))
    assert net.stop() == 0
    assert set(containers(net, "net")) == before, "containers outlive the server"
    net.start()
    until(lambda: answer_of(net, "net") == 1, what="serving after a restart")
    assert set(containers(net, "net")) == before


@pytest.fixture(scope="module")
def two_versions(net):
    """Version 2 answers otherwise, with the same requirements."""
    assert register(net, net.work, "net", 2) == 2
    return net


def change(net):
    """Asks for the version that does not serve."""
    target = 2 if deployment(net, "net")["serving"]["version"] == 1 else 1
    net.cli("promote", f"net@{target}", "--to", "production", "--no-wait")
    return target


@pytest.mark.parametrize("delay", [0.05, 0.3, 1.0, 2.5, 5.0])
def test_kill_at_any_moment_of_a_rollout_heals(two_versions, delay):
    """kill -9 while it verifies, starts, waits or switches: after the restart it ends as it was asked."""
    target = change(two_versions)
    time.sleep(delay)
    assert_heals(two_versions, target)


@pytest.mark.parametrize("phase", ["switching", "draining"])
def test_kill_during_the_switch_heals(two_versions, phase):
    """A request that is under way for seconds keeps the old container draining; the switch itself is short."""
    net = two_versions
    for _ in range(20):
        target = change(net)
        seen = until(lambda: (p := deployment(net, "net")["rollout"]["phase"]) in (phase, "succeeded") and p, pause=0)
        if seen == phase:
            break
    else:
        raise AssertionError(f"no rollout was seen {phase}")
    assert_heals(net, target)


def assert_heals(net, target):
    net.kill()
    net.start()
    until(lambda: answer_of(net, "net") == target, what=f"version {target} after kill -9")
    until(lambda: one_container(net, "net"), what="the orphans' end")
    state = until(lambda: (d := deployment(net, "net")) and d["serving"]["version"] == target and d, what="the record")
    assert state["generation"] == state["observed_generation"]


def test_kill_during_a_build_heals(net, live):
    """A new lock: kill -9 while the environment image is being made; it serves in the end."""
    # No engine has the image of requirements that nobody wrote before.
    unseen = f"colorama>=0.0.{random.randrange(10**9)}"
    register(net, live.work, "rebuilt", 8, requirements=["mlflow==3.17.2", unseen])
    net.cli("promote", "rebuilt@1", "--to", "test", "--no-wait")
    until(lambda: deployment(net, "rebuilt", "test")["rollout"]["phase"] == "building", seconds=300, what="the build")
    time.sleep(3)
    net.kill()
    net.start()
    until(lambda: answer_of(net, "rebuilt", "test") == 8, seconds=600, what="serving after kill -9 in the build")
    (container,) = containers(net, "rebuilt", "test")
    image = docker("inspect", "--format", "{{.Image}}", container)
    promote(net, "rebuilt@1", "archived")
    until(lambda: not containers(net, "rebuilt", everything=True), what="the end of the archived version's container")
    docker("rmi", "-f", image)


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
