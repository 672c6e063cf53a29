"""What shrinking is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from edgeshrink.api import Flag


@dataclass(frozen=True)
class ShrinkOptions:
    """How much goes, of what, and what goes first."""

    ratio: Annotated[
        float,
        Flag(
            "The share removed, of --shrink-target.",
            above=0,
            below=1,
            search=(0.125, 0.25, 0.375, 0.5, 0.625, 0.75),
        ),
    ]
    target: Annotated[
        Literal["channels", "parameters", "macs", "bytes", "ms"],
        Flag(
            "What RATIO is a share of: the channels that may go; the model's parameters or MACs; "
            "bytes of the float .tflite; milliseconds, measured on the device.",
            search=("macs",),
        ),
    ] = "channels"
    criterion: Annotated[
        Literal["auto", "l1", "l2", "median", "bn", "taylor", "fisher", "random"],
        Flag(
            "What a channel is worth: the norm of its weights, its distance from the others, its "
            "batch-norm scale, what the loss would change (first order, or Fisher); `auto` is "
            "taylor with training data, else l2."
        ),
    ] = "auto"
    scope: Annotated[
        Literal["global", "layer"],
        Flag("Channels compete within the whole model, or each group gives the same share."),
    ] = "global"
    layers: Annotated[
        tuple[str, ...],
        Flag("Remove only what these layers make (default: all that can go)."),
    ] = ()
    round: Annotated[
        int | None,
        Flag(
            "Keep a multiple of so many channels (default: the tile of the device's kernels where "
            "MACs or milliseconds are asked for, else 1).",
            min=1,
            max=1024,
        ),
    ] = None
    min_width: Annotated[int, Flag("Keep at least so many channels of each group.", min=1)] = 2
    rounds: Annotated[
        int, Flag("Remove in so many rounds, with training after each.", min=1, max=100)
    ] = 1
    slimming: Annotated[
        float,
        Flag("Weight of an L1 penalty on batch-norm scales, trained before channels go.", min=0),
    ] = 0.0

    @property
    def in_tiles(self) -> bool:
        """Whether the device's kernels say what widths are multiples of."""
        return self.round is None and self.target in ("macs", "ms")


@dataclass(frozen=True)
class MergeOptions:
    """How many neurons are merged."""

    ratio: Annotated[
        float, Flag("The share of neurons and filters that merge into others.", above=0, below=1)
    ]
    min_width: Annotated[int, Flag("Keep at least so many of each group.", min=1)] = 2
