"""Artifacts: streamed, hashed, verified, with Range and ETag, on a folder and on S3 alike."""

import hashlib
import http.client
import os
import threading

import pytest
import raw
import requests

MIB = 1024 * 1024
BASE = "/api/2.0/mlflow-artifacts/artifacts"


def put(server, path, content):
    response = requests.put(f"{server.url}{BASE}/{path}", data=content, timeout=300)
    assert response.status_code == 200, response.text


def get(server, path, **headers):
    return requests.get(f"{server.url}{BASE}/{path}", headers=headers, timeout=300)


def listed(server, path):
    response = requests.get(f"{server.url}{BASE}", params={"path": path}, timeout=60)
    assert response.status_code == 200, response.text
    return {item["path"]: item for item in response.json().get("files", [])}


@pytest.mark.parametrize("size", [0, 1, 4096, 4 * MIB - 1, 4 * MIB, 4 * MIB + 1, 17 * MIB])
def test_bytes_come_back(any_server, size):
    content = os.urandom(size)
    put(any_server, f"sizes/{size}.bin", content)
    response = get(any_server, f"sizes/{size}.bin")
    assert response.content == content
    assert response.headers["content-length"] == str(size)
    assert response.headers["etag"] == f'"sha256:{hashlib.sha256(content).hexdigest()}"'


def test_names_with_spaces_and_letters(any_server):
    for name in ("with space.txt", "ünïcode/模型.bin", "plus+sign", "percent%25.txt", "semi;colon"):
        put(any_server, "names/" + requests.utils.quote(name), name.encode())
        assert get(any_server, "names/" + requests.utils.quote(name)).content == name.encode()


def test_names_whose_percent_sign_encodes_nothing(any_server):
    """MLflow 2's `log_image` separates the parts of a name by it, and 17 begins today's timestamps."""
    for name in ("a%17b.txt", "dogs%step%3%timestamp%1795785790240%f0a3.png", "dogs%step%3%timestamp%1795%00ab.txt"):
        response = requests.put(f"{any_server.url}{BASE}/images/{requests.utils.quote(name)}", data=b"x", timeout=60)
        if "%00" in name:
            assert response.status_code == 400, name
            continue
        assert response.status_code == 200, response.text
        assert name in listed(any_server, "images")
        assert get(any_server, "images/" + requests.utils.quote(name)).content == b"x"


def test_head_of_a_run_s_artifact_tells_its_size(any_server):
    run = requests.post(f"{any_server.url}/api/2.0/mlflow/runs/create", json={"experiment_id": "0"}, timeout=60)
    info = run.json()["run"]["info"]
    put(any_server, info["artifact_uri"].removeprefix("mlflow-artifacts:/") + "/a.txt", b"four")
    asked = {"run_id": info["run_id"], "path": "a.txt"}
    response = requests.head(f"{any_server.url}/get-artifact", params=asked, timeout=60)
    assert (response.status_code, response.headers["content-length"], response.content) == (200, "4", b"")


def test_overwrite_gives_the_new_file(any_server):
    put(any_server, "over/f", b"one")
    first = get(any_server, "over/f").headers["etag"]
    put(any_server, "over/f", b"two")
    again = get(any_server, "over/f", **{"If-None-Match": first})
    assert again.status_code == 200 and again.content == b"two"


def test_unchanged_is_304(any_server):
    put(any_server, "etag/f", b"one")
    etag = get(any_server, "etag/f").headers["etag"]
    for header in (etag, f'"other", {etag}', "*"):
        response = get(any_server, "etag/f", **{"If-None-Match": header})
        assert response.status_code == 304 and response.content == b""


@pytest.fixture(scope="module")
def ranged(any_server):
    """9 MiB: two whole blocks and a part, so that ranges cross block edges."""
    content = os.urandom(9 * MIB)
    put(any_server, "ranges/f", content)
    return any_server, content


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-9", 5, 10),
        (f"bytes={4 * MIB - 3}-{4 * MIB + 2}", 4 * MIB - 3, 4 * MIB + 3),
        (f"bytes={4 * MIB}-", 4 * MIB, 9 * MIB),
        (f"bytes={9 * MIB - 1}-", 9 * MIB - 1, 9 * MIB),
        ("bytes=-10", 9 * MIB - 10, 9 * MIB),
        (f"bytes=100-{99 * MIB}", 100, 9 * MIB),
        (f"bytes=-{99 * MIB}", 0, 9 * MIB),
    ],
)
def test_ranges(ranged, header, start, end):
    server, content = ranged
    response = get(server, "ranges/f", Range=header)
    assert response.status_code == 206
    assert response.content == content[start:end]
    assert response.headers["content-range"] == f"bytes {start}-{end - 1}/{len(content)}"
    assert response.headers["content-length"] == str(end - start)


@pytest.mark.parametrize("header", [f"bytes={9 * MIB}-", f"bytes={99 * MIB}-{100 * MIB}", "bytes=-0"])
def test_ranges_past_the_end(ranged, header):
    server, content = ranged
    response = get(server, "ranges/f", Range=header)
    assert response.status_code == 416
    assert response.headers["content-range"] == f"bytes */{len(content)}"


@pytest.mark.parametrize("header", ["bytes=5-2", "lines=1-2", "bytes=a-b", "bytes="])
def test_ranges_that_are_none_give_the_whole(ranged, header):
    server, content = ranged
    response = get(server, "ranges/f", Range=header)
    assert response.status_code == 200 and len(response.content) == len(content)


def test_listing(any_server):
    put(any_server, "list/a.txt", b"12345")
    put(any_server, "list/sub/b.txt", b"1")
    put(any_server, "list/sub/deep/c.txt", b"1")
    files = listed(any_server, "list")
    assert files["a.txt"] == {"path": "a.txt", "is_dir": False, "file_size": 5}
    assert files["sub"]["is_dir"] is True and set(files) == {"a.txt", "sub"}
    assert listed(any_server, "nothing-here") == {}


def test_a_path_is_a_file_or_a_folder_never_both(any_server):
    put(any_server, "both/f", b"file")
    for path, data in (("both/f/g", b"below a file"), ("both", b"over a folder")):
        response = requests.put(f"{any_server.url}{BASE}/{path}", data=data, timeout=60)
        assert (response.status_code, response.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), response.text
    assert get(any_server, "both/f").content == b"file"


def test_delete(any_server):
    put(any_server, "gone/f", b"x")
    assert requests.delete(f"{any_server.url}{BASE}/gone/f", timeout=60).status_code == 200
    missing = get(any_server, "gone/f")
    assert missing.status_code == 404
    assert missing.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"


def test_an_upload_cut_off_leaves_nothing(any_server):
    """The client promises 10 MB, sends 4, and is gone."""
    put(any_server, "cut/kept", b"before")
    connection = http.client.HTTPConnection("127.0.0.1", any_server.port, timeout=30)
    for path in ("cut/kept", "cut/new"):
        connection.putrequest("PUT", f"{BASE}/{path}")
        connection.putheader("Content-Length", "10000000")
        connection.endheaders()
        connection.send(os.urandom(4_000_000))
        connection.close()
    wait_until_idle(any_server)
    assert get(any_server, "cut/kept").content == b"before"
    assert get(any_server, "cut/new").status_code == 404


def test_a_chunked_upload_cut_off_leaves_nothing(any_server):
    body = b"4\r\nfour\r\n5\r\nfi"
    headers = {"Transfer-Encoding": "chunked", "Content-Length": None}
    raw.send(any_server.port, "PUT", f"{BASE}/cut/chunked", body, headers, half_close=True)
    wait_until_idle(any_server)
    assert get(any_server, "cut/chunked").status_code == 404


def wait_until_idle(server):
    """A request that comes after: what was cut before it has been noticed by then, or never shows."""
    for number in range(3):
        put(server, f"idle/{number}", b"x")


def test_same_path_from_many_at_once(any_server):
    """Whole files only: never one writer's beginning with another's end."""
    contents = [bytes([letter]) * (3 * MIB) for letter in b"abcdefgh"]
    threads = [threading.Thread(target=put, args=(any_server, "race/f", content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert get(any_server, "race/f").content in contents


def test_damaged_bytes_are_never_served_whole(make_server):
    """A bit rots on disk: a read fails before its last bytes, and says so in the log."""
    server = make_server().start()
    content = os.urandom(9 * MIB)
    put(server, "rot/f", content)
    digest = hashlib.sha256(content).hexdigest()
    (blob,) = [p for p in (server.data_dir / "artifacts").rglob(f"*{digest}*/*") if p.stat().st_size == len(content)]
    damaged = bytearray(content)
    damaged[5 * MIB] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(damaged)
    # The status has gone out before the damage is reached.
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="more expected"):
        get(server, "rot/f")
    bad_range = get(server, "rot/f", Range=f"bytes={5 * MIB}-{5 * MIB + 10}")
    assert (bad_range.status_code, bad_range.json()["error_code"]) == (500, "INTERNAL_ERROR")
    assert get(server, "rot/f", Range="bytes=0-9").content == content[:10], "a sound block is served"
    assert digest in server.log, "the log names the damaged blob"


@pytest.mark.parametrize("size_mib", [768])
def test_memory_stays_flat(any_server, size_mib):
    """A file far larger than the bound on memory goes in and comes out."""
    chunk = os.urandom(MIB)
    any_server.reset_peak()
    before = any_server.rss_mib()
    expected = hashlib.sha256()

    def produce():
        for _ in range(size_mib):
            expected.update(chunk)
            yield chunk

    response = requests.put(f"{any_server.url}{BASE}/large/f", data=produce(), timeout=600)
    assert response.status_code == 200, response.text
    actual = hashlib.sha256()
    with requests.get(f"{any_server.url}{BASE}/large/f", stream=True, timeout=600) as download:
        for part in download.iter_content(MIB):
            actual.update(part)
    assert actual.digest() == expected.digest()
    assert any_server.peak_rss_mib() - before < 160, "memory must not follow the file's size"
