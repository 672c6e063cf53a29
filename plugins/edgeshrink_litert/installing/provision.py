"""What installs a runtime on a device, and what starts Python there with it.

The device needs neither pip nor internet: packages are fetched here, pushed in one archive and
unpacked beside each other in the target's cache. What is installed is believed once the device
has imported it, and noted there in a record; Python is started with its folder in PYTHONPATH.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import posixpath
import re
import sys
import tempfile
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeshrink.api import (
    CommandFailed,
    DeviceProfile,
    EdgeshrinkError,
    Progress,
    Target,
    from_json,
)
from edgeshrink_litert.installing import packages, wheels
from edgeshrink_litert.installing.packages import Choice, Machine

# Runs in whatever Python is there, however old.
PROBE = """
import json, os, sys
def confstr():
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, ValueError, OSError):
        return ""
def free(path):
    while True:
        try:
            found = os.statvfs(path)
            return found.f_bavail * found.f_frsize
        except OSError:
            if path in ("", "/"):
                return 0
            path = os.path.dirname(path)
def version(name):
    try:
        try:
            from importlib.metadata import version as of
        except ImportError:
            return ""
        return of(name) or ""
    except Exception:
        return ""
def complete():
    try:
        from importlib.util import find_spec
    except ImportError:
        return False
    names = "ast contextvars ctypes datetime inspect pickle textwrap tokenize".split()
    return all(find_spec(name) for name in names)
print(json.dumps({
    "system": "linux" if sys.platform.startswith("linux") else sys.platform,
    "implementation": getattr(getattr(sys, "implementation", None), "name", "cpython"),
    "version": list(sys.version_info[:2]), "machine": os.uname()[4],
    "bits": 64 if sys.maxsize > 2**32 else 32, "libc": confstr(), "free": free(sys.argv[1]),
    "numpy": version("numpy"), "complete": complete(),
    "own": {name: version(name) for name in ("ai-edge-litert", "tflite-runtime")},
}))
"""
IMPORT = """
import importlib, json, sys
found = {"file": importlib.import_module(sys.argv[1]).__file__}
if sys.argv[2] == "numpy":
    import numpy
    found["numpy"] = numpy.__version__
print(json.dumps(found))
"""
# Archive, a name for the time being, the final name: the folder appears whole or not at all.
UNPACK = (
    'rm -rf "$2" "$3" && mkdir -p "$2" && tar -xzf "$1" -C "$2" && mv "$2" "$3"; code=$?; '
    'rm -f "$1"; [ $code -eq 0 ] || rm -rf "$2"; exit $code'
)
FOLDER = re.compile(r"runtime-[0-9a-f]{16}")
RECORD_BYTES = 65536
PROBE_SECONDS, IMPORT_SECONDS, UNPACK_SECONDS = 120.0, 300.0, 1200.0


def setup(target: Target, profile: DeviceProfile, progress: Progress) -> list[str]:
    """Install a runtime on the target, unless the one that would be installed is there.

    Returns:
        What was installed, or was there, as sentences.

    Raises:
        CommandFailed: the device has no Python, there is no package for it, or what was installed
            cannot be imported there.
        EdgeshrinkError: the packages cannot be fetched.
        TargetError: the device was lost.
    """
    python = interpreter(target, profile)
    progress(0.0, "asking the device's Python")
    said = _ask(target, *python, "-c", PROBE, target.cache(), timeout=PROBE_SECONDS)
    device, gpu = packages.machine(said), profile.accelerator == "gpu"
    record = _read(target, profile)
    # What is there already takes its room itself: ask for what a device with room would get.
    best = packages.choose(replace(device, free_bytes=sys.maxsize), gpu=gpu)
    there = record is not None and record["folder"] == _name(best)
    choice = best if there else packages.choose(device, gpu=gpu)
    there = there or (record is not None and record["folder"] == _name(choice))
    wanted = " and ".join(choice.requirements)
    if there and _imports(target, launch(target, profile), choice) is None:
        return [f"{wanted} for {device.words}: already there"]
    own = _own(device, choice) if record is None else ""
    if own and _imports(target, (*python, "-B"), choice) is None:
        return [f"{own} for {device.words}: already there, among the device's own packages"]
    bundle = wheels.bundle(choice, _part(progress, 0.05, 0.4))
    archive_bytes = bundle.archive.stat().st_size
    packages.room(device, bundle.bytes + archive_bytes)
    folder = posixpath.join(target.cache(), _name(choice))
    progress(0.4, f"pushing {archive_bytes:,} bytes")
    new = uuid.uuid4().hex
    archive = f"{folder}-{new}.tar.gz"
    target.push(bundle.archive, archive)
    progress(0.7, "unpacking on the device")
    target.run(
        *("sh", "-c", UNPACK, "sh", archive, f"{folder}-{new}", folder), timeout=UNPACK_SECONDS
    ).check()
    progress(0.9, "importing it there")
    problem = _imports(target, _with(folder, python), choice, inside=folder)
    if problem is not None:
        target.run("rm", "-rf", folder, timeout=UNPACK_SECONDS)
        raise CommandFailed(f"{wanted} cannot be imported on the device: {problem}")
    _write(target, profile, _name(choice), bundle)
    progress(1.0, "installed")
    return [
        *(f"{p['name']} {p['version']} (sha256 {p['sha256']})" for p in bundle.packages),
        f"for {device.words}: {bundle.bytes:,} bytes in {folder}",
    ]


def launch(target: Target, profile: DeviceProfile) -> tuple[str, ...]:
    """Return the command, without its script, that starts Python with a runtime on the target.

    That is the device's Python as it is where nothing was installed for it. Nothing but the
    target's cache is written to.
    """
    python = interpreter(target, profile)
    record = _read(target, profile)
    if record is None:
        return (*python, "-B")
    return _with(posixpath.join(target.cache(), record["folder"]), python)


def interpreter(target: Target, profile: DeviceProfile) -> tuple[str, ...]:
    """Return the command that starts the Python that a profile, or else the target, names."""
    return (profile.python,) if profile.python else target.python()


def _with(folder: str, python: tuple[str, ...]) -> tuple[str, ...]:
    # Compiled once, beside the packages: numpy alone takes seconds to compile on a slow device.
    return ("env", f"PYTHONPATH={folder}", f"PYTHONPYCACHEPREFIX={folder}/bytecode", *python)


def _name(choice: Choice) -> str:
    return f"runtime-{wheels.digest(choice)}"


# ---- the record on the device


def record_path(target: Target, profile: DeviceProfile) -> str:
    """Return the record's path: each interpreter has its own."""
    said = json.dumps([interpreter(target, profile), profile.accelerator])
    name = f"runtime-{hashlib.sha256(said.encode()).hexdigest()[:16]}.json"
    return posixpath.join(target.cache(), name)


def _read(target: Target, profile: DeviceProfile) -> dict[str, Any] | None:
    """Return what the record says, or None if there is none that can be trusted."""
    done = target.run(
        "tail", "-c", str(RECORD_BYTES), record_path(target, profile), timeout=PROBE_SECONDS
    )
    try:
        found = from_json(done.stdout, "the record") if done.returncode == 0 else {}
    except EdgeshrinkError:
        return None
    return found if FOLDER.fullmatch(str(found.get("folder"))) else None


def _write(target: Target, profile: DeviceProfile, name: str, bundle: wheels.Bundle) -> None:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    told = {"folder": name, "packages": list(bundle.packages), "when": now}
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "record.json")
        path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        target.push(path, record_path(target, profile))


# ---- asking the device


def _imports(
    target: Target, python: tuple[str, ...], choice: Choice, *, inside: str = ""
) -> str | None:
    """Return why the device cannot import the chosen runtime, or None if it can."""
    wanted = "numpy" if choice.numpy else "alone"
    try:
        said = _ask(target, *python, "-c", IMPORT, choice.module, wanted, timeout=IMPORT_SECONDS)
    except CommandFailed as error:
        return str(error)
    if inside and not str(said.get("file")).startswith(inside + "/"):
        return f"it takes {str(said.get('file'))[:200]} instead"
    return None


def _own(device: Machine, choice: Choice) -> str:
    """Return the runtime that the device has by itself; empty if it is older or none."""
    name, _, pinned = choice.requirements[0].partition("==")
    found = device.own.get(name, "")[:40]
    return f"{name} {found}" if _numbers(found) >= _numbers(pinned) else ""


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)[:3]]


def _ask(target: Target, *argv: str, timeout: float) -> dict[str, Any]:
    """Return what a command prints as JSON in its last line."""
    done = target.run(*argv, timeout=timeout)
    if done.returncode in (126, 127):
        words = [word for word in argv[: argv.index("-c")] if word not in ("env", "-B")]
        python = " ".join(word for word in words if not word.startswith("PYTHONP"))
        raise CommandFailed(
            f"{python} cannot be started on the device",
            hint="name the device's Python in its profile: python = ...",
        )
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise CommandFailed(lines[-1][:500] if lines else f"it ended with {done.returncode}")
    try:
        return from_json(done.stdout.strip().rpartition("\n")[2], "it")
    except EdgeshrinkError as error:
        raise packages.not_understood(error) from error


def _part(progress: Progress, start: float, end: float) -> Progress:
    """Return what reports the progress of a part of the work as progress of the whole."""

    def told(share: float, note: str) -> None:
        progress(start + (end - start) * share, note)

    return told
