"""A result whose files are still being written: what a kill leaves then is known as ours."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from edgeshrink.models import file_digest, read_sealed, write_sealed

NOTE = "unfinished.json"


@contextlib.contextmanager
def unfinished(run_folder: Path, out: Path, result: Path) -> Iterator[None]:
    """Note, for as long as the block takes, that a result is being written to `out`."""
    note = run_folder / NOTE
    write_sealed(note, {"out": _seen_from(run_folder, out), "sha256": file_digest(result)})
    yield
    note.unlink()


def _seen_from(run_folder: Path, out: Path) -> str:
    """Return where a result is from the run folder, so that both may be moved together."""
    try:
        return os.path.relpath(out.resolve(), run_folder.resolve())
    except ValueError:  # on another drive of Windows
        return str(out.resolve())


def is_unfinished(run_folder: Path, out: Path) -> bool:
    """Tell whether `out` is a result that a killed run was still writing the report of."""
    note = read_sealed(run_folder / NOTE)
    if note is None or note.get("out") != _seen_from(run_folder, out):
        return False
    try:
        return file_digest(out) == str(note["sha256"])
    except OSError:
        return False
