"""What clustering is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from edgeshrink.api import Flag

# Weights other than zero for each value: with fewer, a codebook saves nothing.
LEAST_MEMBERS = 3


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
        Literal["layer", "channel"],
        Flag("One codebook for a kernel, or one for each of its output channels."),
    ] = "layer"
    layers: Annotated[tuple[str, ...], Flag("`all`, `dense`, `conv`, or names of layers.")] = (
        "all",
    )
