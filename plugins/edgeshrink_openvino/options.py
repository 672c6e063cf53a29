"""What a device profile says of OpenVINO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from edgeshrink.api import Flag


@dataclass(frozen=True)
class Options:
    """What OpenVINO computes in; which of its devices runs is the profile's `accelerator`."""

    precision: Annotated[
        Literal["f32", "bf16", "f16"],
        Flag("What is computed in where the file is not quantized."),
    ] = "f32"
