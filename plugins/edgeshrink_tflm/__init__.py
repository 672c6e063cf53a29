"""TensorFlow Lite Micro: as a runtime, and tables that it alone looks up."""

from __future__ import annotations

from edgeshrink.api import Exporter, Method, Part, Reader, Runtime, hookimpl
from edgeshrink_tflm.lut import Lut
from edgeshrink_tflm.package import MICRO


@hookimpl
def edgeshrink_methods() -> list[type[Method]]:
    """Return the methods of this plugin."""
    return [Lut]


@hookimpl
def edgeshrink_runtimes() -> list[type[Runtime]]:
    """Return the runtimes of this plugin."""
    from edgeshrink_tflm.tflm import TFLM

    return [TFLM]


@hookimpl
def edgeshrink_readers() -> list[Reader]:
    """Return what reads files where this runtime runs."""
    from edgeshrink_tflm.reading import TFLM

    return [TFLM]


@hookimpl
def edgeshrink_exporters() -> list[type[Exporter]]:
    """Return the ways to write a model as source."""
    from edgeshrink_tflm.c_export import CExport

    return [CExport]


@hookimpl
def edgeshrink_parts() -> list[Part]:
    """Return what the runtime runs on."""
    return [MICRO]
