"""Arm's Ethos-U NPUs as a runtime: what their compiler Vela makes of a model."""

from __future__ import annotations

from edgeshrink.api import Part, Reader, Runtime, hookimpl


@hookimpl
def edgeshrink_runtimes() -> list[type[Runtime]]:
    """Return the runtimes of this plugin."""
    from edgeshrink_ethosu.ethosu import EthosU

    return [EthosU]


@hookimpl
def edgeshrink_readers() -> list[Reader]:
    """Return what reads files where this runtime runs."""
    from edgeshrink_ethosu.reading import VELA

    return [VELA]


@hookimpl
def edgeshrink_parts() -> list[Part]:
    """Return what the runtime compiles with."""
    from edgeshrink_ethosu.vela import VELA

    return [VELA]
