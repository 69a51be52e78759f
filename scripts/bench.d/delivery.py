"""From a promotion to a container that serves, on the local Docker Engine: with an environment that has
to be made, and with one that is there."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request

from servers import Server

REGISTER = """
import sys
import mlflow
from sklearn.linear_model import LogisticRegression

mlflow.set_experiment("delivery")
model = LogisticRegression(C=float(sys.argv[1])).fit([[0.0], [1.0]], [0, 1])
mlflow.sklearn.log_model(model, name="model", registered_model_name="delivered")
"""
MODEL = "delivered"


def measure(work, name):
    """Figures in seconds."""
    server = Server(work, name, "delivery", deployer=True)
    server.start()
    there = images()
    try:
        figures = promoted(server)
        container = the_one_that_serves(server)
        image = docker("inspect", "-f", "{{.Image}}", container)
        figures["model_server_start_s"] = sorted(bare_start(container) for _ in range(3))[1]
        figures["deliver_again_overhead_s"] = figures["deliver_again_s"] - figures["model_server_start_s"]
    finally:
        server.stop()
        if left := containers(server):
            docker("rm", "-f", *left)
    if image in there:
        # Another registry on this machine has made the same environment: nothing was built.
        del figures["deliver_first_s"]
    else:
        docker("rmi", "-f", image)
    shutil.rmtree(server.folder)
    return figures


def promoted(server):
    figures = {}
    for version, figure in ((1, "deliver_first_s"), (2, "deliver_again_s")):
        env = {**os.environ, "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{server.port}"}
        subprocess.run([sys.executable, "-c", REGISTER, str(version)], check=True, env=env, capture_output=True)
        command = [server.command()[0], "--url", f"http://127.0.0.1:{server.port}"]
        start = time.perf_counter()
        subprocess.run(
            [*command, "promote", f"{MODEL}@{version}", "--to", "production"], check=True, capture_output=True
        )
        figures[figure] = time.perf_counter() - start
    return figures


def the_one_that_serves(server):
    """Once the one before it has drained and gone."""
    deadline = time.monotonic() + 120
    while len(found := containers(server)) != 1:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(found)} containers are left")
        time.sleep(0.2)
    return found[0]


def bare_start(container):
    """Seconds until the same image with the same model answers, started by the engine alone."""
    config = json.loads(docker("inspect", container))[0]
    flags = [f"--env={pair}" for pair in config["Config"]["Env"]] + ["--read-only", "--tmpfs=/tmp"]
    flags += [f"--volume={mount['Source']}:{mount['Destination']}:ro" for mount in config["Mounts"]]
    limits = config["HostConfig"]
    flags += [f"--memory={limits['Memory']}", f"--cpus={limits['NanoCpus'] / 1e9}", "--entrypoint="]
    start = time.perf_counter()
    copy = docker("run", "-d", "--rm", *flags, config["Image"], *config["Config"]["Cmd"])
    try:
        address = docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", copy)
        while time.perf_counter() - start < 120:
            try:
                with urllib.request.urlopen(f"http://{address}:8080/ping", timeout=5):
                    return time.perf_counter() - start
            except OSError:
                time.sleep(0.005)
        raise RuntimeError("the model server did not start: " + docker("logs", copy))
    finally:
        docker("rm", "-f", copy)


def containers(server):
    instance = (server.folder / "data/deployer/instance").read_text().strip()
    return docker("ps", "-aq", "--filter", f"label=io.waybill.instance={instance}").split()


def images():
    return set(docker("images", "-q", "--no-trunc", "waybill-env").split())


def docker(*words):
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True).stdout.strip()
