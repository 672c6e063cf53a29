"""Wheels for another machine: fetched by pip, checked, trimmed and packed into one archive."""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from edgeshrink.api import (
    EdgeshrinkError,
    Package,
    Progress,
    cache_folder,
    make_ours,
    remove,
    write_text,
)
from edgeshrink_litert.installing.packages import Choice

PIP = Package("pip", "fetching LiteRT for devices that lack it", f"{sys.executable} -m ensurepip")
# Changes when what is left out changes, and with it the name of everything that was packed.
EDITION = 1
ARCHIVE, MANIFEST = "runtime.tar.gz", "manifest.json"
# Tools of developers, and plugins of processors that need their vendor's own libraries.
UNUSED = re.compile(
    r"ai_edge_litert/(aot|tools|tflite|vendors)/"
    r"|ai_edge_litert/(schema_py_generated|\w+_pb2)\.py$"
    r"|(numpy|ai_edge_litert|tflite_runtime)/(.*/)?tests?/"
    r"|numpy/(f2py|distutils|doc|typing|array_api|_pyinstaller)/"
    r"|numpy/(random|fft|ma|polynomial|testing)/_?examples/"
    r"|numpy/.*/(include|lib)/.*\.(h|a|txt|ini|c|pkg|pc)$"
    r"|.*\.(pyi|pxd|pyx)$"
    r"|[^/]+\.dist-info/RECORD$"
)
ACCELERATOR = re.compile(r"ai_edge_litert/lib\w*Accelerator\.so$")
INTERPRETER = re.compile(r"ai_edge_litert/(libpywrap_\w+|\w*pywrap\w*)\.so$")
OFFLINE = re.compile(
    r"connection broken|NameResolution|ConnectionError|ConnectTimeout|Max retries|ProxyError"
    r"|Network is unreachable|Temporary failure in name resolution",
    re.IGNORECASE,
)
SEVENTIES_ARE_TOO_OLD = 315_532_800  # 1980: tar warns of files from before
FETCH_SECONDS = 1800


@dataclass(frozen=True)
class Bundle:
    """Packages in one archive.

    Attributes:
        digest: of what was asked for: the same packages for the same kind of machine.
        archive: a .tar.gz on this machine.
        bytes: of all files in it, unpacked.
        packages: `name`, `version` and `sha256` of each wheel.
    """

    digest: str
    archive: Path
    bytes: int
    packages: tuple[Mapping[str, str], ...]


def digest(choice: Choice) -> str:
    """Return the name of what `choice` asks for: 16 hexadecimal digits."""
    said = json.dumps([EDITION, *vars(choice).values()])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def folder() -> Path:
    """Return where bundles are kept on this machine; it may not exist."""
    return cache_folder("wheels")


def bundle(choice: Choice, progress: Progress) -> Bundle:
    """Return the archive of the chosen packages: from the cache, or fetched and packed now.

    Raises:
        EdgeshrinkError: pip is missing, cannot reach the index or finds no package, or a wheel
            is damaged.
    """
    name = digest(choice)
    place = folder() / name
    found = _kept(name, place)
    if found is None:
        make_ours(folder())
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".new-") as scratch:
            progress(0.0, f"fetching {' and '.join(choice.requirements)}")
            wheels = _fetch(choice, Path(scratch, "wheels"))
            progress(0.7, "packing")
            made = Path(scratch, "made")
            made.mkdir()
            pack(wheels, choice, made)
            remove(place)
            made.rename(place)
        found = _kept(name, place)
        if found is None:
            raise EdgeshrinkError(f"{place} cannot be read back as it was written")
    progress(1.0, "packed")
    return found


def _kept(name: str, place: Path) -> Bundle | None:
    """Return what is in the cache, if it is whole."""
    try:
        told = json.loads((place / MANIFEST).read_bytes())
        archive = place / ARCHIVE
        with archive.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != told["archive"]:
                return None
        return Bundle(name, archive, int(told["bytes"]), tuple(told["packages"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _fetch(choice: Choice, into: Path) -> list[Path]:
    """Fetch the wheels with pip; they are for the device, so this machine cannot run them."""
    argv = [sys.executable, "-m", PIP.name, "download", "--quiet", "--disable-pip-version-check"]
    argv += ["--no-input", "--retries", "2", "--no-deps", "--only-binary=:all:"]
    argv += ["--implementation", "cp", "--python-version", f"3.{choice.python}"]
    argv += [word for tag in choice.platforms for word in ("--platform", tag)]
    wanted = " and ".join(choice.requirements)
    try:
        done = subprocess.run(
            [*argv, "--dest", str(into), *choice.requirements],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=FETCH_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EdgeshrinkError(f"{wanted} could not be fetched in {FETCH_SECONDS} s") from error
    if done.returncode:
        raise _refused(done.stderr, wanted)
    wheels = sorted(into.glob("*.whl"))
    if len(wheels) != len(choice.requirements):
        raise EdgeshrinkError(f"pip fetched {len(wheels)} files for {wanted}")
    return wheels


def _refused(said: str, wanted: str) -> EdgeshrinkError:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if any("No module named pip" in line for line in lines):
        return EdgeshrinkError(
            f"pip is needed on this machine to fetch {wanted}",
            hint=PIP.install,
        )
    if OFFLINE.search(said):
        return EdgeshrinkError(
            f"{wanted} cannot be fetched: the package index is out of reach",
            hint=f"connect this machine once and do it again: what was fetched is kept in "
            f"{folder()}",
        )
    last = next((line for line in reversed(lines) if line.startswith("ERROR:")), "pip failed")
    return EdgeshrinkError(f"{wanted} cannot be fetched: {last.removeprefix('ERROR:').strip()}")


def pack(wheels: list[Path], choice: Choice, into: Path) -> None:
    """Write the archive, the same bytes from the same wheels, and a manifest of it.

    Raises:
        EdgeshrinkError: a wheel is damaged, or has a file outside its folder.
    """
    members: dict[str, tuple[zipfile.ZipFile, zipfile.ZipInfo]] = {}
    packages: list[dict[str, str]] = []
    total = 0
    opened: list[zipfile.ZipFile] = []
    try:
        for wheel in wheels:
            name, version = wheel.name.split("-")[:2]
            sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
            packages.append({"name": name.replace("_", "-"), "version": version, "sha256": sha256})
            opened.append(zipfile.ZipFile(wheel))
            for info in verified(opened[-1], wheel.name):
                if _wanted(info.filename, choice):
                    members[info.filename] = (opened[-1], info)
                    total += info.file_size
        with (
            (into / ARCHIVE).open("wb") as raw,
            gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
        ):
            for name in sorted(members):
                source, info = members[name]
                entry = tarfile.TarInfo(name)
                entry.size, entry.mtime, entry.mode = info.file_size, SEVENTIES_ARE_TOO_OLD, 0o644
                tar.addfile(entry, io.BytesIO(source.read(info)))
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise EdgeshrinkError(f"the fetched packages cannot be packed: {error}") from error
    finally:
        for one in opened:
            one.close()
    archive = hashlib.sha256((into / ARCHIVE).read_bytes()).hexdigest()
    told: dict[str, Any] = {"archive": archive, "bytes": total, "packages": packages}
    write_text(into / MANIFEST, json.dumps(told, indent=1) + "\n")


def _wanted(name: str, choice: Choice) -> bool:
    if UNUSED.match(name) or (ACCELERATOR.match(name) and not choice.gpu):
        return False
    return choice.numpy or not INTERPRETER.match(name)


def verified(wheel: zipfile.ZipFile, name: str) -> Iterator[zipfile.ZipInfo]:
    """Yield a wheel's files, each compared with the digest that the wheel's own record has.

    Raises:
        EdgeshrinkError: one is not as recorded, or would lie outside the folder.
    """
    record = next(n for n in [*wheel.namelist(), ""] if n.endswith(".dist-info/RECORD") or not n)
    if not record:
        raise EdgeshrinkError(f"{name} has no record of its files")
    told = {row[0]: row[1] for row in csv.reader(io.StringIO(wheel.read(record).decode())) if row}
    for info in wheel.infolist():
        path = PurePosixPath(info.filename)
        if path.is_absolute() or ".." in path.parts:
            raise EdgeshrinkError(f"{name} has a file outside its folder: {info.filename!r}")
        if info.is_dir() or info.filename == record:
            continue
        method, _, wanted = told.get(info.filename, "").partition("=")
        found = hashlib.sha256(wheel.read(info)).digest()
        if method != "sha256" or base64.urlsafe_b64encode(found).decode().rstrip("=") != wanted:
            raise EdgeshrinkError(f"{name} is damaged: {info.filename} is not as recorded")
        yield info
