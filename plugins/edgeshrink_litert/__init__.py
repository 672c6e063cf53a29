"""LiteRT (TensorFlow Lite) as a runtime, through its Python package on the device."""

from __future__ import annotations

from edgeshrink.api import Part, Reader, Runtime, hookimpl


@hookimpl
def edgeshrink_runtimes() -> list[type[Runtime]]:
    """Return the runtimes of this plugin."""
    from edgeshrink_litert.litert import LiteRT

    return [LiteRT]


@hookimpl
def edgeshrink_readers() -> list[Reader]:
    """Return what reads files where this runtime runs."""
    from edgeshrink_litert.reading import LITERT, TFLITE_RUNTIME

    return [LITERT, TFLITE_RUNTIME]


@hookimpl
def edgeshrink_parts() -> list[Part]:
    """Return what sets devices up."""
    from edgeshrink_litert.installing.wheels import PIP

    return [PIP]
