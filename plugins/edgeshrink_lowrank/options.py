"""What substitution is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from edgeshrink.api import Flag


@dataclass(frozen=True)
class LowrankOptions:
    """How much is removed, how, and where."""

    ratio: Annotated[
        float | Literal["vbmf"] | None,
        Flag(
            "Share of the whole model's multiply-accumulates that is removed; `vbmf` gives each "
            "layer the ranks that variational Bayes finds above the noise, of `tucker` where it "
            "is among the kinds and fits, else of `svd`, whatever that removes.",
            above=0,
            below=1,
            metavar="RATIO|vbmf",
            search=(0.25, 0.5),
        ),
    ] = None
    energy: Annotated[
        float | None,
        Flag(
            "Instead of a ratio: the share of its squares that each kernel keeps, whatever that "
            "saves.",
            above=0,
            max=1,
        ),
    ] = None
    kinds: Annotated[
        tuple[Literal["svd", "spatial", "tucker", "cp"], ...],
        Flag(
            "Decompositions: `svd` of any layer (fewer filters, mixed), and of convolutions larger "
            "than 1×1 `spatial` (a column, a row), `tucker` (fewer channels inside) and `cp` (a "
            "depthwise one inside). Of several, each layer gets the one with which it answers most "
            "like before for the same cost; without data, the one most like its kernel; for an "
            "energy, the cheapest."
        ),
    ] = ("svd", "spatial", "tucker", "cp")
    layers: Annotated[tuple[str, ...], Flag("`all`, `dense`, `conv`, or names of layers.")] = (
        "all",
    )

    def __post_init__(self) -> None:
        """Refuse no measure of what is removed, and two."""
        if (self.ratio is None) == (self.energy is None):
            given = "none" if self.ratio is None else "both"
            raise ValueError(f"exactly one of ratio and energy must be given; received {given}")


@dataclass(frozen=True)
class DepthwiseOptions:
    """Which convolutions, and what becomes of them."""

    layers: Annotated[
        tuple[str, ...],
        Flag(
            "Convolutions that are replaced: names, or `all` with a window of more than one place "
            "and more than a few input channels.",
            metavar="all|NAMES",
        ),
    ]
    between: Annotated[
        Literal["relu", "nothing"],
        Flag(
            "What stands between the two halves: a batch norm and a ReLU, as in MobileNet, or "
            "nothing."
        ),
    ] = "relu"
    multiplier: Annotated[
        int, Flag("Depthwise filters of each input channel; each more is nearer to before.", min=1)
    ] = 1
