"""What dropping layers is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from edgeshrink.api import Flag

TOLERANCE = 0.01


@dataclass(frozen=True)
class Options:
    """How much depth is given up."""

    count: Annotated[
        int | Literal["auto"],
        Flag(
            "Residual branches, or layers that keep the shape of what they are given, to drop; "
            "`auto` drops as long as the tolerance allows.",
            min=1,
            metavar="N|auto",
            search=(1, 2),
        ),
    ]
    tolerance: Annotated[
        float,
        Flag(
            "With `auto`: what may be lost of the validation score (of the agreement with the "
            "model before, where there are no labels) in all, before training makes good.",
            min=0,
        ),
    ] = TOLERANCE

    rank: Annotated[
        Literal["harm", "harm-per-mac"],
        Flag(
            "What goes first: what does the least harm, or the least for each multiply-accumulate "
            "that goes with it.",
            search=("harm", "harm-per-mac"),
        ),
    ] = "harm"
    of: Annotated[
        tuple[str, ...],
        Flag("Drop only among these: sums of residual branches, or layers, by name."),
    ] = ()

    def __post_init__(self) -> None:
        """Refuse a tolerance that nothing asks for."""
        if self.count != "auto" and self.tolerance != TOLERANCE:
            raise ValueError(
                f"the tolerance says where auto ends; received one with a count of {self.count}"
            )
