"""What clustering is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from edgeshrink.api import Flag

# Weights other than zero for each value: with fewer, a codebook saves nothing.
LEAST_MEMBERS = 3
# With `scaled`: zero, one and minus one times the scale, and one more.
LEAST_SCALED, MOST_SCALED = 4, 128


@dataclass(frozen=True)
class Options:
    """How many values, where they begin, and who shares them."""

    clusters: Annotated[
        int,
        Flag(
            "Distinct values of a kernel, zero included where it has zeros.",
            min=2,
            max=256,
            search=(64, 32, 16, 8),
        ),
    ]
    init: Annotated[
        Literal["linear", "density", "kmeans++", "random"],
        Flag("Where k-means begins: evenly over the range, over the weights, or at weights."),
    ] = "linear"
    scope: Annotated[
        Literal["layer", "scaled", "channel"],
        Flag(
            "One codebook for a kernel, one that each of its output channels scales, or one for "
            "each channel. `scaled` loses less where 8-bit codes follow, and has few of them too."
        ),
    ] = "layer"
    layers: Annotated[tuple[str, ...], Flag("`all`, `dense`, `conv`, or names of layers.")] = (
        "all",
    )
