"""Writes a source distribution that builds without a package from elsewhere: FOLDER NAME."""

import io
import sys
import tarfile

BACKEND = """
import zipfile


def build_wheel(folder, config=None, metadata=None):
    info, name = "waybill_private_test-1.0.dist-info/", "waybill_private_test-1.0-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.2\\nName: waybill-private-test\\nVersion: 1.0\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "RECORD", "")
    return name
"""
FILES = {
    "PKG-INFO": "Metadata-Version: 2.2\nName: waybill-private-test\nVersion: 1.0\n",
    "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
    "backend.py": BACKEND,
}

with tarfile.open(sys.argv[1], "w:gz") as source:
    for name, text in FILES.items():
        entry = tarfile.TarInfo(f"waybill_private_test-1.0/{name}")
        entry.size = len(text)
        source.addfile(entry, io.BytesIO(text.encode()))
