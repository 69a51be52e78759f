"""The Debian package, from the binary under test."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from server import BINARY, environment

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    work = tmp_path_factory.mktemp("package")
    binary = subprocess.run(["which", BINARY], capture_output=True, text=True, check=True).stdout.strip()
    # Stripped, since a debug build is large and compressing it takes longer than the test should.
    subprocess.run(["strip", "-o", work / "waybill", binary], check=True)
    command = [ROOT / "scripts/package", "--binary", work / "waybill", "--out", work / "out"]
    made = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert made.returncode == 0, made.stdout + made.stderr
    (package,) = (work / "out").glob("waybill_*.deb")
    subprocess.run(["dpkg-deb", "--raw-extract", package, work / "tree"], check=True)
    return work / "tree"


def test_the_packed_binary_runs(unpacked):
    said = subprocess.run(
        [unpacked / "usr/bin/waybill", "--version"], capture_output=True, text=True, env=environment(), check=True
    ).stdout
    control = (unpacked / "DEBIAN/control").read_text()
    assert re.search(r"^Version: (.+)$", control, re.M)[1] == said.split()[1]
    assert re.search(r"^Depends: libc6 \(>= 2\.\d+\)", control, re.M)


def test_the_unit_starts_what_is_packed(unpacked):
    unit = (unpacked / "lib/systemd/system/waybill.service").read_text()
    program, *arguments = re.search(r"^ExecStart=(.+)$", unit, re.M)[1].split()
    assert os.access(unpacked / program.lstrip("/"), os.X_OK)
    assert "serve" in arguments
    config = re.search(r"--config[ =](\S+)", unit)[1]
    assert (unpacked / config.lstrip("/")).is_file()
    assert config in (unpacked / "DEBIAN/conffiles").read_text()


def test_the_packed_configuration_is_one_that_serve_takes(unpacked, tmp_path):
    """Read whole; what stops it is only that this process may not write where the service may."""
    config = (unpacked / "etc/waybill/waybill.toml").read_text()
    mine = config.replace("/var/lib/waybill", str(tmp_path / "data"))
    assert mine != config
    (tmp_path / "waybill.toml").write_text(mine + "\nno_such_setting = 1\n")
    command = [unpacked / "usr/bin/waybill", "serve", "--config", tmp_path / "waybill.toml"]
    refused = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=60)
    assert refused.returncode != 0 and "no_such_setting" in refused.stderr, refused.stderr
    (tmp_path / "waybill.toml").write_text(mine)
    checked = [unpacked / "usr/bin/waybill", "migrate", "--config", tmp_path / "waybill.toml"]
    done = subprocess.run(checked, capture_output=True, text=True, env=environment(), timeout=60)
    assert done.returncode == 0, done.stderr


def test_maintainer_scripts_are_executable(unpacked):
    for name in ("postinst", "prerm", "postrm"):
        assert os.access(unpacked / "DEBIAN" / name, os.X_OK)
        subprocess.run(["sh", "-n", unpacked / "DEBIAN" / name], check=True)
