"""The gateway in front of a real container."""

import json
import threading

import pytest
import raw
import requests
from deploying import ask


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
        assert answer.status == 403, f"{headers}: {answer.line}"


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
