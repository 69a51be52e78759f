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
    assert "larger than" in mlflow_error(answer)
    assert server.mlflow("GET", "experiments/search", {"max_results": 1}).status_code == 200


def test_a_promised_flood_is_refused_before_it_arrives(server):
    answer = raw.send(server.port, "POST", CREATE, b"{", {**JSON, "Content-Length": "99999999999"})
    assert "larger than" in mlflow_error(answer)


def test_a_body_that_ends_early(server):
    answer = raw.send(server.port, "POST", CREATE, b"{", {**JSON, "Content-Length": "99"}, half_close=True)
    assert "ended before it was complete" in mlflow_error(answer)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "n" * 1_000_000}, "name"),
        ({"name": "many-tags", "tags": [{"key": f"k{i}", "value": "v"} for i in range(10_000)]}, "tags"),
    ],
)
def test_floods_in_fields(server, body, field):
    answer = raw.send(server.port, "POST", CREATE, json.dumps(body).encode(), JSON)
    assert field in mlflow_error(answer)


def test_many_aliases_are_capped(server):
    server.mlflow("POST", "registered-models/create", {"name": "aliases"})
    server.mlflow("POST", "model-versions/create", {"name": "aliases", "source": "s3://elsewhere/x"})
    answer = server.mlflow(
        "POST", "registered-models/alias", {"name": "aliases", "alias": "a" * 1_000_000, "version": "1"}
    )
    assert answer.status_code == 400 and answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize(
    ("method", "path", "says"),
    [
        ("GET", "/api/2.0/mlflow/no/such/call", "GET /api/2.0/mlflow/no/such/call is not offered"),
        ("POST", "/api/3.0/mlflow/no-such/search", "POST /api/3.0/mlflow/no-such/search is not offered"),
        ("GET", "/api/2.0/mlflow/gateway/endpoints", "The AI gateway is not part of Waybill."),
    ],
)
def test_what_is_not_there_says_so(server, method, path, says):
    assert says in mlflow_error(raw.send(server.port, method, path, b"{}", JSON), "ENDPOINT_NOT_FOUND", 404)


def test_a_wrong_method_says_so(server):
    answer = raw.send(server.port, "DELETE", CREATE, b"{}", JSON)
    assert f"DELETE {CREATE} is not offered" in mlflow_error(answer, "ENDPOINT_NOT_FOUND", 405)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "models/nobody", 404, "MODEL_NOT_FOUND"),
        ("GET", "models/nobody/versions/1", 404, "MODEL_NOT_FOUND"),
        ("GET", "no-such-thing", 404, "ENDPOINT_NOT_FOUND"),
        ("GET", "versions/nobody", 404, "VERSION_NOT_FOUND"),
        ("GET", "blobs/sha256:" + "0" * 64, 404, "BLOB_NOT_FOUND"),
        ("GET", "blobs/sha256:short", 400, "DIGEST_INVALID"),
        ("GET", "models?limit=0", 400, "LIMIT_INVALID"),
        ("GET", "models?limit=1001", 400, "LIMIT_INVALID"),
        ("GET", "models?limit=many", 400, "QUERY_INVALID"),
        ("GET", "models?page_token=nonsense", 400, "PAGE_TOKEN_INVALID"),
        ("GET", "resolve?ref=nobody@1", 404, "MODEL_NOT_FOUND"),
        ("GET", "resolve?ref=@", 400, "REFERENCE_INVALID"),
    ],
)
def test_native_problems(server, method, path, status, code):
    response = server.api(method, path)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (problem["status"], problem["code"]) == (status, code) and problem["detail"], problem


def upload(server, content, name="f.bin"):
    """Opens a session for one file; returns its id and the file's digest."""
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    file = {"path": name, "digest": digest, "size_bytes": len(content)}
    response = server.api("POST", "uploads", json={"files": [file]})
    assert response.status_code == 201, response.text
    return response.json()["upload_id"], digest


def problem_of(response, status, code):
    """What a refusal says, once it is the one that is expected."""
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    return response.json()["detail"]


def test_a_digest_that_does_not_match(server):
    upload_id, digest = upload(server, b"what was promised")
    response = server.api("PUT", f"uploads/{upload_id}/blobs/{digest}", data=b"what came instead")
    assert digest in problem_of(response, 400, "DIGEST_MISMATCH"), "the message names the digest that was promised"
    assert server.api("GET", f"blobs/{digest}").status_code == 404
    refused = server.api("POST", "models/mismatch/versions", json={"upload_id": upload_id})
    problem_of(refused, 409, "UPLOAD_INCOMPLETE")
    assert server.api("GET", "models/mismatch").status_code == 404
    assert server.api("PUT", f"uploads/{upload_id}/blobs/{digest}", data=b"what was promised").status_code == 204
    assert server.api("POST", "models/mismatch/versions", json={"upload_id": upload_id}).status_code == 201


def test_a_session_without_all_its_files_registers_nothing(server):
    upload_id, digest = upload(server, b"never sent")
    refused = server.api("POST", "models/incomplete/versions", json={"upload_id": upload_id})
    assert digest in problem_of(refused, 409, "UPLOAD_INCOMPLETE")


def test_a_native_upload_cut_off(server):
    content = b"x" * 1_000_000
    upload_id, digest = upload(server, content)
    target = f"/api/v1/uploads/{upload_id}/blobs/{digest}"
    raw.send(server.port, "PUT", target, content[:500_000], {"Content-Length": "1000000"}, half_close=True)
    assert server.api("GET", f"blobs/{digest}").status_code == 404
    assert server.api("PUT", f"uploads/{upload_id}/blobs/{digest}", data=content).status_code == 204


@pytest.mark.parametrize("stage", ["shelf", "", "Production ", "PRODUCTION"])
def test_an_unknown_stage(server, tmp_path, stage):
    (tmp_path / "f").write_text("x")
    server.cli("push", tmp_path, "stages")
    response = server.api("POST", "models/stages/versions/1/promotions", json={"to": stage})
    assert '"staging"' in problem_of(response, 422, "BODY_INVALID"), "the message lists what there is"


@pytest.mark.parametrize("stage", [3, None, ["staging"], {}])
def test_a_stage_that_is_no_text(server, stage):
    response = server.api("POST", "models/stages/versions/1/promotions", json={"to": stage})
    assert " to: invalid type: " in problem_of(response, 422, "BODY_INVALID"), "the message names the field"


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
