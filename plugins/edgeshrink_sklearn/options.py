"""What imitation is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from edgeshrink.api import Flag


@dataclass(frozen=True)
class Options:
    """Which nets are tried, and from what they learn."""

    units: Annotated[
        tuple[int, ...],
        Flag(
            "Units of the net's hidden layer; of several the smallest that answers alike enough "
            "is kept.",
            min=1,
            max=4096,
        ),
    ] = (32, 64, 128)
    tolerance: Annotated[
        float,
        Flag(
            "What the likeness of the net that is kept may be under the best of them, 0..1.",
            min=0,
            max=1,
        ),
    ] = 0.01
    points: Annotated[
        int | None,
        Flag(
            "Points around each training sample that the model answers too (default: as many as "
            "make 50,000 in all).",
            min=0,
            max=1000,
        ),
    ] = None

    def __post_init__(self) -> None:
        """Refuse an empty list of nets, and one with repeats."""
        if not self.units or len(set(self.units)) < len(self.units):
            raise ValueError(f"units must be one width or several; received {self.units!r}")
