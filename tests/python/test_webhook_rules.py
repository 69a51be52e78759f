"""What webhooks may be: MLflow's rules and words, and its own address rules made stricter."""

import pytest
import requests

EVENTS = [{"entity": "MODEL_VERSION", "action": "CREATED"}]
PUBLIC = "https://93.184.216.34/hook"
SAME = [
    ("POST", "webhooks", {}),
    ("POST", "webhooks", {"name": "a", "url": PUBLIC}),
    ("POST", "webhooks", {"name": "a", "events": EVENTS}),
    ("POST", "webhooks", {"url": PUBLIC, "events": EVENTS}),
    ("POST", "webhooks", {"name": "", "url": PUBLIC, "events": EVENTS}),
    ("POST", "webhooks", {"name": "a", "url": "", "events": EVENTS}),
    ("POST", "webhooks", {"name": "a", "url": PUBLIC, "events": []}),
    ("POST", "webhooks", {"name": "a", "url": PUBLIC, "events": "x"}),
    ("POST", "webhooks", {"name": 7, "url": PUBLIC, "events": EVENTS}),
    ("POST", "webhooks", {"name": "a", "url": 7, "events": EVENTS}),
    ("POST", "webhooks", {"name": "x" * 64, "url": PUBLIC, "events": EVENTS}),
    *[
        ("POST", "webhooks", {"name": name, "url": PUBLIC, "events": EVENTS})
        for name in ("-x", "x-", "_x", "x.", "a b", "a/b", "a@b", "<script>", "ä")
    ],
    *[
        ("POST", "webhooks", {"name": "a", "url": url, "events": EVENTS})
        for url in (
            *("   ", "example.com/x", "ftp://example.com", "http://example.com", "file:///etc/passwd"),
            *("https://", "https:///x", "javascript:alert(1)", "gopher://127.0.0.1:25/"),
        )
    ],
    ("POST", "webhooks", {"name": "a", "url": PUBLIC, "events": [{"entity": "MODEL_VERSION", "action": "DELETED"}]}),
    ("POST", "webhooks", {"name": "a", "url": PUBLIC, "events": [{"entity": "PROMPT_TAG", "action": "UPDATED"}]}),
    ("GET", "webhooks", {"max_results": -1}),
    ("GET", "webhooks", {"max_results": 1001}),
    ("GET", "webhooks", {"max_results": "x"}),
    ("GET", "webhooks", {"page_token": "zzz"}),
    ("GET", "webhooks/nobody", {}),
    ("GET", "/ajax-api/2.0/mlflow/webhooks/nobody", {}),
    ("PATCH", "webhooks/nobody", {"name": "-"}),
    ("DELETE", "webhooks/nobody", {}),
    ("POST", "webhooks/nobody/test", {}),
    ("POST", "webhooks/nobody/test", {"event": {"entity": "PROMPT", "action": "SET"}}),
]


@pytest.mark.parametrize(("method", "path", "body"), SAME)
def test_refusals_are_mlflows(both, method, path, body):
    both.same(method, path, body)


def test_answers_are_mlflows(both):
    created = {"name": "ci", "url": PUBLIC, "secret": "s", "description": "d"}
    events = [
        {"entity": "REGISTERED_MODEL", "action": "CREATED"},
        {"entity": "MODEL_VERSION_TAG", "action": "SET"},
        {"entity": 2, "action": 1},
        {"entity": "BUDGET_POLICY", "action": "EXCEEDED"},
    ]
    both.same("POST", "webhooks", {**created, "events": events}, save={"webhook_id": "webhook.webhook_id"})
    both.same("GET", "webhooks/$webhook_id")
    both.same("GET", "/ajax-api/2.0/mlflow/webhooks/$webhook_id")
    both.same("GET", "webhooks", {"max_results": 1})
    for change in (
        *({}, {"name": ""}, {"description": ""}, {"status": "DISABLED"}, {"status": 1}, {"events": []}, {"secret": ""}),
        *({"url": ""}, {"events": [{"entity": "PROMPT", "action": "CREATED"}]}, {"description": "e", "name": "cd"}),
    ):
        both.same("PATCH", "webhooks/$webhook_id", change)
    for change in ({"name": "-"}, {"url": "http://x"}, {"events": [{"entity": "PROMPT", "action": "SET"}]}):
        both.same("PATCH", "webhooks/$webhook_id", change)
    both.same("DELETE", "webhooks/$webhook_id")
    both.same("GET", "webhooks/$webhook_id")
    both.same("DELETE", "webhooks/$webhook_id")


INNER = [
    *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "0.0.0.0", "localhost"),
    *("10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "192.0.2.1", "198.18.0.1"),
    *("240.0.0.1", "255.255.255.255", "[::]", "[::1]", "[fe80::1]", "[fd00:ec2::254]", "[2001:db8::1]"),
    *("[::ffff:127.0.0.1]", "[::ffff:100.64.0.1]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]"),
]


@pytest.mark.parametrize("host", INNER)
def test_addresses_that_mlflow_refuses_too(both, host):
    both.alike("POST", "webhooks", {"name": "a", "url": f"https://{host}/", "events": EVENTS})


@pytest.mark.parametrize(
    "url",
    [
        *("https://224.0.0.1/", "https://[ff0e::1]/", "https://[3fff::1]/", "https://168.63.129.16/metadata"),
        *(
            "https://192.88.99.1/",
            "https://[::127.0.0.1]/",
            "https://[64:ff9b:1::7f00:1]/",
            "https://user@93.184.216.34/",
        ),
        *("https://u:p@93.184.216.34/", "https://93.184.216.34/\n", "https://93.184.216.34/ x", "https://[bad"),
        *("https://93.184.216.34:99999/", "https://nobody.invalid/", PUBLIC + "x" * 3000),
    ],
)
def test_urls_that_mlflow_would_take_or_explain_otherwise(server, url):
    answer = server.mlflow("POST", "webhooks", {"name": "a", "url": url, "events": EVENTS})
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), answer.text
    assert len(answer.json()["message"]) < 600


@pytest.mark.parametrize("webhook_id", ["%00", "a%00b", "%ff", "..%2f..", "x" * 5000, "%27%20OR%201=1"])
def test_ids_that_name_nothing(any_server, webhook_id):
    for method, path in [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/test")]:
        url = f"{any_server.url}/api/2.0/mlflow/webhooks/{webhook_id}{path}"
        answer = requests.request(method, url, json={}, timeout=30)
        assert (answer.status_code, answer.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST"), answer.text
        assert len(answer.text) < 600
    for method, path in [
        ("GET", f"webhooks/{webhook_id}/deliveries"),
        ("GET", f"webhook-deliveries/{webhook_id}"),
        ("POST", f"webhook-deliveries/{webhook_id}/replays"),
    ]:
        answer = any_server.api(method, path)
        assert answer.status_code == 404 and answer.json()["code"], answer.text


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "page_token=%21", "page_token=MQ", "state=never"])
def test_lists_that_cannot_be(server, query):
    answer = server.mlflow("POST", "webhooks", {"name": "a", "url": PUBLIC, "events": EVENTS})
    webhook_id = answer.json()["webhook"]["webhook_id"]
    path = f"webhooks/{webhook_id}/deliveries" if query == "state=never" else "webhooks"
    answer = server.api("GET", f"{path}?{query}")
    assert answer.status_code == 400 and answer.json()["code"], answer.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"events": EVENTS * 2},
        {"events": [{}]},
        {"events": ["x"]},
        {"events": [{"entity": "MODEL_VERSION"}]},
        {"events": [{"entity": "NOBODY", "action": "CREATED"}]},
        {"events": [{"entity": "MODEL_VERSION", "action": "NOTHING"}]},
        {"events": [{"entity": 0, "action": 0}]},
        {"events": [{"entity": 99, "action": -1}]},
        {"events": [EVENTS]},
        {"events": {"entity": "MODEL_VERSION"}},
        {"status": "NEVER"},
        {"status": 0},
        {"status": []},
        {"secret": 7},
        {"secret": "x" * 10_000},
        {"description": "x" * 1_000_000},
        {"description": ["x"]},
        {"name": "a\u0000b"},
    ],
)
def test_bad_fields_change_nothing(server, wrong):
    """MLflow answers many of these with 500."""
    before = server.mlflow("GET", "webhooks").json()
    answer = server.mlflow("POST", "webhooks", {"name": "a", "url": PUBLIC, "events": EVENTS, **wrong})
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), answer.text
    assert server.mlflow("GET", "webhooks").json() == before
