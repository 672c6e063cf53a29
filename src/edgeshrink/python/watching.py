"""What a function is doing, told on standard error while it works."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from edgeshrink.cli.display.progress import NAME, Watcher
from edgeshrink.hookspecs import hookimpl

if TYPE_CHECKING:
    from edgeshrink.plugins import Plugins


ONE = threading.RLock()
CALLBACKS = "callbacks of a call"


@contextlib.contextmanager
def watched(plugins: Plugins, progress: bool, callbacks: Sequence[Any] = ()) -> Iterator[None]:
    """Return a context in which progress is told, as the command line tells it, or is not.

    Runs of other threads wait until it is left: the streams of a process, which runs turn aside,
    are shared by its threads, and what is timed beside another run is timed wrong.

    Args:
        plugins: that are told of it.
        progress: whether it is told: on a terminal as a line that moves, else as a line a step.
        callbacks: of Keras, for every training.
    """
    with ONE:  # first: which one tells of it is decided inside
        told = progress and not plugins.has(NAME)
        with Watcher(plugins) if told else contextlib.nullcontext():
            if callbacks:
                plugins.register(_Callbacks(callbacks), CALLBACKS)
            try:
                yield
            finally:
                plugins.unregister(CALLBACKS)


class _Callbacks:
    """A plugin of one call, with callbacks of Keras."""

    def __init__(self, callbacks: Sequence[Any]) -> None:
        self.callbacks = callbacks

    @hookimpl
    def edgeshrink_callbacks(self, step: str) -> Sequence[Any]:
        """Return them, whatever the step."""
        return self.callbacks
