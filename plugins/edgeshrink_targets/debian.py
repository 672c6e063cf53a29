"""Files of Debian packages for ARM64, fetched and unpacked on a machine of any architecture.

The user's own `apt-get` does the work under a configuration of its own: it verifies Debian's
signatures with the keyring of this machine, and neither reads nor changes what is installed here.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import filelock

from edgeshrink.api import EdgeshrinkError, Program, make_ours, need

SUITE = "bookworm"
ARCHITECTURE = "arm64"
_DEBIAN = "run this on a Debian or Ubuntu machine, or in a container of one"
APT = Program("apt-get", "fetching Python for phones, and what emulated machines hold", _DEBIAN)
DPKG = Program("dpkg-deb", "unpacking what apt-get fetched", _DEBIAN)
MIRROR = "http://deb.debian.org/debian"
# The name of an environment variable that says which mirror to use.
MIRROR_VARIABLE = "EDGESHRINK_DEBIAN_MIRROR"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# How this machine reaches the network is the one thing that is taken from its own settings.
NETWORK = re.compile(r"Acquire::(http|https|Retries)\b")


@dataclass(frozen=True)
class Package:
    """A package as it was fetched: what a manifest says of it."""

    name: str
    version: str
    sha256: str


def mirror() -> str:
    """Return the Debian mirror: of `EDGESHRINK_DEBIAN_MIRROR`, else of this machine's own apt."""
    if named := os.environ.get(MIRROR_VARIABLE):
        return named
    only = ("Created-By: Packages", "Origin: Debian", "Label: Debian")
    done = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", *only],
        capture_output=True,
        text=True,
    )
    found = done.stdout.split() if done.returncode == 0 else []
    return found[0].rstrip("/") if found else MIRROR


class Archive:
    """Debian's package archive for ARM64.

    Args:
        state: a folder for what apt keeps from one time to the next: the lists of packages.

    Raises:
        EdgeshrinkError: this machine has no apt, or no key to verify Debian's signatures.
    """

    def __init__(self, state: Path) -> None:
        need(APT, DPKG)
        if not KEYRING.is_file():
            raise EdgeshrinkError(
                f"Debian's signatures are verified with {KEYRING}, and it is not here",
                hint="apt-get install debian-archive-keyring",
            )
        self.state = state
        self._lock = filelock.FileLock(state.with_name(f"{state.name}.lock"))

    def fetch(
        self, packages: Sequence[str], folder: Path, *, without: Iterable[str] | None = None
    ) -> list[Path]:
        """Download packages, and all that they depend on if `without` is given.

        Args:
            packages: by name, of Debian's suite `SUITE`.
            folder: where the .deb files go.
            without: of what they depend on, these names are left out.

        Returns:
            The .deb files, in the order of their names.

        Raises:
            EdgeshrinkError: a package is unknown, or the mirror cannot be reached.
        """
        make_ours(self.state)
        with self._lock:
            self._configure()
            # By itself, apt-get takes an unreachable mirror for a mere warning.
            self._apt("update", "-o", "APT::Update::Error-Mode=any")
            names = list(packages)
            if without is not None:
                plan = self._apt("install", "-y", "--no-install-recommends", "--print-uris", *names)
                files = re.findall(r"^'[^']*' ([^_\s]+)_", plan, re.MULTILINE)
                names = sorted(set(files) - set(without))
            self._apt("download", *names, cwd=folder)
        return sorted(folder.glob("*.deb"))

    def depends(self, package: str) -> list[str]:
        """Return the names that a package depends on directly."""
        with self._lock:
            said = self._apt("depends", package, program="apt-cache")
        return re.findall(r"^\s*Depends: (\S+)", said, re.MULTILINE)

    def _configure(self) -> None:
        """Write apt's configuration: all folders are ours, and nothing is installed."""
        for name in ("lists/partial", "archives/partial"):
            (self.state / name).mkdir(parents=True, exist_ok=True)
        (self.state / "status").touch()
        source = f"deb [arch={ARCHITECTURE} signed-by={KEYRING}] {mirror()} {SUITE} main\n"
        (self.state / "sources.list").write_text(source, encoding="utf-8")
        nothing = ("main", "parts", "sourceparts", "preferences", "preferencesparts")
        network = subprocess.run(["apt-config", "dump"], capture_output=True, text=True).stdout
        lines = [
            *(line for line in network.splitlines() if NETWORK.match(line)),
            *(f'Dir::Etc::{name} "/dev/null";' for name in nothing),
            f'Dir::Etc::sourcelist "{self.state}/sources.list";',
            f'Dir::State "{self.state}";',
            f'Dir::State::status "{self.state}/status";',
            f'Dir::Cache "{self.state}";',
            # These two would take 60 MB to save less than a second.
            'Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";',
            'Acquire::GzipIndexes "true"; Acquire::Languages "none";',
            f'APT::Architecture "{ARCHITECTURE}"; APT::Architectures {{ "{ARCHITECTURE}"; }};',
            # root's download user could not reach a folder below root's home.
            'APT::Sandbox::User "root";',
        ]
        (self.state / "apt.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _apt(self, *argv: str, program: str = "apt-get", cwd: Path | None = None) -> str:
        done = subprocess.run(
            [program, "-q", *argv],
            capture_output=True,
            text=True,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C", "APT_CONFIG": str(self.state / "apt.conf")},
        )
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.startswith("E:")]
            raise EdgeshrinkError(
                f"{program} {argv[0]} failed: {(lines or ['no reason given'])[0]}",
                hint=f"{MIRROR_VARIABLE} names another mirror; it is {mirror()} now",
            )
        return done.stdout


def describe(deb: Path) -> Package:
    """Return what a manifest says of a .deb file that was fetched."""
    name, version, _ = unquote(deb.name).split("_")
    return Package(name, version, hashlib.sha256(deb.read_bytes()).hexdigest())


def extract(deb: Path, into: Path, wanted: Callable[[str], bool] = lambda name: True) -> None:
    """Unpack the files of a .deb below a folder, and run none of its scripts.

    Links that begin at the root become relative, so that they stay inside; owners become the
    user; devices, and whatever would end outside, are refused.

    Args:
        deb: the package.
        into: the folder that stands for the root.
        wanted: told each path without its leading slash; what it refuses is left out.

    Raises:
        EdgeshrinkError: the package is damaged, or has a file that would end outside.
    """
    root = into.resolve()
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None  # for the type checker: it is a pipe
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                # The filters of tarfile came with Python 3.11.4, and Debian 12 has 3.11.2: all
                # that they check is checked here.
                archive.extraction_filter = lambda member, folder: member
                for member in archive:
                    name = posixpath.normpath(member.name)
                    if name == "." or wanted(name):
                        archive.extract(_inside(member, name, root), root)
        except (tarfile.TarError, OSError) as error:
            process.kill()
            raise EdgeshrinkError(f"{deb.name} cannot be unpacked: {error}") from error
        process.stdout.read()  # what pads the archive's end
    if process.returncode:
        raise EdgeshrinkError(f"{deb.name} cannot be unpacked: dpkg-deb calls it damaged")


def _inside(member: tarfile.TarInfo, name: str, root: Path) -> tarfile.TarInfo:
    """Return a member as it may be unpacked.

    Raises:
        TarError: it is a device, or it or what it leads to would be outside of the resolved root.
    """
    if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
        raise tarfile.TarError(f"{name} is neither a file nor a folder nor a link")
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() else member.mode & 0o755 | 0o600
    places = [root / name]
    if member.issym():
        if member.linkname.startswith("/"):
            member.linkname = posixpath.relpath(member.linkname, posixpath.join("/", name, ".."))
        places.append((root / name).parent / member.linkname)
    elif member.islnk():
        places.append(root / member.linkname)
    for place in places:
        if not place.resolve().is_relative_to(root):
            raise tarfile.TarError(f"{name} would be outside of the folder")
    return member
