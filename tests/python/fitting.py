"""A server with one object of every kind, and requests to it that fit: so that what is made wrong in one of them is
all that is wrong with it."""

import itertools
import json
import re
import sqlite3
import urllib.parse

import psycopg2
import raw
from mlflow_api import fill

JSON = {"Content-Type": "application/json"}
MESSAGE_MAX_CHARS = 2_000
NUMBERS = itertools.count(1)

WHEN = "2024-01-01T00:00:00Z"
ASSESSMENT = {
    "assessment_name": "fields",
    "source": {"source_type": "HUMAN", "source_id": "ada"},
    "create_time": WHEN,
    "last_update_time": WHEN,
    "feedback": {"value": 1},
}
WEBHOOK = {"name": "fields", "url": "http://127.0.0.1:9/", "events": [{"entity": "PROMPT", "action": "CREATED"}]}
# What else a message inside of a request holds. A `#` becomes a number that no request had before: what is there
# already would be refused for that.
NESTED = {
    "metrics": {"key": "k#", "value": 1, "timestamp": 1, "step": 0},
    "params": {"key": "k#", "value": "v"},
    "tags": {"key": "k", "value": "v"},
    "request_metadata": {"key": "k", "value": "v"},
    "dataset": {"name": "d", "digest": "#", "source_type": "local", "source": "{}"},
    "prompt_versions": {"name": "fields", "version": "1"},
    "parts": {"part_number": 1, "etag": "e", "url": "http://127.0.0.1:9/"},
    "error": {"error_code": "E"},
    "serialized_value": {"serialization_format": "JSON_FORMAT", "value": "1"},
    "order_by": {"field_name": "metrics.k"},
}
NESTED["datasets"] = {"dataset": NESTED["dataset"], "dataset_name": "d"}


def stock(server):
    """Fills a server; `good` then has a value that fits for every field of a request by its name."""
    ids = {"experiment_id": server.mlflow("POST", "experiments/create", {"name": "fields"}).json()["experiment_id"]}
    run = server.mlflow("POST", "runs/create", {"experiment_id": ids["experiment_id"]}).json()["run"]["info"]
    ids["run_id"] = run["run_id"]
    model = server.mlflow("POST", "logged-models", {"experiment_id": ids["experiment_id"]}).json()
    ids["model_id"] = model["model"]["info"]["model_id"]
    server.mlflow("POST", "registered-models/create", {"name": "fields"})
    server.mlflow("POST", "model-versions/create", {"name": "fields", "source": "s3://elsewhere/x"})
    server.mlflow("POST", "registered-models/alias", {"name": "fields", "alias": "champion", "version": "1"})
    ids["webhook_id"] = server.mlflow("POST", "webhooks", WEBHOOK).json()["webhook"]["webhook_id"]
    location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": ids["experiment_id"]}}
    server.trace = {"trace_location": location, "request_time": WHEN, "execution_duration": "1s", "state": "OK"}
    made = {"trace": {"trace_info": {**server.trace, "trace_id": "tr-fields"}}}
    traces = "/api/3.0/mlflow/traces"
    assert raw.send(server.port, "POST", traces, json.dumps(made).encode(), JSON).status == 200
    assessment = json.dumps({"assessment": ASSESSMENT}).encode()
    answer = raw.send(server.port, "POST", f"{traces}/tr-fields/assessments", assessment, JSON)
    ids["assessment_id"] = answer.json()["assessment"]["assessment_id"]
    server.good = good_fields(ids)
    server.watch = Watch(server)


def good_fields(ids):
    return {
        **ids,
        **{"run_uuid": ids["run_id"], "source_run_id": ids["run_id"], "run_ids": [ids["run_id"]]},
        **{"experiment_ids": [ids["experiment_id"]], "experiment_name": "fields", "name": "fields"},
        **{"trace_id": "tr-fields", "request_id": "tr-fields", "trace_ids": ["tr-fields"]},
        **{"new_name": "renamed", "version": "1", "alias": "champion", "stage": "Staging", "metric_key": "loss"},
        **{"key": "k", "value": "1", "timestamp": 1, "path": "a/b", "source": "s3://elsewhere/x", "tag_key": "k"},
        **{"artifact_file_path": "a", "model_json": "{}", "upload_id": "mpu-none", "num_parts": 2},
        **{"url": WEBHOOK["url"], "events": WEBHOOK["events"]},
    }


class Watch:
    """What another connection sees of a server's database: the same twice is nothing changed."""

    def __init__(self, server):
        if "--database-url" not in server.flags:
            self.connection = sqlite3.connect(server.data_dir / "waybill.db")
            # A number that changes with every commit of another connection.
            self.question = "PRAGMA data_version"
            return
        self.connection = psycopg2.connect(server.flags[server.flags.index("--database-url") + 1])
        self.connection.autocommit = True
        tables = self.ask("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        # A row that is written gets a newer xmin; one that is gone is missing in the count.
        seen = "SELECT '{0}', COUNT(*), MAX(xmin::text::bigint) FROM {0}"
        self.question = " UNION ALL ".join(seen.format(table) for (table,) in tables)

    def ask(self, question):
        cursor = self.connection.cursor()
        cursor.execute(question)
        return cursor.fetchall()

    def look(self):
        return sorted(self.ask(self.question))


def base(server, endpoint):
    """A request that fits, as far as one table of values can make it."""
    named = {field.name for field in endpoint.fields}
    in_path = set(re.findall(r"<(?:\w+:)?(\w+)>", endpoint.path))
    fitting = {name: value for name, value in server.good.items() if name in named - in_path}
    if "delete" in endpoint.path or endpoint.method == "DELETE":
        # What fits here would take away what the next one needs.
        fitting.update({key: "absent" for key in ("name", "experiment_id", "run_id") if key in fitting})
    return fitting


def put(message, way, text, fits):
    """`message` with a text at the end of that way, and with what `fits` and `NESTED` have for the messages on it."""
    (name, shape), rest = way[0], way[1:]
    if shape == "map":
        return {**message, name: {text: "v"} if rest[0][0] == "key" else {"k": text}}
    value = put(fits.get(name, NESTED.get(name, {})), rest, text, fits) if rest else text
    return {**message, name: [value] if shape == "list" else value}


def refused(answer, what):
    assert answer.status is not None and 400 <= answer.status < 500, f"{what}: {answer.line} {answer.body[:300]!r}"
    body = answer.json()
    assert set(body) == {"error_code", "message"} and body["error_code"] and body["message"], f"{what}: {body}"
    assert len(body["message"]) < MESSAGE_MAX_CHARS, f"{what}: {body['message'][:200]}"


def refused_or_taken(server, answer, before, what):
    assert answer.status is not None, f"{what}: no answer"
    if answer.status == 200:
        return
    refused(answer, what)
    assert server.watch.look() == before, f"{what}: refused, and yet something was written"


def path_of(server, endpoint):
    """The endpoint's path to what is there."""
    there = {name: str(value) for name, value in server.good.items()}
    if endpoint.method == "DELETE":
        # What fits would be gone for those that come after.
        there["assessment_id"] = "a-absent"
    return fill(endpoint.path, there)


def ask(server, endpoint, message, what):
    path = path_of(server, endpoint)
    before = server.watch.look()
    if endpoint.method == "GET":
        query = urllib.parse.urlencode(message, doseq=True)
        answer = raw.send(server.port, "GET", f"{path}?{query}")
    else:
        body = json.dumps(message).replace("#", str(next(NUMBERS))).encode()
        answer = raw.send(server.port, endpoint.method, path, body, JSON)
    refused_or_taken(server, answer, before, f"{endpoint.method} {path} {what}")
    return answer
