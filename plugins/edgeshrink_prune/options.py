"""What pruning is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from edgeshrink.api import Flag
from edgeshrink_prune.pattern import check_sparsity, parse


@dataclass(frozen=True)
class Options:
    """How much is pruned, where, and how fast."""

    sparsity: Annotated[
        float,
        Flag(
            "Share of zeros among the kernels in scope.",
            min=0,
            below=1,
            search=(0.5, 0.7, 0.8, 0.9, 0.95, 0.975, 0.985),
        ),
    ]
    schedule: Annotated[
        Literal["polynomial", "constant", "regrow"],
        Flag(
            "How sparsity grows: cubic over the first part of training, all at once, or as a "
            "cubic with weights that grow back (dynamic network surgery)."
        ),
    ] = "polynomial"
    initial: Annotated[
        float, Flag("Share of zeros that a cubic schedule begins at.", min=0, below=1)
    ] = 0.0
    scope: Annotated[
        Literal["adaptive", "global", "layer"],
        Flag(
            "Weights compete within the whole model by what they are among those of their layer "
            "that are left, or by their magnitude; or each layer gets the same sparsity."
        ),
    ] = "adaptive"
    layers: Annotated[
        tuple[str, ...],
        Flag("`all`, `dense`, `conv`, or names of layers; names may include what is else dense."),
    ] = ("all",)
    pattern: Annotated[
        str,
        Flag(
            "Which weights go together: `free`; `2:4` keeps two of each four along the inputs; "
            "`4x1` zeroes blocks of 4 inputs x 1 output."
        ),
    ] = "free"
    for_: Annotated[
        Literal["any", "xnnpack", "npu"],
        Flag(
            "`xnnpack`: prune what that runtime can skip, 1x1 convolutions of float graphs, and "
            "refuse models that it would run densely; `npu`: in the pattern that pays on the "
            "device, `2:4` where that saves time, else `free`."
        ),
    ] = "any"

    def __post_init__(self) -> None:
        """Refuse a pattern that does not exist or has another share of zeros, and a late start."""
        check_sparsity(parse(self.pattern), self.sparsity)
        if self.for_ == "npu" and self.pattern != "free":
            raise ValueError(f"for npu chooses the pattern itself; received {self.pattern} too")
        if self.initial and self.schedule == "constant":
            raise ValueError("a constant schedule has no beginning; received initial too")
        if self.initial > self.sparsity:
            raise ValueError(
                f"initial must be at most the sparsity {self.sparsity:g}; received {self.initial:g}"
            )
