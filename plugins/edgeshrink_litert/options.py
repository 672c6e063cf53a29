"""What a device profile says of LiteRT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from edgeshrink.api import Flag, Kernels


@dataclass(frozen=True)
class Options:
    """Where LiteRT is, and which of its kernels run."""

    library: Annotated[
        str, Flag("Where libLiteRt.so is on the device, for a Python without numpy.")
    ] = ""
    kernels: Annotated[
        Kernels,
        Flag("What runs operators: XNNPACK's kernels, LiteRT's own, or its reference kernels."),
    ] = "xnnpack"
