"""Files that arrive in parts: on every store, through kill -9, in little memory, completed once."""

import concurrent.futures
import os

import requests

MIB = 1024 * 1024
BASE = "/api/2.0/mlflow-artifacts"


def create(server, directory, name, parts):
    body = {"path": name, "num_parts": parts}
    response = requests.post(f"{server.url}{BASE}/mpu/create/{directory}", json=body, timeout=60)
    assert response.status_code == 200, response.text
    made = response.json()
    return made["upload_id"], [credential["url"] for credential in made["credentials"]]


def send(url, content):
    response = requests.put(url, data=content, timeout=300)
    assert response.status_code == 200, response.text
    return response.headers["etag"]


def complete(server, directory, name, upload_id, etags):
    parts = [{"part_number": number, "etag": etag} for number, etag in enumerate(etags, 1)]
    body = {"path": name, "upload_id": upload_id, "parts": parts}
    return requests.post(f"{server.url}{BASE}/mpu/complete/{directory}", json=body, timeout=300)


def get(server, path):
    return requests.get(f"{server.url}{BASE}/artifacts/{path}", timeout=300)


def test_parts_sent_at_once_and_completed_at_once(any_server):
    parts = [os.urandom(6 * MIB), os.urandom(9 * MIB), os.urandom(1)]
    upload_id, urls = create(any_server, "mpu/at-once", "f", 3)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        etags = list(pool.map(send, urls, parts))
        assert get(any_server, "mpu/at-once/f").status_code == 404, "nothing shows before it is whole"
        done = [pool.submit(complete, any_server, "mpu/at-once", "f", upload_id, etags) for _ in range(8)]
        assert [future.result().status_code for future in done] == [200] * 8
    response = get(any_server, "mpu/at-once/f")
    assert response.content == b"".join(parts)
    assert response.headers["content-length"] == str(15 * MIB + 1)


def test_the_same_bytes_again_are_one_blob(any_server):
    content = os.urandom(5 * MIB)
    for name in ("one", "two"):
        upload_id, urls = create(any_server, "mpu/same", name, 1)
        assert complete(any_server, "mpu/same", name, upload_id, [send(urls[0], content)]).status_code == 200
    etags = {get(any_server, f"mpu/same/{name}").headers["etag"] for name in ("one", "two")}
    assert len(etags) == 1


def test_an_upload_outlives_the_server(make_server):
    """kill -9 between the parts: what was answered is there, and only the rest is sent again."""
    server = make_server().start()
    parts = [os.urandom(3 * MIB), os.urandom(3 * MIB)]
    upload_id, urls = create(server, "0/run", "f", 2)
    first = send(urls[0], parts[0])
    server.kill()
    server.start()
    second = send(urls[1], parts[1])
    server.kill()
    server.start()
    assert complete(server, "0/run", "f", upload_id, [first, second]).status_code == 200
    server.kill()
    server.start()
    assert get(server, "0/run/f").content == b"".join(parts)
    left = [path for path in (server.data_dir / "artifacts/blobs").rglob("*") if path.is_file()]
    assert len(left) == 1, left
    assert complete(server, "0/run", "f", upload_id, [first, second]).status_code == 200, "asked again, the same answer"


def test_memory_stays_flat(make_server):
    server = make_server().start()
    part = os.urandom(32 * MIB)
    upload_id, urls = create(server, "0/run", "f", 8)
    server.reset_peak()
    etags = [send(url, part) for url in urls]
    assert complete(server, "0/run", "f", upload_id, etags).status_code == 200
    assert server.peak_rss_mib() < 160, "of 256 MiB that came and were put together"
