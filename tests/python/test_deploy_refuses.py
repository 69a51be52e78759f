"""What must not be deployed is not, and the user learns why."""

import pytest
import requests
from deploying import (
    answer_of,
    containers,
    deployment,
    docker,
    log_of,
    promote,
    register,
    remove_containers,
    until,
)
from tampering import swap_content


def test_requirements_that_do_not_resolve(net):
    register(net, net.work, "unsolvable", 1, requirements=["mlflow==3.17.2", "numpy==99.0.0"])
    said = promote(net, "unsolvable@1", "staging", ok=False)
    # uv's own words, in what the command says at its end and not only in the log before.
    verdict = said[said.index("does not serve in staging: REQUIREMENTS_UNRESOLVABLE") :]
    assert "No solution found when resolving dependencies" in verdict, said
    assert "you require numpy==99.0.0, we can conclude that your requirements are unsatisfiable" in verdict, said
    assert not containers(net, "unsolvable", everything=True)


@pytest.mark.parametrize(
    "line",
    [
        "numpy; echo owned-$((40+2))",
        "$(echo owned-$((40+2)))",
        "`echo owned-$((40+2))`",
        "numpy && echo owned-$((40+2))",
        "-r /etc/passwd",
        "--index-url=http://evil",
    ],
)
def test_requirements_with_shell_characters(net, tmp_path, line):
    """Refused before anything is run. As a plain folder, since MLflow's client would refuse to write such a line."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "requirements.txt").write_text(f"mlflow==3.17.2\n{line}\n")
    (folder / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: x\n")
    name = f"shell-{abs(hash(line)) % 10**6}"
    net.cli("push", folder, name)
    said = promote(net, f"{name}@1", "staging", ok=False)
    assert deployment(net, name, "staging")["rollout"]["reason_code"] == "REQUIREMENTS_UNRESOLVABLE", said
    assert line in said, said
    log = log_of(net, name, "staging")
    assert {entry["stream"] for entry in log} == {"event"}, log
    # What a shell would have made of the line, wherever it had been told.
    for told in (said, str(log), net.log):
        assert "owned-42" not in told and "root:x:0" not in told, told


@pytest.mark.parametrize("name", ["$(id)", "a b", "UPPER", "dots.and_under-scores", "ünïcode", "x" * 200])
def test_names_that_docker_would_not_take(net, name):
    register(net, net.work, name, 9)
    promote(net, f"{name}@1", "test")
    path = requests.utils.quote(name, safe="")
    assert answer_of(net, path, "test") == 9
    net.cli("promote", f"{name}@1", "--to", "archived", "--no-wait")


def test_damaged_content_is_not_deployed(net):
    """A stored file rots before its first deployment: verification stops it, naming the file."""
    version = register(net, net.work, "rotten", 4)
    digest = next(
        layer["digest"]
        for layer in net.api(
            "GET", f"versions/{net.api('GET', f'models/rotten/versions/{version}').json()['uid']}/manifest"
        ).json()["layers"]
        if layer["annotations"]["org.cncf.model.filepath"].endswith(".py")
    )
    for blob in (net.data_dir / "artifacts").rglob(f"*{digest.removeprefix('sha256:')}*/*"):
        content = bytearray(blob.read_bytes())
        content[10] ^= 1
        blob.chmod(0o644)
        blob.write_bytes(content)
    said = promote(net, "rotten@1", "test", ok=False)
    assert "MODEL_CONTENT_MISMATCH" in said and "-4.py" in said, said
    assert not containers(net, "rotten", everything=True)


def test_a_version_that_the_trusted_keys_did_not_sign(make_server, docker_engine, tmp_path):
    """The registry's own key is not the one that this deployer was given."""
    stranger = make_server(name="stranger").start()
    (tmp_path / "stranger.pub").write_text(stranger.cli("keys", "export").stdout)
    server = make_server("--trusted-key", tmp_path / "stranger.pub", name="strict", deployer=True).start()
    push_plain(server, tmp_path, "unsigned")
    said = promote(server, "unsigned@1", "test", ok=False)
    assert "SIGNATURE_INVALID" in said and "trusted key" in said, said
    assert not containers(server, "unsigned", everything=True)


def test_a_row_pointed_at_another_signed_model(make_server, docker_engine, tmp_path):
    """Both are signed by the right key; neither is what was asked for."""
    server = make_server(deployer=True).start()
    for name in ("good", "evil"):
        push_plain(server, tmp_path, name)
    server.stop()
    swap_content(server.data_dir / "waybill.db")
    server.start()
    for name in ("good", "evil"):
        said = promote(server, f"{name}@1", "test", ok=False)
        assert "SIGNATURE_INVALID" in said and "registration" in said, said
        assert not containers(server, name, everything=True)


def push_plain(server, folder, name):
    model = folder / name
    model.mkdir()
    (model / "MLmodel").write_text(f"flavors:\n  python_function:\n    loader_module: {name}\n")
    (model / "requirements.txt").write_text("mlflow==3.17.2\n")
    server.cli("push", model, name)


def tamper_with_cached_models(server):
    models = (server.data_dir / "deployer/models").rglob("*.py")
    changed = [path for path in models if "[[self.answer]]" in path.read_text()]
    assert changed
    for path in changed:
        path.chmod(0o644)
        path.write_text(path.read_text().replace("[[self.answer]]", "[[666]]"))


def test_a_tampered_model_cache_is_not_mounted(net):
    """Somebody changes the cached files on the host: the next start notices."""
    version = register(net, net.work, "cached", 6)
    promote(net, f"cached@{version}", "test")
    tamper_with_cached_models(net)
    promote(net, f"cached@{version}", "staging")
    assert answer_of(net, "cached", "staging") == 6


def test_a_tampered_model_cache_does_not_come_back_with_a_dead_container(net):
    """What serves ends, its files were changed meanwhile: a new container with the signed files follows."""
    (container,) = containers(net, "cached", "staging")
    tamper_with_cached_models(net)
    docker("kill", container)
    until(lambda: answer_of(net, "cached", "staging") == 6, what="the signed model after docker kill")
    assert containers(net, "cached", "staging") != [container]


def test_the_base_image_missing(docker_engine, make_server, live):
    server = make_server("--base-image", "waybill-base:nobody-made-this", deployer=True).start()
    try:
        register(server, live.work, "baseless", 1)
        said = promote(server, "baseless@1", "staging", ok=False)
        assert "waybill images base" in said, said
    finally:
        server.stop()
        remove_containers(server)
