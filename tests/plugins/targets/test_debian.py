"""Debian packages: hand-made ones unpacked by the real dpkg-deb, and a mirror nobody signed."""

from __future__ import annotations

import io
import re
import shutil
import stat
import tarfile
from pathlib import Path

import pytest

from edgeshrink.errors import EdgeshrinkError
from edgeshrink_targets import debian

needs_dpkg = pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="dpkg-deb is not installed")
needs_apt = pytest.mark.skipif(
    not (shutil.which("apt-get") and shutil.which("dpkg-deb") and debian.KEYRING.is_file()),
    reason="apt-get, dpkg-deb or Debian's keyring is not installed",
)
CONTROL = b"""Package: made
Version: 1:2-3
Architecture: arm64
Maintainer: nobody <nobody@example.org>
Description: made for a test
"""


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def file(name: str, data: bytes = b"data", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(member, key, value)
    return member, data


def link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return file(name, b"", type=tarfile.SYMTYPE, linkname=target)


def deb(folder: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    """Write a package: an `ar` archive of a version, a description and the files."""
    parts = {
        "debian-binary": b"2.0\n",
        "control.tar": tar(file("./control", CONTROL)),
        "data.tar": tar(*members),
    }
    path = folder / "made_1%3a2-3_arm64.deb"
    with path.open("wb") as stream:
        stream.write(b"!<arch>\n")
        for name, data in parts.items():
            stream.write(f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode())
            stream.write(data + b"\n" * (len(data) % 2))
    return path


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "root"
    path.mkdir()
    return path


@needs_dpkg
def test_extract_keeps_files_modes_and_links_inside(tmp_path, root):
    made = deb(
        tmp_path,
        file("./usr/bin/tool", b"#!/bin/sh\n", mode=0o4755),
        file("./etc/conf", b"x", mode=0o644),
        link("./usr/bin/absolute", "/etc/conf"),
        link("./usr/bin/beside", "tool"),
        file("./usr/hard", b"", type=tarfile.LNKTYPE, linkname="./etc/conf"),
    )
    debian.extract(made, root)
    tool = root / "usr/bin/tool"
    assert tool.read_bytes() == b"#!/bin/sh\n"
    assert stat.S_IMODE(tool.stat().st_mode) == 0o755, "what runs as root is not made so"
    assert stat.S_IMODE((root / "etc/conf").stat().st_mode) == 0o644
    # Followed from the folder it is in, never from this machine's own root.
    assert str((root / "usr/bin/absolute").readlink()) == "../../etc/conf"
    assert (root / "usr/bin/absolute").read_bytes() == b"x"
    assert str((root / "usr/bin/beside").readlink()) == "tool"
    assert (root / "usr/hard").read_bytes() == b"x"


@needs_dpkg
def test_extract_takes_only_what_is_wanted(tmp_path, root):
    made = deb(tmp_path, file("./usr/lib/a"), file("./usr/share/doc/b"))
    seen = []
    debian.extract(made, root, lambda name: bool(seen.append(name)) or "doc" not in name)
    assert seen == ["usr/lib/a", "usr/share/doc/b"]
    assert [p.name for p in root.rglob("*") if p.is_file()] == ["a"]


@needs_dpkg
@pytest.mark.parametrize(
    "member",
    [
        file("../outside"),
        link("./up", "../outside"),
        file("./device", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
        file("./hard", b"", type=tarfile.LNKTYPE, linkname="../outside"),
    ],
    ids=["path", "symlink", "device", "hardlink"],
)
def test_extract_refuses_what_would_end_outside(tmp_path, root, member):
    made = deb(tmp_path, member)
    (tmp_path / "outside").write_text("untouched")
    with pytest.raises(EdgeshrinkError, match="cannot be unpacked"):
        debian.extract(made, root)
    assert (tmp_path / "outside").read_text() == "untouched"
    assert list(root.iterdir()) == []


@needs_dpkg
def test_extract_does_not_write_through_a_link_that_leads_outside(tmp_path, root):
    (tmp_path / "outside").mkdir()
    (root / "door").symlink_to(tmp_path / "outside")
    with pytest.raises(EdgeshrinkError, match="cannot be unpacked"):
        debian.extract(deb(tmp_path, file("./door/file")), root)
    assert list((tmp_path / "outside").iterdir()) == []


@needs_dpkg
def test_extract_refuses_a_damaged_package(tmp_path, root):
    made = deb(tmp_path, file("./a", b"x" * 100_000))
    made.write_bytes(made.read_bytes()[:50_000])
    with pytest.raises(EdgeshrinkError, match=re.escape(f"{made.name} cannot be unpacked")):
        debian.extract(made, root)


@needs_dpkg
def test_describe_reads_the_version_with_its_epoch(tmp_path):
    package = debian.describe(deb(tmp_path, file("./a")))
    assert (package.name, package.version) == ("made", "1:2-3")
    assert re.fullmatch(r"[0-9a-f]{64}", package.sha256)


def test_another_system_than_debian_is_told_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EdgeshrinkError, match="apt-get, dpkg-deb must be installed") as caught:
        debian.Archive(tmp_path)
    assert "Debian or Ubuntu" in caught.value.hint


def test_the_mirror_is_chosen_by_the_environment(monkeypatch):
    monkeypatch.setenv(debian.MIRROR_VARIABLE, "http://mirror.example.org/debian")
    assert debian.mirror() == "http://mirror.example.org/debian"


@needs_apt
def test_without_a_choice_the_mirror_is_an_address(monkeypatch):
    monkeypatch.delenv(debian.MIRROR_VARIABLE, raising=False)
    assert re.match(r"\w+:/", debian.mirror())


@needs_apt
def test_fetch_refuses_a_mirror_that_nobody_signed(tmp_path, monkeypatch):
    release = tmp_path / "mirror/dists" / debian.SUITE
    (release / "main/binary-arm64").mkdir(parents=True)
    (release / "main/binary-arm64/Packages").write_text("")
    (release / "Release").write_text(
        f"Origin: Debian\nSuite: {debian.SUITE}\nCodename: {debian.SUITE}\nArchitectures: arm64\n"
        "Components: main\nDate: Sat, 01 Jan 2028 00:00:00 UTC\nSHA256:\n "
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 "
        "main/binary-arm64/Packages\n"
    )
    monkeypatch.setenv(debian.MIRROR_VARIABLE, f"file:{tmp_path}/mirror")
    (tmp_path / "debs").mkdir()
    archive = debian.Archive(tmp_path / "state")
    with pytest.raises(EdgeshrinkError, match="is not signed") as caught:
        archive.fetch(["libc6"], tmp_path / "debs")
    assert debian.MIRROR_VARIABLE in caught.value.hint
    assert list((tmp_path / "debs").iterdir()) == []
