"""A Python for Android phones, without root and without an app: one archive of Debian's files.

Android's own C library is not the one that Python's Linux builds need, so the bundle brings GNU's,
and its loader is started by name: nothing outside the bundle's folder is used or changed.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import tarfile
import tempfile
from dataclasses import asdict
from pathlib import Path

import filelock

from edgeshrink.api import (
    CommandFailed,
    Completed,
    EdgeshrinkError,
    Progress,
    Target,
    cache_folder,
    from_json,
    make_ours,
    remove,
    write_text,
)
from edgeshrink_targets import debian

PACKAGES = (
    *("libbz2-1.0", "libc6", "libexpat1", "libffi8", "libgcc-s1", "liblzma5"),
    *("libpython3.11-minimal", "libpython3.11-stdlib", "libstdc++6", "python3.11-minimal"),
    "zlib1g",
)
LIBRARIES = (
    *("ld-linux-aarch64.so.1", "libbz2.so.1.0", "libc.so.6", "libdl.so.2", "libexpat.so.1"),
    *("libffi.so.8", "libgcc_s.so.1", "liblzma.so.5", "libm.so.6", "libpthread.so.0"),
    *("librt.so.1", "libstdc++.so.6", "libutil.so.1", "libz.so.1"),
)
PYTHON = "python3.11"
STANDARD_LIBRARY = f"usr/lib/{PYTHON}/"
# Of the standard library: what has a window, a terminal or a server, builds or tests Python.
LEFT_OUT = (
    *("curses", "dbm", "distutils", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "sqlite3"),
    *("test", "tkinter", "turtledemo", "unittest", "venv", "wsgiref", "xmlrpc"),
    *("antigravity.py", "pydoc.py", "sitecustomize.py", "turtle.py"),
)
# Extension modules whose libraries are not in the bundle, and CPython's own tests. Without
# OpenSSL's, hashlib has CPython's own digests.
EXTENSIONS_LEFT_OUT = (
    *("_codecs_cn", "_codecs_hk", "_codecs_iso2022", "_codecs_jp", "_codecs_kr", "_codecs_tw"),
    *("_crypt", "_ctypes_test", "_curses", "_dbm", "_hashlib", "_sqlite3", "_ssl", "_test"),
    *("_tkinter", "_uuid", "_xx", "nis", "ossaudiodev", "readline", "xxlimited"),
)
LAUNCHER_NAME = "run.sh"
# Written for the shells of Android (mksh) and BusyBox. `sh run.sh` has no folder in its $0.
# Python believes to be this script, so that a process that it starts from sys.executable is
# started by the loader too.
LAUNCHER = f"""#!/system/bin/sh
case $0 in */*) here=${{0%/*}} ;; *) here=. ;; esac
here=$(cd "$here" && pwd) || exit 127
unset LD_PRELOAD LD_LIBRARY_PATH
export PYTHONHOME="$here" EDGESHRINK_PYTHON="$here/{LAUNCHER_NAME}"
export TMPDIR="${{TMPDIR:-$here/tmp}}" LC_ALL=C.UTF-8 OPENBLAS_NUM_THREADS=1
exec "$here/lib/ld-linux-aarch64.so.1" --argv0 "$EDGESHRINK_PYTHON" --library-path "$here/lib" \\
    "$here/bin/{PYTHON}" "$@"
"""
UNPACK = """
set -e
rm -rf "$1/python.new"
mkdir "$1/python.new"
tar -xzf "$2" -C "$1/python.new"
rm -rf "$1/python"
mv "$1/python.new" "$1/python"
rm -f "$2"
"""
# A child of its own must run too: measuring one model a process depends on it.
CHECK = """
import array, concurrent.futures, ctypes, hashlib, json, os, subprocess, sys, tempfile, zipfile
child = [sys.executable, "-c", "import ctypes, sys; print(sys.version_info[:3])"]
print(json.dumps({
    "version": sys.version.split()[0],
    "child": subprocess.run(child, stdout=subprocess.PIPE, text=True).stdout.strip(),
    "expected": str(sys.version_info[:3]),
}))
"""
INSTALL_SECONDS = 300.0


def build(folder: Path, progress: Progress) -> Path:
    """Return the bundle of this recipe, built if it is not there; equal packages give equal bytes.

    Args:
        folder: where bundles are kept. Beside each lies a manifest of its packages.
        progress: told the share done and a note.

    Raises:
        EdgeshrinkError: a program is missing, or the packages cannot be fetched.
    """
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    bundle = folder / f"python-arm64-{recipe}.tar.gz"
    make_ours(folder)
    with filelock.FileLock(folder / "lock"):  # whoever comes second finds it done
        if _whole(bundle):
            return bundle
        remove(bundle)
        with tempfile.TemporaryDirectory(dir=folder, prefix="building-") as name:
            work = Path(name)
            for part in ("debs", "root", "bundle"):
                (work / part).mkdir()
            progress(0.0, "fetching Debian packages")
            debs = debian.Archive(cache_folder("debian")).fetch(PACKAGES, work / "debs")
            progress(0.6, "unpacking")
            for deb in debs:
                debian.extract(deb, work / "root", _wanted)
            _arrange(work / "root", work / "bundle")
            packages = [asdict(debian.describe(deb)) for deb in debs]
            manifest = json.dumps({"packages": packages}, indent=2) + "\n"
            (work / "bundle/manifest.json").write_text(manifest, encoding="utf-8")
            progress(0.8, "packing")
            _pack(work / "bundle", work / "bundle.tar.gz")
            archive = work / "bundle.tar.gz"
            told = {"packages": packages, "sha256": _digest(archive)}
            write_text(_manifest(bundle), json.dumps(told, indent=2) + "\n")
            archive.rename(bundle)
    return bundle


def _manifest(bundle: Path) -> Path:
    return bundle.with_suffix("").with_suffix(".json")


def _digest(archive: Path) -> str:
    with archive.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _whole(bundle: Path) -> bool:
    """Tell whether a bundle is there as its manifest says; a damaged one is built again."""
    try:
        told = from_json(_manifest(bundle).read_bytes(), "the manifest")
        return bool(_digest(bundle) == told.get("sha256"))
    except (OSError, EdgeshrinkError):
        return False


def install(target: Target, progress: Progress) -> list[str]:
    """Put the bundle on an ARM64 machine, in the folder `python` of its cache.

    Args:
        target: a machine with `sh` and `tar`.
        progress: told the share done and a note.

    Returns:
        What was installed, as sentences.

    Raises:
        CommandFailed: the bundle cannot be unpacked there, or its Python does not run.
        TargetError: the machine was lost.
    """
    archive = build(cache_folder("bundle"), progress)
    progress(0.9, "installing Python on the device")
    cache = target.cache()
    remote = f"{target.folder()}/python.tar.gz"
    target.push(archive, remote)
    done = target.run("sh", "-c", UNPACK, "sh", cache, remote, timeout=INSTALL_SECONDS)
    if done.returncode:
        raise CommandFailed(f"Python cannot be unpacked in {cache}: {_last(done)}")
    done = target.run("sh", launcher_in(cache), "-c", CHECK, timeout=INSTALL_SECONDS)
    try:
        said = from_json(done.stdout.strip().rpartition("\n")[2], "its answer")
    except EdgeshrinkError:
        said = {}
    works = "child" in said and said["child"] == said.get("expected")
    version = str(said.get("version"))[:40]
    if done.returncode or not works:
        raise CommandFailed(
            f"Python was installed in {cache}/python and does not run: {_last(done)}"
        )
    progress(1.0, "installed")
    return [f"Python {version} with its own C library in {cache}/python"]


def launcher_in(cache: str) -> str:
    """Return where the script that starts Python is, below a machine's cache folder."""
    return f"{cache}/python/{LAUNCHER_NAME}"


def _last(done: Completed) -> str:
    """Return the last line that a command said of what went wrong."""
    return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1][:300]


def _wanted(path: str) -> bool:
    """Return whether a file of a package may be part of the bundle."""
    if not path.startswith(STANDARD_LIBRARY):
        return path == f"usr/bin/{PYTHON}" or "/aarch64-linux-gnu/" in path
    inside = path.removeprefix(STANDARD_LIBRARY)
    if inside.startswith("lib-dynload/"):
        return not Path(inside).name.startswith(EXTENSIONS_LEFT_OUT)
    first, _, rest = inside.partition("/")
    return not (first in LEFT_OUT or first.startswith("config-") or rest.startswith("test/"))


def _arrange(root: Path, bundle: Path) -> None:
    """Copy what is needed of the packages' files to its place in the bundle."""
    (bundle / "bin").mkdir()
    (bundle / "lib").mkdir()
    (bundle / "tmp").mkdir()
    shutil.copyfile(root / "usr/bin" / PYTHON, bundle / "bin" / PYTHON)
    (bundle / "bin" / PYTHON).chmod(0o755)
    shutil.copytree(root / STANDARD_LIBRARY, bundle / "lib" / PYTHON)
    for name in LIBRARIES:
        found = [
            folder / name
            for folder in (root / "lib/aarch64-linux-gnu", root / "usr/lib/aarch64-linux-gnu")
            if (folder / name).exists()
        ]
        if not found:
            raise EdgeshrinkError(f"Debian's packages have no {name}")
        shutil.copyfile(found[0], bundle / "lib" / name)
        (bundle / "lib" / name).chmod(0o755)
    (bundle / LAUNCHER_NAME).write_text(LAUNCHER, encoding="ascii")
    (bundle / LAUNCHER_NAME).chmod(0o755)


def _pack(folder: Path, archive: Path) -> None:
    """Write an archive in which nothing depends on when, where and by whom it was made."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
        return member

    with (
        archive.open("wb") as stream,
        gzip.GzipFile("", "wb", 9, stream, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for path in sorted(folder.rglob("*")):
            tar.add(path, path.relative_to(folder).as_posix(), recursive=False, filter=plain)
