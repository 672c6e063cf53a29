"""What TFMOT's methods are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from edgeshrink.api import Flag


@dataclass(frozen=True)
class PruneOptions:
    """How much is pruned, and how fast."""

    sparsity: Annotated[float, Flag("Share of zeros in each kernel.", min=0, below=1)]
    schedule: Annotated[
        Literal["polynomial", "constant"],
        Flag("How sparsity grows: cubic over the first part of training, or all at once."),
    ] = "polynomial"


@dataclass(frozen=True)
class ClusterOptions:
    """How many values, and which to start from."""

    # TFMOT refuses 2 where zeros are kept
    clusters: Annotated[int, Flag("Most distinct values in each kernel, zero included.", min=3)]
    init: Annotated[
        Literal["linear", "density", "kmeans++", "random"], Flag("Centroids to start from.")
    ] = "kmeans++"
