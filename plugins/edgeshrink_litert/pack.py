"""The runner as one file for the device: its modules, and those that unpack, in an archive."""

from __future__ import annotations

import functools
import io
import zipfile
from pathlib import Path

from edgeshrink.tflite import unpacker

RUNNER = Path(__file__).parent / "runner"
PACKAGE = "edgeshrink_runner"
NAME = "runner.pyz"
MAIN = f"from {PACKAGE}.__main__ import main\n\nmain()\n"
# The oldest time that the format knows, so that equal modules make equal bytes.
TIME = (1980, 1, 1, 0, 0, 0)


@functools.cache
def packed(backend: Path | None = None) -> bytes:
    """Return the archive; the same modules always give the same bytes.

    Args:
        backend: a module that runs models, which goes with them as `backend.py`.
    """
    entries = {"__main__.py": MAIN.encode()}
    for path in RUNNER.glob("*.py"):
        entries[f"{PACKAGE}/{path.name}"] = path.read_bytes()
    for name, text in unpacker().items():
        entries[f"{PACKAGE}/esz/{name}"] = text
    if backend is not None:
        entries[f"{PACKAGE}/backend.py"] = backend.read_bytes()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(entries):
            entry = zipfile.ZipInfo(name, TIME)
            # As on Linux, wherever it is packed; else the format names the system.
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, entries[name])
    return file.getvalue()
