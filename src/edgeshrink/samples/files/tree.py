"""A folder of files, on disk or inside a zip file, which is read without being unpacked."""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from edgeshrink.errors import DataError
from edgeshrink.models import swollen
from edgeshrink.samples.files.npz import ZIP_ERRORS
from edgeshrink.texts import check_ends, shortly

MOST_MEMBERS = 500_000
MOST_BYTES = 1 << 30  # of one file, which is read as a whole
_OUTSIDE = re.compile(r"^/|^[A-Za-z]:|\\|(^|/)\.\.(/|$)")
_HINT = "zip the folder itself again, as in `zip -r data.zip data`"


@dataclass(frozen=True)
class Packed:
    """A file inside of a zip file.

    Attributes:
        archive: the zip file.
        member: its name there.
    """

    archive: Archive
    member: str

    @property
    def name(self) -> str:
        """Its name, without folders."""
        return PurePosixPath(self.member).name

    @property
    def suffix(self) -> str:
        """How its name ends, with the dot."""
        return PurePosixPath(self.member).suffix

    @property
    def stem(self) -> str:
        """Its name without the suffix."""
        return PurePosixPath(self.member).stem

    def __str__(self) -> str:
        return f"{self.archive.path}/{self.member}"


File = Path | Packed


def opened(file: File) -> Path | io.BytesIO:
    """Return what `open`, Pillow and others take in place of a file's path.

    Raises:
        DataError: it lies in a zip file, and cannot be unpacked.
    """
    return file if isinstance(file, Path) else io.BytesIO(file.archive.content(file.member))


def octets(file: File) -> Iterator[bytes]:
    """Yield what a file holds, piece by piece.

    Raises:
        DataError: it lies in a zip file, and cannot be unpacked.
        OSError: it cannot be read.
    """
    if isinstance(file, Packed):
        yield file.archive.content(file.member)
        return
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            yield block


class Folder:
    """A folder on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def folders(self, at: str = "") -> tuple[str, ...]:
        """Return the folders in one of it, by name, in order; hidden ones are left out."""
        place = self.path / at
        return tuple(sorted(p.name for p in place.iterdir() if p.is_dir() and p.name[0] != "."))

    def files(self, at: str, suffixes: Collection[str], *, below: bool = True) -> list[File]:
        """Return the files in a folder of it and those below that, in Keras' order.

        Args:
            at: the folder.
            suffixes: how names end, in small letters.
            below: also those in folders of that folder.
        """
        found: list[File] = []
        for root, _, names in sorted(os.walk(self.path / at), key=lambda walked: walked[0]):
            for name in sorted(names):
                if Path(name).suffix.lower() in suffixes:
                    check_ends(Path(root, name), "file of data")
                    found.append(Path(root, name))
            if not below:
                break
        return found

    def called(self, file: File) -> str:
        """Return a file's name from the folder on, the same on disk and in a zip file."""
        assert isinstance(file, Path)
        return file.relative_to(self.path).as_posix()


class Archive:
    """A zip file of a folder.

    Args:
        path: the file.

    Raises:
        DataError: it is damaged or encrypted, names files outside of it, or holds more than can be
            taken for honest.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            members = self._zip.infolist()
        except ZIP_ERRORS as error:
            raise DataError(f"{path.name} is no sound zip file: {error}", hint=_HINT) from error
        if len(members) > MOST_MEMBERS:
            raise DataError(
                f"{path.name} has {len(members):,} members; at most {MOST_MEMBERS:,} may be",
                hint="unpack it, and give the folder",
            )
        for one in members:
            if _OUTSIDE.search(one.filename):
                raise DataError(
                    f"a zip file of a folder must name files inside of it; {path.name} names "
                    f"{shortly(one.filename)}",
                    hint=_HINT,
                )
            if one.flag_bits & 1:
                raise DataError(
                    f"{path.name} is encrypted ({one.filename})",
                    hint="unpack it, and give the folder",
                )
            if one.file_size > MOST_BYTES:
                raise DataError(
                    f"a file in a zip file must have at most {MOST_BYTES:,} bytes; "
                    f"{one.filename} in {path.name} has {one.file_size:,}",
                    hint="unpack it, and give the folder",
                )
        if why := swollen(members):
            raise DataError(
                f"{path.name} looks like a zip bomb: {why}",
                hint="if it is none, unpack it and give the folder",
            )
        names = [one.filename for one in members]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise DataError(f"{path.name} has {shortly(twice)} twice", hint=_HINT)
        kept = [name for name in names if not name.startswith("__MACOSX/")]
        tops = {name.partition("/")[0] for name in kept}
        alone = len(tops) == 1 and all("/" in name for name in kept)
        self._root = f"{next(iter(tops))}/" if alone else ""
        self._within: dict[str, list[str]] = {"": []}  # names of files by folder
        for name in kept:
            folder, _, last = name.removeprefix(self._root).rpartition("/")
            place = folder
            while place not in self._within:
                self._within[place] = []
                place = place.rpartition("/")[0]
            if last:
                self._within[folder].append(last)

    def folders(self, at: str = "") -> tuple[str, ...]:
        """Return the folders in one of it, as `Folder` does."""
        parents = (name.rpartition("/") for name in self._within if name)
        return tuple(sorted(name for up, _, name in parents if up == at and name[0] != "."))

    def files(self, at: str, suffixes: Collection[str], *, below: bool = True) -> list[File]:
        """Return the files in a folder of it, as `Folder` does."""
        places = (
            [at, *(n for n in self._within if not at or n.startswith(f"{at}/"))] if below else [at]
        )
        return [
            Packed(self, f"{self._root}{place}/{name}" if place else f"{self._root}{name}")
            for place in sorted(set(places))
            for name in sorted(self._within.get(place, ()))
            if PurePosixPath(name).suffix.lower() in suffixes
        ]

    def called(self, file: File) -> str:
        """Return a file's name from the folder on, the same on disk and in a zip file."""
        assert isinstance(file, Packed)
        return file.member.removeprefix(self._root)

    def content(self, member: str) -> bytes:
        """Return what a file in it holds, as a whole.

        Raises:
            DataError: it is damaged, or the archive has changed.
        """
        try:
            with self._zip.open(member) as stream:
                return stream.read(MOST_BYTES)
        except (*ZIP_ERRORS, KeyError) as error:
            raise DataError(
                f"{member} in {self.path.name} cannot be unpacked: {error}", hint=_HINT
            ) from error

    @cached_property
    def _zip(self) -> zipfile.ZipFile:
        return zipfile.ZipFile(self.path)


Tree = Folder | Archive
