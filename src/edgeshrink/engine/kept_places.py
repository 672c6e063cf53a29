"""What is kept to go on from: run folders and caches, how large they are, and their removal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeshrink.errors import UsageError
from edgeshrink.models import bytes_in, cache_folder, marked, remove

LARGE_BYTES = 100_000_000  # from here on a run says what it keeps


@dataclass(frozen=True)
class KeptPlace:
    """A folder of ours.

    Attributes:
        folder: bears our mark.
        bytes: of all files in it.
        busy: a process works in it.
    """

    folder: Path
    bytes: int
    busy: bool

    def removed(self) -> bool:
        """Remove the folder unless a process has begun to work in it; tell whether it is gone.

        Raises:
            OSError: something in it cannot be removed.
        """
        with _held(self.folder) as held:
            if held and marked(self.folder):
                remove(self.folder)
        return not self.folder.exists()


def places_kept(folders: Sequence[Path]) -> tuple[KeptPlace, ...]:
    """Return what is kept in folders, largest first.

    Args:
        folders: each a run folder, or one that holds some; empty for the working directory and
            the caches.

    Raises:
        UsageError: a folder is not there.
    """
    looked = list(folders) or [Path(), cache_folder("")]
    found: dict[Path, Path] = {}
    for folder in looked:
        if folders and not folder.is_dir():
            raise UsageError(f"no folder {str(folder)!r}")
        inside = sorted(folder.iterdir()) if folder.is_dir() and not marked(folder) else [folder]
        found |= {place.resolve(): place for place in inside if marked(place)}
    places = (KeptPlace(place, bytes_in(place), _busy(place)) for place in found.values())
    return tuple(sorted(places, key=lambda place: -place.bytes))


def large(folder: Path) -> int:
    """Return the bytes of a run folder that is so large that it should be told, else 0."""
    size = bytes_in(folder)
    return size if size >= LARGE_BYTES else 0


def _busy(folder: Path) -> bool:
    with _held(folder) as held:
        return not held


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Yield whether no other process works in a folder, and keep others out meanwhile."""
    import filelock

    with contextlib.ExitStack() as stack:
        try:
            for lock in folder.glob("*lock"):
                stack.enter_context(filelock.FileLock(lock, timeout=0))
        except (filelock.Timeout, OSError):
            yield False
        else:
            yield True
