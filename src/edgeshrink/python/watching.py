"""What a function is doing, told on standard error while it works."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgeshrink.cli.display.progress import NAME, Watcher

if TYPE_CHECKING:
    from edgeshrink.plugins import Plugins


ONE = threading.RLock()


@contextlib.contextmanager
def watched(plugins: Plugins, progress: bool) -> Iterator[None]:
    """Return a context in which progress is told, as the command line tells it, or is not.

    Runs of other threads wait until it is left: the streams of a process, which runs turn aside,
    are shared by its threads, and what is timed beside another run is timed wrong.

    Args:
        plugins: that are told of it.
        progress: whether it is told: on a terminal as a line that moves, else as a line a step.
    """
    with ONE:  # first: which one tells of it is decided inside
        told = progress and not plugins.has(NAME)
        with Watcher(plugins) if told else contextlib.nullcontext():
            yield
