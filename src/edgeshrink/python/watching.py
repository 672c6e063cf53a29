"""What a function is doing, told on standard error while it works."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from edgeshrink.cli.display.progress import NAME, Watcher

if TYPE_CHECKING:
    from edgeshrink.plugins import Plugins


def watched(plugins: Plugins, progress: bool) -> contextlib.AbstractContextManager[Any]:
    """Return a context in which progress is told, as the command line tells it, or is not.

    Of several runs at once, in threads, the first one's lines tell of all.

    Args:
        plugins: that are told of it.
        progress: whether it is told: on a terminal as a line that moves, else as a line a step.
    """
    return Watcher(plugins) if progress and not plugins.has(NAME) else contextlib.nullcontext()
