"""The process: folders in use, damaged files, full disks, kill -9, Docker away."""

import http.client
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import threading
import time

import pytest
import raw
import requests
from conftest import BACKENDS, flags_of
from server import BINARY, environment

BASE = "/api/2.0/mlflow-artifacts/artifacts"


def ends_with_error(server, *words, seconds=20):
    """serve must give up on its own, and say why and what to do."""
    server.spawn()
    status = server.process.wait(timeout=seconds)
    assert status not in (0, -9, 101), f"{status}: {server.log}"
    assert "panicked" not in server.log
    for word in words:
        assert word in server.log, f"{word!r} is missing in: {server.log}"


def test_a_second_start_is_quick_and_keeps_all(make_server):
    server = make_server().start()
    server.mlflow("POST", "experiments/create", {"name": "kept"})
    assert server.stop() == 0
    server.start()
    response = server.mlflow("GET", "experiments/get-by-name", {"experiment_name": "kept"})
    assert response.status_code == 200


def test_key_and_data_are_private(make_server):
    server = make_server().start()
    for path, mode in (("keys/registry.pem", 0o600),):
        assert stat.S_IMODE((server.data_dir / path).stat().st_mode) == mode
    assert stat.S_IMODE((server.data_dir / "keys").stat().st_mode) & 0o077 == 0


def test_data_directory_in_use(make_server):
    first = make_server(name="first").start()
    second = make_server(name="second")
    second.data_dir = first.data_dir
    ends_with_error(second, str(first.data_dir), "in use")
    assert requests.get(first.url + "/health", timeout=5).status_code == 200


def test_port_in_use(make_server):
    first = make_server(name="first").start()
    second = make_server(name="second")
    second.port = first.port
    ends_with_error(second, str(first.port), "--listen")


def damage_header(content):
    return b"not a database at all" * 4 + b"................" + content[100:]


def damage_schema(content):
    return content[:100] + b"\xff" * 900 + content[1000:]


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (damage_header, "damaged"),
        (damage_schema, "damaged"),
        (lambda content: content[: len(content) // 2], "waybill.db"),
        # SQLite takes an empty file for a new database; what lies beside it tells that it is not.
        (lambda content: b"", "lost"),
    ],
    ids=["header", "schema", "truncated", "empty"],
)
def test_damaged_database(make_server, damage, word):
    server = make_server().start()
    server.stop()
    database = server.data_dir / "waybill.db"
    content = bytes(damage(database.read_bytes()))
    database.write_bytes(content)
    for extra in server.data_dir.glob("waybill.db-*"):
        extra.unlink()
    ends_with_error(server, word, "waybill restore")
    if content:
        assert database.read_bytes() == content, "a damaged database is left for repair, not replaced"


def test_a_database_with_damaged_pages(make_server):
    """The file opens, since its first pages are whole: each call that meets the damage says what to do."""
    server = make_server().start()
    run_id = server.mlflow("POST", "runs/create", {"experiment_id": "0"}).json()["run"]["info"]["run_id"]
    tags = [{"key": f"key {number}", "value": f"tagged {number} " + "x" * 400} for number in range(90)]
    assert server.mlflow("POST", "runs/log-batch", {"run_id": run_id, "tags": tags}).status_code == 200
    server.stop()
    database = server.data_dir / "waybill.db"
    content = bytearray(database.read_bytes())
    for start in range(4096, len(content), 4096):
        if b"tagged 5" in content[start : start + 4096]:
            content[start : start + 4096] = b"\xff" * 4096
    database.write_bytes(content)
    server.start()
    answer = server.mlflow("GET", "runs/get", {"run_id": run_id})
    assert answer.status_code == 503 and "waybill restore" in answer.json()["message"], answer.text
    assert "malformed" in server.log


def test_a_lost_database_or_store_is_not_taken_for_an_empty_registry(make_server):
    server = make_server().start()
    server.mlflow("POST", "experiments/create", {"name": "kept"})
    server.stop()
    aside = server.folder / "aside"
    for lost, word in (("waybill.db", "lost"), ("artifacts", "mounted"), ("keys", "keys create")):
        place = server.data_dir / lost
        place.rename(aside)
        ends_with_error(server, word)
        if place.is_dir():
            shutil.rmtree(place)
        elif place.exists():
            place.unlink()
        aside.rename(place)
    server.start()
    assert server.mlflow("GET", "experiments/get-by-name", {"experiment_name": "kept"}).status_code == 200
    server.stop()
    (server.data_dir / "keys/registry.pem").unlink()
    server.cli("keys", "create", "--data-dir", server.data_dir)
    again = server.cli("keys", "create", "--data-dir", server.data_dir, check=False)
    assert again.returncode != 0 and "exists" in again.stderr
    server.start()
    roles = [key["role"] for key in server.api("GET", "keys").json()["keys"]]
    assert roles.count("registry") == 2, "what the lost key signed can still be verified"


def test_database_of_a_newer_waybill(make_server):
    server = make_server().start()
    server.stop()
    with sqlite3.connect(server.data_dir / "waybill.db") as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(_sqlx_migrations)")]
        (table,) = ["_sqlx_migrations"] if columns else [None]
        assert table, "migrations are recorded"
        row = dict(zip(columns, database.execute("SELECT * FROM _sqlx_migrations").fetchone(), strict=True))
        row["version"] = 99991231000000
        names = ", ".join(row)
        database.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", list(row.values()))
    ends_with_error(server, "newer")


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_damaged_key(make_server, content):
    server = make_server().start()
    server.stop()
    key = server.data_dir / "keys/registry.pem"
    key.write_bytes(content)
    ends_with_error(server, "registry.pem")
    assert key.read_bytes() == content, "a damaged key is left for repair, not replaced"


def test_a_key_that_others_may_read(make_server):
    server = make_server().start()
    server.stop()
    (server.data_dir / "keys/registry.pem").chmod(0o644)
    ends_with_error(server, "registry.pem", "chmod 600")


def test_listening_beyond_loopback_is_refused(tmp_path):
    command = [BINARY, "serve", "--listen", "0.0.0.0:0", "--data-dir", str(tmp_path / "data"), "--no-deployer"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=20, env=environment())
    assert result.returncode not in (0, 101)
    assert "loopback" in result.stderr + result.stdout


@pytest.mark.parametrize(
    "flags",
    [
        ["--database-url", "mysql://x"],
        ["--artifacts-url", "ftp://x"],
        ["--database-url", "postgres://127.0.0.1:1/none"],
    ],
    ids=lambda flags: flags[1],
)
def test_settings_that_cannot_work(make_server, flags):
    ends_with_error(make_server(*flags), flags[1].split("://")[0], seconds=60)


@pytest.mark.parametrize("flags", [["--packages-before", "yesterday"], ["--index-url", "ftp://x"]])
def test_settings_of_the_deployer_that_cannot_work(make_server, flags):
    """Told at the start, not by the first rollout."""
    ends_with_error(make_server(*flags, deployer=True), *flags, "expected")


def test_sigterm_finishes_what_runs(make_server):
    """A slow upload that has begun ends well; the server leaves after it."""
    server = make_server().start()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.putrequest("PUT", f"{BASE}/0/slow")
    connection.putheader("Content-Length", "8")
    connection.endheaders()
    connection.send(b"half")
    time.sleep(0.3)
    server.process.terminate()
    time.sleep(0.3)
    connection.send(b"half")
    assert connection.getresponse().status == 200
    connection.close()
    assert server.process.wait(timeout=30) == 0
    server.start()
    assert requests.get(f"{server.url}{BASE}/0/slow", timeout=10).content == b"halfhalf"


@pytest.mark.parametrize("backend", BACKENDS)
def test_kill_during_uploads_and_registrations(make_server, tmp_path, backend):
    """kill -9 five times amid writes: what was answered is there, the rest is whole or absent."""
    server = make_server(*flags_of(backend)).start()
    (tmp_path / "model").mkdir()
    (tmp_path / "model/f.bin").write_bytes(os.urandom(200_000))
    sent_files, answered_files, answered_versions, stop = {}, set(), [], threading.Event()

    def upload(worker):
        number = 0
        while not stop.is_set():
            number += 1
            content = os.urandom(300_000)
            path = f"0/{worker}/{number}"
            sent_files[path] = content
            try:
                if requests.put(f"{server.url}{BASE}/{path}", data=content, timeout=10).status_code == 200:
                    answered_files.add(path)
            except requests.RequestException:
                time.sleep(0.02)

    def register():
        while not stop.is_set():
            (tmp_path / "model/g.bin").write_bytes(os.urandom(100_000))
            result = server.cli("push", tmp_path / "model", "killed", "--json", check=False)
            if result.returncode == 0:
                answered_versions.append(json.loads(result.stdout)["uid"])

    threads = [threading.Thread(target=upload, args=(worker,)) for worker in range(3)]
    threads.append(threading.Thread(target=register))
    for thread in threads:
        thread.start()
    for _ in range(5):
        time.sleep(1.5)
        server.kill()
        server.start()
    time.sleep(1)
    stop.set()
    for thread in threads:
        thread.join()
    assert answered_files and answered_versions
    for path, content in sent_files.items():
        found = requests.get(f"{server.url}{BASE}/{path}", timeout=10)
        if path in answered_files or found.status_code != 404:
            assert found.status_code == 200 and found.content == content, path
    versions = server.api("GET", "models/killed/versions?limit=1000").json()["versions"]
    assert {version["uid"] for version in versions} >= set(answered_versions)
    for version in versions:
        result = server.cli("verify", f"killed@{version['version']}", check=False)
        assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture
def small_disk(root_user, tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder)], capture_output=True, text=True
    )
    assert mount.returncode == 0, mount.stderr
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk(make_server, small_disk):
    """Writes fail with a sentence; what was there stays readable; with room again, all goes on."""
    server = make_server()
    server.data_dir = small_disk / "data"
    server.start()
    put = requests.put(f"{server.url}{BASE}/0/before", data=b"before", timeout=30)
    assert put.status_code == 200
    too_much = requests.put(f"{server.url}{BASE}/0/large", data=os.urandom(60_000_000), timeout=60)
    assert too_much.status_code == 507, too_much.text
    assert "space" in too_much.json()["message"].lower(), too_much.text
    assert requests.get(f"{server.url}{BASE}/0/large", timeout=30).status_code == 404
    assert requests.get(f"{server.url}{BASE}/0/before", timeout=30).content == b"before"
    # Nothing half-written holds the space: the same folder takes a file that fits.
    fits = requests.put(f"{server.url}{BASE}/0/fits", data=os.urandom(20_000_000), timeout=60)
    assert fits.status_code == 200, fits.text
    ballast = small_disk / "ballast"
    with ballast.open("wb") as file, pytest.raises(OSError):
        while True:
            file.write(b"\0" * 65536)
            file.flush()
    refused = 0
    for number in range(400):
        response = server.mlflow("POST", "experiments/create", {"name": f"full-{number}" * 20})
        assert response.status_code in (200, 507), response.text
        if response.status_code != 200:
            assert "disk is full" in response.json()["message"], response.text
            refused += 1
    assert refused, "a database on a full disk has to refuse writes at some point"
    assert requests.get(f"{server.url}{BASE}/0/before", timeout=30).content == b"before"
    ballast.unlink()
    assert server.mlflow("POST", "experiments/create", {"name": "room-again"}).status_code == 200
    assert server.stop() == 0


def test_serve_without_docker(make_server):
    """No Docker Engine: everything but deploying works, and the log says what to do."""
    nowhere = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
    server = make_server("--engine-wait-s", "3", deployer=True, env=nowhere).start()
    assert server.mlflow("POST", "experiments/create", {"name": "no docker"}).status_code == 200
    deadline = time.monotonic() + 20
    while "--no-deployer" not in server.log and time.monotonic() < deadline:
        time.sleep(0.2)
    assert "--no-deployer" in server.log, server.log
    (server.folder / "plain").mkdir()
    (server.folder / "plain/f").write_text("x")
    server.cli("push", server.folder / "plain", "plain")
    result = server.cli("promote", "plain@1", "--to", "staging", check=False, timeout=120)
    assert result.returncode != 0
    for advice in ("ENGINE_UNAVAILABLE", "/nonexistent/docker.sock", "systemctl start docker", "--no-deployer"):
        assert advice in result.stderr, f"{advice}: {result.stderr}"
    assert "waiting for the engine" in result.stdout + result.stderr
    made = server.cli("images", "base", check=False, env=nowhere)
    assert made.returncode != 0 and "systemctl start docker" in made.stderr, made.stderr
    assert "--no-deployer" not in made.stderr, "there is nothing to serve"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["serve", "--help"], ["promote", "--help"]])
def test_help_ends_well(arguments):
    result = subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=20, env=environment())
    assert result.returncode == 0 and result.stdout


def test_a_server_that_is_not_there(tmp_path):
    env = environment({"WAYBILL_URL": "http://127.0.0.1:9"})
    result = subprocess.run([BINARY, "models"], capture_output=True, text=True, timeout=60, env=env)
    assert result.returncode not in (0, 101)
    assert "127.0.0.1:9" in result.stderr and "panicked" not in result.stderr


def test_slow_headers_do_not_block_others(make_server):
    server = make_server().start()
    idle = [http.client.HTTPConnection("127.0.0.1", server.port) for _ in range(200)]
    for connection in idle:
        connection.connect()
        connection.sock.sendall(b"GET /health HTTP/1.1\r\nHost: 127")
    assert raw.send(server.port, "GET", "/health").status == 200
    for connection in idle:
        connection.close()
