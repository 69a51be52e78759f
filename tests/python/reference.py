"""MLflow's own server beside ours: the same call goes to both, and the answers must agree.

What MLflow answers is read off MLflow, not off a copy of its behaviour in this repository.
"""

import os
import re
import signal
import subprocess
import sys
import time

import requests
from server import free_port

# Assigned by each server: compared for presence, not for value.
CLOCK_KEYS = re.compile(r"(_time|_timestamp|_timestamp_ms|_time_ms)$|^timestamp$|^creation_timestamp$")
# MLflow decorates its errors with Databricks' classes, of which its client reads none, and says that
# everything is in the workspace "default", which a server without workspaces leaves out.
MLFLOW_ONLY_KEYS = {"sqlstate", "error_class", "workspace"}
URI_KEYS = (
    *("artifact_uri", "artifact_location", "source", "root_uri", "storage_location"),
    "mlflow.artifactLocation",
)


class Reference:
    """`mlflow server` from PyPI with one worker; `python` has another version of it, where that is asked for, and
    `database` is another one than a file."""

    def __init__(self, folder, python=sys.executable, artifacts=None, database=None):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "mlflow.log"
        command = [python, "-m", "mlflow", "server", "--workers", "1"]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--backend-store-uri", database or f"sqlite:///{folder}/mlflow.db"]
        command += artifacts or ["--artifacts-destination", str(folder / "artifacts")]
        self.process = subprocess.Popen(
            command,
            stdout=self.log.open("wb"),
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
            start_new_session=True,
        )

    def wait(self):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                if requests.get(self.url + "/health", timeout=10).status_code == 200:
                    return self
            except requests.RequestException:
                time.sleep(0.2)
        raise AssertionError(f"mlflow server did not start: {self.log.read_text()[-2000:]}")

    def stop(self):
        # Version 2 starts workers, which outlive it.
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(timeout=30)


class Side:
    """One of the two servers, with the ids that it gave out."""

    def __init__(self, url):
        self.url = url
        self.ids = {}

    def fill(self, value):
        """`$name` in a request becomes the id that this side saved under that name."""
        if isinstance(value, dict):
            return {key: self.fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        if isinstance(value, str):
            return re.sub(r"\$([a-z_]+)", lambda match: self.ids.get(match[1], match[0]), value)
        return value

    def ask(self, method, path, body):
        path, body = self.fill(path), self.fill(body)
        if not path.startswith("/"):
            path = "/api/2.0/mlflow/" + path
        options = {"params": body} if method == "GET" else {"json": body}
        return requests.request(method, self.url + path, timeout=60, **options)

    def normal(self, value, key=""):
        """The answer without what each server assigns for itself."""
        if isinstance(value, dict):
            # MLflow sends a run's empty outputs from some calls and not from others.
            names = {name for name in value if not (name == "outputs" and value[name] == {})}
            return {name: self.normal(value[name], name) for name in names - MLFLOW_ONLY_KEYS}
        if isinstance(value, list):
            items = [self.normal(item, key) for item in value]
            keyed = all(isinstance(item, dict) and "key" in item for item in items)
            return sorted(items, key=lambda item: str(item["key"])) if keyed else items
        if isinstance(value, int) and CLOCK_KEYS.search(key) and value > 10**12:
            return "<clock>"
        if isinstance(value, str) and key == "last_update_time":
            return "<clock>"
        if isinstance(value, str):
            return self._without_ids(value, key)
        return value

    def _without_ids(self, text, key):
        if key == "message":
            # What follows is the text of MLflow's own SQL or stack.
            text = text.split(" Error: ")[0]
        for name, saved in sorted(self.ids.items(), key=lambda item: -len(item[1])):
            # A short id is a number that may stand for anything outside the fields below.
            if text == saved and key in ("experiment_id", "experimentId"):
                return f"<{name}>"
            if len(saved) > 8:
                text = text.replace(saved, f"<{name}>")
            elif key in URI_KEYS or text.startswith("mlflow-artifacts:/"):
                text = re.sub(rf"(?<=/){re.escape(saved)}(?=/|$)", f"<{name}>", text)
            elif key == "message":
                # Other numbers of a message, counts and limits, may happen to be the same.
                text = re.sub(rf"(?i)((?:experiment|id)\W{{1,4}}){re.escape(saved)}(?!\w)", rf"\1<{name}>", text)
        return text


def dig(value, path):
    for part in path.split("."):
        value = value[int(part)] if part.isdigit() else value[part]
    return str(value)


class Both:
    """Asks both servers and compares; `save` keeps ids of the answer under a name."""

    def __init__(self, reference_url, subject_url):
        self.reference, self.subject = Side(reference_url), Side(subject_url)

    def same(self, method, path, body=None, save=None):
        answers = []
        for side in (self.reference, self.subject):
            response = side.ask(method, path, body)
            try:
                content = response.json()
            except ValueError:
                content = response.text
            for name, where in (save or {}).items():
                assert response.status_code == 200, f"{side.url} {path}: {response.text}"
                side.ids[name] = dig(content, where)
            content = side.normal(content)
            answers.append({"status": response.status_code, "reason": response.reason.upper(), "body": content})
        expected, actual = answers
        assert actual == expected, f"{method} {path} {body}\n  MLflow:  {expected}\n  Waybill: {actual}"
        return actual["body"]

    def alike(self, method, path, body=None):
        """Same status and code; the message may say more than MLflow's."""
        answers = [side.ask(method, path, body) for side in (self.reference, self.subject)]
        expected, actual = ((answer.status_code, answer.json().get("error_code")) for answer in answers)
        assert actual == expected, f"{method} {path} {body}: {[answer.text for answer in answers]}"
        assert answers[1].json()["message"]

    def name(self, name, value):
        """Makes `$name` stand for the same value on both sides."""
        for side in (self.reference, self.subject):
            side.ids[name] = value
