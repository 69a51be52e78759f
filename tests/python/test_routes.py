"""Every path of MLflow's server is answered: by what it does, or by one sentence that says that it is
not part of Waybill."""

import re

import pytest
import raw
from mlflow_api import endpoints, fill

# These have suites of their own.
ELSEWHERE = re.compile(r"/graphql|/demo/")

ALL = [endpoint for endpoint in endpoints() if not ELSEWHERE.search(endpoint.path)]
JSON = {"Content-Type": "application/json"}


def ask(server, endpoint):
    return raw.send(server.port, endpoint.method, fill(endpoint.path), b"{}", JSON)


def of(chosen):
    return pytest.mark.parametrize("endpoint", list(filter(chosen, ALL)), ids=lambda e: f"{e.method} {e.path}")


@of(lambda e: not e.left_out and not e.empty_for_pages)
def test_what_is_offered(server, endpoint):
    answer = ask(server, endpoint)
    assert answer.status < 500, answer.body
    if answer.status != 200:
        assert answer.json()["error_code"] != "ENDPOINT_NOT_FOUND", answer.body


@of(lambda e: e.empty_for_pages)
def test_pages_of_what_is_left_out_find_nothing(server, ui, endpoint):
    """MLflow's pages ask for some lists wherever one goes, and show their empty state."""
    answer = ask(ui, endpoint)
    assert answer.status == 200, answer.body
    assert not any(answer.json().values()), answer.body
    refused(ask(server, endpoint))


@of(lambda e: e.left_out)
def test_what_is_left_out(server, endpoint):
    body = refused(ask(server, endpoint))
    assert body["message"].endswith("is not part of Waybill."), body


def test_what_is_left_out_and_no_endpoint_of_a_message(server):
    answer = raw.send(server.port, "GET", "/api/3.0/mlflow/mcp-servers/any", b"", JSON)
    assert refused(answer)["message"] == "The registry of MCP servers is not part of Waybill."


def refused(answer):
    body = answer.json()
    assert answer.status in (404, 405), answer.body
    assert body["error_code"] == "ENDPOINT_NOT_FOUND"
    return body
