"""Wrong, truncated and oversized bodies: a clear error in the face's own shape, nothing written."""

import hashlib
import json
import threading

import pytest
import raw

JSON = {"Content-Type": "application/json"}
CREATE = "/api/2.0/mlflow/experiments/create"


def mlflow_error(answer, code="INVALID_PARAMETER_VALUE", status=400):
    assert answer.status == status, f"{answer.line} {answer.body[:300]!r}"
    body = answer.json()
    assert body["error_code"] == code, body
    assert body["message"]
    return body["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"not json",
        b"[1]",
        b'"text"',
        b"null",
        b'{"name": "x"',
        b'{"name": "\xff"}',
        b"",
        b"{" * 100_000,
        b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:12]),
)
def test_wrong_json(server, body):
    mlflow_error(raw.send(server.port, "POST", CREATE, body, JSON))


def test_a_truncated_body_writes_nothing(server):
    body = json.dumps({"name": "truncated"}).encode()
    raw.send(server.port, "POST", CREATE, body, {**JSON, "Content-Length": str(len(body) + 10)}, half_close=True)
    names = server.mlflow("GET", "experiments/search", {"max_results": 1000}).json()["experiments"]
    assert "truncated" not in {experiment["name"] for experiment in names}


def test_an_oversized_body_is_refused(server):
    answer = raw.send(server.port, "POST", CREATE, json.dumps({"name": "x" * 100_000_000}).encode(), JSON)
    assert answer.status in (400, 413), answer.line
    assert server.mlflow("GET", "experiments/search", {"max_results": 1}).status_code == 200


def test_a_promised_flood_is_refused_before_it_arrives(server):
    answer = raw.send(server.port, "POST", CREATE, b"{", {**JSON, "Content-Length": "99999999999"}, half_close=True)
    assert answer.status in (400, 413), answer.line


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "n" * 1_000_000}, "name"),
        ({"name": "many-tags", "tags": [{"key": f"k{i}", "value": "v"} for i in range(10_000)]}, "tags"),
    ],
)
def test_floods_in_fields(server, body, field):
    answer = raw.send(server.port, "POST", CREATE, json.dumps(body).encode(), JSON)
    if field == "name":
        assert "name" in mlflow_error(answer)
    else:
        assert answer.status in (200, 400), answer.line  # MLflow has no cap on a create's tags


def test_many_aliases_are_capped(server):
    server.mlflow("POST", "registered-models/create", {"name": "aliases"})
    server.mlflow("POST", "model-versions/create", {"name": "aliases", "source": "s3://elsewhere/x"})
    answer = server.mlflow(
        "POST", "registered-models/alias", {"name": "aliases", "alias": "a" * 1_000_000, "version": "1"}
    )
    assert answer.status_code == 400 and answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/2.0/mlflow/no/such/call"),
        ("POST", "/api/3.0/mlflow/no-such/search"),
        ("GET", "/api/2.0/mlflow/gateway/endpoints"),
    ],
)
def test_what_is_not_there_says_so(server, method, path):
    answer = raw.send(server.port, method, path, b"{}", JSON)
    assert answer.status in (404, 501), answer.line
    body = answer.json()
    assert body["error_code"] in ("ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED"), body
    assert path.split("?")[0] in body["message"] or "not" in body["message"], body


def test_a_wrong_method_says_so(server):
    answer = raw.send(server.port, "DELETE", CREATE, b"{}", JSON)
    assert answer.status in (404, 405), answer.line
    assert answer.json()["error_code"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "models/nobody", 404, "MODEL_NOT_FOUND"),
        ("GET", "models/nobody/versions/1", 404, "MODEL_NOT_FOUND"),
        ("GET", "no-such-thing", 404, None),
        ("GET", "versions/nobody", 404, None),
        ("GET", "blobs/sha256:" + "0" * 64, 404, None),
        ("GET", "blobs/sha256:short", 400, None),
        ("GET", "models?limit=0", 400, None),
        ("GET", "models?limit=1001", 400, None),
        ("GET", "models?limit=many", 400, None),
        ("GET", "models?page_token=nonsense", 400, None),
        ("GET", "resolve?ref=nobody@1", 404, None),
        ("GET", "resolve?ref=@", 400, None),
    ],
)
def test_native_problems(server, method, path, status, code):
    response = server.api(method, path)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status and problem["detail"] and problem["code"], problem
    assert code is None or problem["code"] == code, problem


def upload(server, content, name="f.bin"):
    """Opens a session for one file; returns its id and the file's digest."""
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    file = {"path": name, "digest": digest, "size_bytes": len(content)}
    response = server.api("POST", "uploads", json={"files": [file]})
    assert response.status_code in (200, 201), response.text
    return response.json()["upload_id"], digest


def test_a_digest_that_does_not_match(server):
    upload_id, digest = upload(server, b"what was promised")
    response = server.api("PUT", f"uploads/{upload_id}/blobs/{digest}", data=b"what came instead")
    assert response.status_code in (400, 409, 422), response.text
    assert digest in response.json()["detail"], "the message names the digest that was promised"
    assert server.api("GET", f"blobs/{digest}").status_code == 404
    refused = server.api("POST", "models/mismatch/versions", json={"upload_id": upload_id})
    assert 400 <= refused.status_code < 500, refused.text
    assert server.api("GET", "models/mismatch").status_code == 404
    assert server.api("PUT", f"uploads/{upload_id}/blobs/{digest}", data=b"what was promised").status_code in (
        200,
        201,
        204,
    )
    assert server.api("POST", "models/mismatch/versions", json={"upload_id": upload_id}).status_code in (200, 201)


def test_a_session_without_all_its_files_registers_nothing(server):
    upload_id, digest = upload(server, b"never sent")
    refused = server.api("POST", "models/incomplete/versions", json={"upload_id": upload_id})
    assert 400 <= refused.status_code < 500, refused.text
    assert digest in refused.json()["detail"] or "f.bin" in refused.json()["detail"]


def test_a_native_upload_cut_off(server):
    content = b"x" * 1_000_000
    upload_id, digest = upload(server, content)
    target = f"/api/v1/uploads/{upload_id}/blobs/{digest}"
    raw.send(server.port, "PUT", target, content[:500_000], {"Content-Length": "1000000"}, half_close=True)
    assert server.api("GET", f"blobs/{digest}").status_code == 404
    assert server.api("PUT", f"uploads/{upload_id}/blobs/{digest}", data=content).status_code in (200, 201, 204)


@pytest.mark.parametrize("stage", ["shelf", "", "Production ", "PRODUCTION"])
def test_an_unknown_stage(server, tmp_path, stage):
    (tmp_path / "f").write_text("x")
    server.cli("push", tmp_path, "stages")
    response = server.api("POST", "models/stages/versions/1/promotions", json={"to": stage})
    assert response.status_code in (400, 422), response.text
    assert response.json()["code"]
    assert "staging" in response.json()["detail"], "the message lists what there is"


@pytest.mark.parametrize("stage", [3, None, ["staging"], {}])
def test_a_stage_that_is_no_text(server, stage):
    response = server.api("POST", "models/stages/versions/1/promotions", json={"to": stage})
    assert response.status_code in (400, 422), response.text
    assert "to" in response.json()["detail"].split(" ")[-20:] or "to:" in response.json()["detail"]


def test_an_unknown_stage_on_the_command_line(server):
    result = server.cli("promote", "stages@1", "--to", "shelf", check=False)
    assert result.returncode != 0
    assert "shelf" in result.stderr and "staging" in result.stderr


def test_the_same_upload_registered_twice_at_once(server):
    """One of many wins; the others learn it, and no second version appears."""
    upload_id, digest = upload(server, b"one and only")
    assert server.api("PUT", f"uploads/{upload_id}/blobs/{digest}", data=b"one and only").ok
    statuses = []
    threads = [
        threading.Thread(
            target=lambda: statuses.append(
                server.api("POST", "models/once/versions", json={"upload_id": upload_id}).status_code
            )
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(status < 300 for status in statuses) == 1, statuses
    assert all(status < 500 for status in statuses), statuses
    assert len(server.api("GET", "models/once/versions").json()["versions"]) == 1


def test_a_repeated_write_with_a_key_happens_once(server):
    upload_id, digest = upload(server, b"keyed")
    server.api("PUT", f"uploads/{upload_id}/blobs/{digest}", data=b"keyed")
    answers = [
        server.api("POST", "models/keyed/versions", json={"upload_id": upload_id}, headers={"Idempotency-Key": "k-1"})
        for _ in range(3)
    ]
    assert [answer.status_code for answer in answers] == [answers[0].status_code] * 3, [a.text for a in answers]
    assert len({answer.json()["uid"] for answer in answers}) == 1


def test_versions_made_at_once_have_numbers_of_their_own(any_server):
    """Sixteen MLflow clients register a version of the same new model at the same time."""
    any_server.mlflow("POST", "registered-models/create", {"name": "numbers"})
    numbers, lock = [], threading.Lock()

    def register(index):
        body = {"name": "numbers", "source": f"s3://elsewhere/{index}"}
        response = any_server.mlflow("POST", "model-versions/create", body)
        with lock:
            numbers.append(response.json()["model_version"]["version"])

    threads = [threading.Thread(target=register, args=(index,)) for index in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(int, numbers)) == list(range(1, 17))
