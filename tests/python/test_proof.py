"""Proof: other people's verifier agrees, and every kind of tampering is refused by name."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tampering import swap_content

MODEL_SIGNING = str(Path(sys.executable).with_name("model_signing"))


@pytest.fixture(scope="module")
def pulled(any_server, tmp_path_factory):
    """A version pushed from a folder, pulled again, with the registry's public key beside it."""
    work = tmp_path_factory.mktemp("proof")
    model = work / "model"
    (model / "weights").mkdir(parents=True)
    (model / "config.json").write_text('{"layers": 2}')
    (model / "weights/a.bin").write_bytes(os.urandom(300_000))
    (model / "weights/b.bin").write_bytes(os.urandom(5_000_000))
    (model / ".hidden").write_text("hidden files are signed, too")
    any_server.cli("push", model, "proof")
    any_server.cli("pull", "proof@1", work / "pulled")
    any_server.key = work / "registry.pub"
    any_server.key.write_text(any_server.cli("keys", "export").stdout)
    any_server.pulled = work / "pulled"
    return any_server


@pytest.fixture
def folder(pulled, tmp_path):
    """A copy of the pulled folder, for a test to damage."""
    shutil.copytree(pulled.pulled, tmp_path / "copy")
    return tmp_path / "copy"


def reference_verifier(folder, key):
    command = [
        MODEL_SIGNING,
        "verify",
        "key",
        str(folder),
        "--signature",
        str(folder / "model.sig"),
        "--public_key",
        str(key),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def ours(server, folder, *more):
    return server.cli("verify", folder, "--key", server.key, *more, check=False)


def test_both_verifiers_accept_the_folder_as_it_is(pulled, folder):
    theirs = reference_verifier(folder, pulled.key)
    assert theirs.returncode == 0, theirs.stdout + theirs.stderr
    result = ours(pulled, folder)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_file_came_back(pulled, folder):
    model = pulled.pulled.parent / "model"
    for path in model.rglob("*"):
        if path.is_file():
            assert (folder / path.relative_to(model)).read_bytes() == path.read_bytes()
    extra = {path.name for path in folder.iterdir()} - {path.name for path in model.iterdir()}
    assert extra == {"model.sig", "provenance.sigstore.json"}


def damage(folder, kind):
    """Returns the name that a refusal must tell."""
    target = folder / "weights/b.bin"
    if kind == "flipped":
        content = bytearray(target.read_bytes())
        content[2_500_000] ^= 1
        target.write_bytes(content)
        return "weights/b.bin"
    if kind == "truncated":
        target.write_bytes(target.read_bytes()[:-1])
        return "weights/b.bin"
    if kind == "missing":
        target.unlink()
        return "weights/b.bin"
    if kind == "extra":
        (folder / "weights/extra.bin").write_text("x")
        return "weights/extra.bin"
    if kind == "hidden":
        (folder / ".hidden").write_text("changed")
        return ".hidden"
    if kind == "swapped":
        other = folder / "weights/a.bin"
        first, second = other.read_bytes(), target.read_bytes()
        other.write_bytes(second)
        target.write_bytes(first)
        return "weights/"
    raise AssertionError(kind)


@pytest.mark.parametrize("kind", ["flipped", "truncated", "missing", "extra", "hidden", "swapped"])
def test_both_verifiers_refuse(pulled, folder, kind):
    name = damage(folder, kind)
    result = ours(pulled, folder)
    assert result.returncode != 0 and name in result.stdout + result.stderr
    theirs = reference_verifier(folder, pulled.key)
    assert theirs.returncode != 0 and Path(name).name in theirs.stdout + theirs.stderr


def test_a_link_in_place_of_a_file_is_refused(pulled, folder, tmp_path):
    target = folder / "weights/a.bin"
    shutil.move(target, tmp_path / "a.bin")
    target.symlink_to(tmp_path / "a.bin")
    result = ours(pulled, folder)
    assert result.returncode != 0 and "weights/a.bin" in result.stdout + result.stderr


@pytest.mark.parametrize("name", ["model.sig", "provenance.sigstore.json"])
def test_a_damaged_statement_is_refused(pulled, folder, name):
    bundle = json.loads((folder / name).read_text())
    payload = bundle["dsseEnvelope"]["payload"]
    bundle["dsseEnvelope"]["payload"] = payload[:40] + ("A" if payload[40] != "A" else "B") + payload[41:]
    (folder / name).write_text(json.dumps(bundle))
    result = ours(pulled, folder)
    assert result.returncode != 0 and name in result.stdout + result.stderr


@pytest.mark.parametrize("name", ["model.sig", "provenance.sigstore.json"])
def test_an_empty_statement_is_refused(pulled, folder, name):
    for content in ("", "{}", "nonsense"):
        (folder / name).write_text(content)
        assert ours(pulled, folder).returncode != 0, content


def test_a_missing_signature_is_refused(pulled, folder):
    (folder / "model.sig").unlink()
    assert ours(pulled, folder).returncode != 0


def test_a_missing_provenance_is_said_aloud(pulled, folder):
    """The signature alone proves the files; where they come from is then not proven."""
    (folder / "provenance.sigstore.json").unlink()
    result = ours(pulled, folder)
    assert "there is no provenance.sigstore.json" in result.stdout


def test_another_key_is_refused(pulled, folder, make_server):
    stranger = make_server(name="stranger").start()
    key = folder.parent / "stranger.pub"
    key.write_text(stranger.cli("keys", "export").stdout)
    result = pulled.cli("verify", folder, "--key", key, check=False)
    assert result.returncode != 0
    assert reference_verifier(folder, key).returncode != 0


def test_trust_is_said_aloud(pulled, folder):
    """With a pinned key, and with keys from the registry that is being verified: not the same thing."""
    pinned = json.loads(ours(pulled, folder, "--json").stdout)
    fetched = json.loads(pulled.cli("verify", "proof@1", "--json").stdout)
    assert pinned["trust"] != fetched["trust"], (pinned, fetched)


def test_verify_works_without_the_server(pulled, folder):
    result = pulled.cli("verify", folder, "--key", pulled.key, env={"WAYBILL_URL": "http://127.0.0.1:9"})
    assert result.returncode == 0


def test_the_same_files_have_the_same_digest_everywhere(pulled, make_server):
    other = make_server(name="other").start()
    other.cli("push", pulled.pulled.parent / "model", "another-name")
    here = pulled.api("GET", "models/proof/versions/1").json()
    there = other.api("GET", "models/another-name/versions/1").json()
    assert here["content"]["manifest_digest"] == there["content"]["manifest_digest"]
    assert here["uid"] != there["uid"]


def test_pushing_again_uploads_nothing(pulled):
    first = json.loads(pulled.cli("push", pulled.pulled.parent / "model", "twice", "--json").stdout)
    again = json.loads(pulled.cli("push", pulled.pulled.parent / "model", "twice", "--json").stdout)
    assert again["version"] == first["version"] + 1
    assert again["sent_bytes"] == 0 and again["content"]["manifest_digest"] == first["content"]["manifest_digest"]
    files = [{"path": "f", "digest": d, "size_bytes": size} for d, size in layers(pulled, first["uid"])]
    assert pulled.api("POST", "uploads", json={"files": files[:1]}).json()["missing"] == []


def layers(server, uid):
    manifest = server.api("GET", f"versions/{uid}/manifest").json()
    return [(layer["digest"], layer["size"]) for layer in manifest["layers"]]


@pytest.mark.parametrize("name", ["model.sig", "provenance.sigstore.json", ".git/config", ".gitignore"])
def test_reserved_names_are_refused_at_push(pulled, tmp_path, name):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "ok").write_text("x")
    (tmp_path / "m" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "m" / name).write_text("x")
    result = pulled.cli("push", tmp_path / "m", "reserved", check=False)
    assert result.returncode != 0 and name.split("/")[0] in result.stderr


def test_a_link_in_a_pushed_folder_is_refused(pulled, tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m/passwd").symlink_to("/etc/passwd")
    result = pulled.cli("push", tmp_path / "m", "links", check=False)
    assert result.returncode != 0 and "passwd" in result.stderr


def test_a_row_pointed_at_another_signed_model(make_server, tmp_path):
    """Somebody with the database swaps what two versions are: both are signed, neither is what was asked."""
    server = make_server().start()
    for name in ("good", "evil"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text(name)
        server.cli("push", tmp_path / name, name)
        server.cli("verify", f"{name}@1")
    server.stop()
    swap_content(server.data_dir / "waybill.db")
    server.start()
    for name in ("good", "evil"):
        result = server.cli("verify", f"{name}@1", check=False)
        assert result.returncode != 0, result.stdout
