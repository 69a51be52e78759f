"""What is missing from a request is refused by MLflow's server and ours alike: for every endpoint and
every field, the same status and the same code."""

import re

import pytest
import requests
from mlflow_api import endpoints, fill

# Suites of their own; MLflow's handlers without a message answer with Flask's own pages; and on a
# folder MLflow offers neither parts nor signed URLs.
ELSEWHERE = re.compile(r"/mlflow/(traces|webhooks)|/graphql|/demo/|trace-artifact|/mpu/|presigned|server-info")
# Twins under /ajax-api go the same way; a run without an experiment is one of the default's.
ENDPOINTS = [
    endpoint
    for endpoint in endpoints()
    if endpoint.fields and endpoint.path.startswith("/api/") and endpoint.path != "/api/2.0/mlflow/runs/create"
    if not endpoint.left_out and not ELSEWHERE.search(endpoint.path)
]


@pytest.fixture(scope="module")
def stocked(reference, server):
    """The same objects on both sides, by field name."""
    sides = []
    for url in (reference.url, server.url):

        def post(path, body, url=url):
            response = requests.post(f"{url}/api/2.0/mlflow/{path}", json=body, timeout=60)
            assert response.status_code == 200, response.text
            return response.json()

        name = f"refusals-{server.port}"
        experiment = post("experiments/create", {"name": name})["experiment_id"]
        run = post("runs/create", {"experiment_id": experiment})["run"]["info"]["run_id"]
        model = post("logged-models", {"experiment_id": experiment})["model"]["info"]["model_id"]
        post("registered-models/create", {"name": name})
        post("model-versions/create", {"name": name, "source": "s3://elsewhere/x"})
        post("registered-models/alias", {"name": name, "alias": "champion", "version": "1"})
        good = {
            **{"experiment_id": experiment, "experiment_ids": [experiment], "experiment_name": name},
            **{"run_id": run, "run_ids": [run], "source_run_id": run, "model_id": model, "name": name},
            **{"version": "1", "alias": "champion", "stage": "Staging", "metric_key": "m", "key": "k", "value": "1"},
            **{"timestamp": 1, "source": "s3://elsewhere/x", "tag_key": "k", "model_json": "{}", "path": "a"},
        }
        sides.append((url, good))
    return sides


def ask(url, endpoint, message, good):
    path = url + fill(endpoint.path, {name: str(value) for name, value in good.items()})
    options = {"params": message} if endpoint.method == "GET" else {"json": message}
    response = requests.request(endpoint.method, path, timeout=60, **options)
    return response.status_code, None if response.ok else response.json().get("error_code")


def same(stocked, endpoint, make):
    expected, actual = (ask(url, endpoint, make(good), good) for url, good in stocked)
    assert actual == expected, f"{endpoint.method} {endpoint.path} {make(stocked[1][1])}"


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: f"{e.method} {e.path}")
def test_what_is_missing(stocked, endpoint):
    same(stocked, endpoint, lambda good: {})
    same(stocked, endpoint, lambda good: {"no_such_field": 1})
    named = {field.name for field in endpoint.fields if f"<{field.name}>" not in endpoint.path}
    # What would be done, were it not for what is missing, must not be done to what the next test needs.
    absent = re.search(r"delete|restore|rename|update", endpoint.path) or endpoint.method == "DELETE"
    for field in sorted(named):

        def without(good, field=field):
            return {
                name: "absent" if absent and name == "name" else value
                for name, value in good.items()
                if name in named and name != field
            }

        same(stocked, endpoint, without)
