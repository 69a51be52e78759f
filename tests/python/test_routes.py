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


@pytest.mark.parametrize("endpoint", [e for e in ALL if not e.left_out], ids=lambda e: f"{e.method} {e.path}")
def test_what_is_offered(server, endpoint):
    answer = ask(server, endpoint)
    assert answer.status < 500, answer.body
    if answer.status != 200:
        assert answer.json()["error_code"] != "ENDPOINT_NOT_FOUND", answer.body


@pytest.mark.parametrize("endpoint", [e for e in ALL if e.empty_for_pages], ids=lambda e: f"{e.method} {e.path}")
def test_pages_of_what_is_left_out_find_nothing(server, endpoint):
    answer = ask(server, endpoint)
    assert answer.status == 200, answer.body
    assert not any(answer.json().values()), answer.body


@pytest.mark.parametrize("endpoint", [e for e in ALL if e.left_out], ids=lambda e: f"{e.method} {e.path}")
def test_what_is_left_out(server, endpoint):
    answer = ask(server, endpoint)
    body = answer.json()
    if answer.status == 200:
        # MLflow's pages ask for some lists wherever one goes, and show their empty state.
        assert endpoint.path.startswith("/ajax-api/") and not any(body.values()), body
        return
    assert answer.status in (404, 405), answer.body
    assert body["error_code"] == "ENDPOINT_NOT_FOUND"
    assert body["message"].endswith("is not part of Waybill."), body
