"""The machines that edgeshrink reaches by itself."""

from __future__ import annotations

from edgeshrink.api import Target, hookimpl


@hookimpl
def edgeshrink_targets() -> list[type[Target]]:
    """Return the targets of this plugin."""
    from edgeshrink_targets.local import Local

    return [Local]
