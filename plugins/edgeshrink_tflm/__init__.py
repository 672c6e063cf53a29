"""TensorFlow Lite Micro as a runtime: what a model needs on a microcontroller."""

from __future__ import annotations

from edgeshrink.api import Runtime, hookimpl


@hookimpl
def edgeshrink_runtimes() -> list[type[Runtime]]:
    """Return the runtimes of this plugin."""
    from edgeshrink_tflm.tflm import TFLM

    return [TFLM]
