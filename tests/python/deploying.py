"""Models that are cheap to serve, and ways to watch them: for the tests that use Docker."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import requests

DEMO = Path(__file__).parents[2] / "scripts/demo.d"
CODE = """
import mlflow
from mlflow.pyfunc import PythonModel

class Answer(PythonModel):
    def load_context(self, context):
        self.answer = context.model_config["answer"]
        {startup}

    def predict(self, context, model_input, params=None):
        return [[self.answer]] * len(model_input)

mlflow.models.set_model(Answer())
"""
QUESTION = {"dataframe_split": {"columns": ["x"], "data": [[1.0]]}}


def register(server, folder, name, answer, startup="pass", requirements=("mlflow==3.17.2",)):
    """Registers a model from code that always gives `answer`; returns its version."""
    mlflow.set_tracking_uri(server.url)
    mlflow.set_experiment("deploy")
    script = folder / f"{name.encode().hex()[:40]}-{answer}.py"
    script.write_text(CODE.replace("{startup}", startup))
    with mlflow.start_run():
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(script),
            model_config={"answer": answer},
            registered_model_name=name,
            pip_requirements=list(requirements),
        )
    return int(logged.registered_model_version)


def ask(server, name, environment="production", **options):
    return requests.post(f"{server.gateway}/{environment}/{name}/invocations", json=QUESTION, timeout=30, **options)


def answer_of(server, name, environment="production"):
    response = ask(server, name, environment)
    assert response.status_code == 200, f"{response.status_code} {response.text}"
    return response.json()["predictions"][0][0]


def promote(server, reference, stage="production", ok=True, timeout=900):
    result = server.cli("promote", reference, "--to", stage, check=ok, timeout=timeout)
    assert ok or result.returncode != 0, result.stdout
    return result.stdout + result.stderr


def deployment(server, name, environment="production"):
    return server.api("GET", f"environments/{environment}/deployments/{name}").json()


def log_of(server, name, stage, *flags):
    return [json.loads(line) for line in server.cli("logs", name, "--env", stage, "--json", *flags).stdout.splitlines()]


def assert_nothing_was_made(server, name, stage):
    log = log_of(server, name, stage)
    assert log and not {line["stream"] for line in log} & {"resolve", "build"}, log


def unseen_requirements():
    """No engine has the image of requirements that nobody wrote before."""
    return ["mlflow==3.17.2", f"colorama>=0.0.{random.randrange(10**9)}"]


def until(condition, seconds=120, what="the condition", pause=0.2):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if value := condition():
                return value
        except (requests.RequestException, KeyError, AssertionError):
            pass
        time.sleep(pause)
    raise AssertionError(f"{what} did not come true within {seconds} s")


def docker(*arguments, check=True):
    result = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=120)
    assert not check or result.returncode == 0, f"docker {arguments}: {result.stderr}"
    return result.stdout.strip()


def instance(server):
    return (server.data_dir / "deployer/instance").read_text().strip()


def containers(server, name=None, environment=None, everything=False):
    """Ids of the server's running containers, or of all, for a model and an environment."""
    return listed(server, "{{.ID}}", name, environment, everything).split()


def listed(server, form, name=None, environment=None, everything=False):
    """A line in that form (a Go template) for each of them."""
    wanted = {"instance": instance(server), "model": name, "environment": environment}
    filters = [f"label=io.waybill.{key}={value}" for key, value in wanted.items() if value]
    flags = [word for text in filters for word in ("--filter", text)]
    return docker("ps", "--no-trunc", "--format", form, *(["-a"] if everything else []), *flags)


def one_container(server, name, environment="production"):
    """Whether nothing is left over beside the container that serves."""
    return len(containers(server, name, environment, everything=True)) == 1


def remove_containers(server):
    if (server.data_dir / "deployer/instance").exists():
        ids = containers(server, everything=True)
        if ids:
            docker("rm", "-f", *ids)


class Load:
    """The demo's load generator, around a block of code."""

    def __init__(self, server, folder, name, answers):
        self.out = folder / f"load-{time.monotonic_ns()}.json"
        self.input = folder / "question.json"
        self.input.write_text(json.dumps(QUESTION))
        known = []
        for answer in answers:
            place = folder / f"answer-{answer}"
            place.mkdir(exist_ok=True)
            (place / "prediction.json").write_text(json.dumps({"predictions": [[answer]]}))
            known.append(str(place))
        url = f"{server.gateway}/production/{name}/invocations"
        self.command = [sys.executable, str(DEMO / "load.py"), url, str(self.input), str(self.out), "--known", *known]

    def __enter__(self):
        self.process = subprocess.Popen(self.command)
        time.sleep(1)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=60) == 0
        self.result = json.loads(self.out.read_text())

    def assert_clean(self):
        assert self.result["failed"] == 0, self.result
        assert self.result["requests"] > 20, self.result
