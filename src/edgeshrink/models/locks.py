"""Locks between processes: a file that the system holds for one of them, and frees when it ends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from edgeshrink.models.writing import remove

PATIENCE = 2.0  # seconds of waiting for another process before it is told


@contextlib.contextmanager
def held(file: Path, waiting: Callable[[], Any]) -> Iterator[None]:
    """Hold a file for as long as the block takes, waiting for whoever holds it now.

    Args:
        file: in a folder that is there; it is made, and stays.
        waiting: called every few seconds of waiting; what it raises ends that.
    """
    import filelock

    if file.is_dir():
        remove(file)
    lock = filelock.FileLock(file)
    while not lock.is_locked:
        try:
            lock.acquire(timeout=PATIENCE)
        except filelock.Timeout:
            waiting()
    try:
        yield
    finally:
        lock.release()
