"""Intel's OpenVINO as a runtime: .tflite files on processors, GPUs and NPUs."""

from __future__ import annotations

from edgeshrink.api import Part, Runtime, hookimpl


@hookimpl
def edgeshrink_runtimes() -> list[type[Runtime]]:
    """Return the runtimes of this plugin."""
    from edgeshrink_openvino.openvino import OpenVINO

    return [OpenVINO]


@hookimpl
def edgeshrink_parts() -> list[Part]:
    """Return what the runtime runs on."""
    from edgeshrink_openvino.openvino import PACKAGE

    return [PACKAGE]
