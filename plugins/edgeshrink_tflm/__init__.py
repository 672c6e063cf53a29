"""TensorFlow Lite Micro as a runtime: what a model needs on a microcontroller."""

from __future__ import annotations

from edgeshrink.api import Part, Runtime, hookimpl


@hookimpl
def edgeshrink_runtimes() -> list[type[Runtime]]:
    """Return the runtimes of this plugin."""
    from edgeshrink_tflm.tflm import TFLM

    return [TFLM]


@hookimpl
def edgeshrink_parts() -> list[Part]:
    """Return what the runtime runs on."""
    from edgeshrink_tflm.tflm import MICRO

    return [MICRO]
