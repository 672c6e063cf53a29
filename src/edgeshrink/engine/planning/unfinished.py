"""A result whose files are still being written: what a kill leaves then is known as ours."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from edgeshrink.models import file_digest, read_sealed, write_sealed

NOTE = "unfinished.json"


@contextlib.contextmanager
def unfinished(run_folder: Path, out: Path, result: Path) -> Iterator[None]:
    """Note, for as long as the block takes, that a result is being written to `out`."""
    note = run_folder / NOTE
    write_sealed(note, {"out": str(out.resolve()), "sha256": file_digest(result)})
    yield
    note.unlink()


def is_unfinished(run_folder: Path, out: Path) -> bool:
    """Tell whether `out` is a result that a killed run was still writing the report of."""
    note = read_sealed(run_folder / NOTE)
    if note is None or note.get("out") != str(out.resolve()):
        return False
    try:
        return file_digest(out) == str(note["sha256"])
    except OSError:
        return False
