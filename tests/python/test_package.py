"""The Debian package, from the binary under test."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import base_image, missing
from deploying import docker
from server import BINARY, environment

ROOT = Path(__file__).parents[2]


# What every Debian has: the C library and what belongs to it.
LIBRARIES = {"linux-vdso", "libc", "libm", "libgcc_s", "libpthread", "libdl", "librt", "ld-linux-x86-64"}
LIBRARIES.add("ld-linux-aarch64")
# A machine of its own: the package is installed, serves as its user, and is taken away again.
INSTALL = """
set -e
exec 2>&1
dpkg -i /waybill.deb
stat -c '%U %a' /var/lib/waybill
runuser -u waybill -- waybill serve --config /etc/waybill/waybill.toml --no-deployer --listen 127.0.0.1:5000 &
python3 - <<'PYTHON'
import time, urllib.request
for _ in range(200):
    try:
        print("health", urllib.request.urlopen("http://127.0.0.1:5000/health", timeout=5).read().decode())
        break
    except OSError:
        time.sleep(0.1)
PYTHON
stat -c '%U %a' /var/lib/waybill/keys/registry.pem
kill %1; wait %1 || true
dpkg --purge waybill
test ! -e /usr/bin/waybill && test ! -e /etc/waybill/waybill.toml && ls /var/lib/waybill
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    work = tmp_path_factory.mktemp("package")
    binary = subprocess.run(["which", BINARY], capture_output=True, text=True, check=True).stdout.strip()
    # Stripped, since a debug build is large and compressing it takes longer than the test should.
    subprocess.run(["strip", "-o", work / "waybill", binary], check=True)
    command = [ROOT / "scripts/package", "--binary", work / "waybill", "--out", work / "out"]
    made = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert made.returncode == 0, made.stdout + made.stderr
    (package,) = (work / "out").glob("waybill_*.deb")
    return package


@pytest.fixture(scope="module")
def unpacked(package):
    tree = package.parents[1] / "tree"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    return tree


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


def test_it_needs_no_library_but_the_systems(unpacked):
    said = subprocess.run(["ldd", unpacked / "usr/bin/waybill"], capture_output=True, text=True, check=True).stdout
    names = {Path(line.split()[0]).name.split(".so")[0] for line in said.splitlines()}
    assert "libc" in names and names <= LIBRARIES, said


def test_systemd_takes_the_unit(unpacked, tmp_path):
    if not shutil.which("systemd-analyze"):
        missing("systemd-analyze (scripts/setup test)")
    unit = (unpacked / "lib/systemd/system/waybill.service").read_text()
    # It is not installed here: the program is named where it lies.
    (tmp_path / "waybill.service").write_text(unit.replace("=/usr/bin/waybill", f"={unpacked}/usr/bin/waybill"))
    checked = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / "waybill.service"], capture_output=True, text=True
    )
    # An unknown key is a warning to systemd, and a protection that is not there.
    assert checked.returncode == 0 and "waybill.service" not in checked.stdout + checked.stderr, checked.stderr


def test_installed_it_serves_as_its_own_user_and_leaves_the_data(docker_engine, package):
    base_image()
    flags = ("--rm", "--network=none", "--entrypoint=", "--user=0", f"--volume={package}:/waybill.deb:ro")
    said = docker("run", *flags, "waybill-base:py3.11", "bash", "-c", INSTALL)
    lines = said.splitlines()
    assert "waybill 700" in lines and "health OK" in lines and "waybill 600" in lines, said
    assert "models and keys are kept" in said, said
    assert {"artifacts", "keys"} <= set(lines), said
