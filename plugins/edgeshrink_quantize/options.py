"""What the methods of this plugin are told: every option, declared once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from edgeshrink.api import Flag

Estimator = Annotated[
    Literal["minmax", "percentile", "mse", "entropy"],
    Flag(
        "How the ranges of activations are estimated from calibration samples.",
        search=("minmax", "mse"),
    ),
]


Rounding = Annotated[
    Literal["nearest", "adaptive"],
    Flag(
        "How weights are rounded: to nearest, or by their layer's outputs (AdaRound).",
        search=("nearest", "adaptive"),
    ),
]


Equalized = Annotated[
    bool, Flag("Equalize the ranges of channels across layers first; answers stay the same.")
]


Corrected = Annotated[
    bool, Flag("Take the mean error that rounding brings back from each layer's bias.")
]


@dataclass(frozen=True)
class GridOptions:
    """The grids that rounding is measured on."""

    weights: Annotated[int, Flag("Bits of a weight.", min=2, max=8)] = 8
    activations: Annotated[
        int, Flag("Bits of an activation; 32 leaves them in float.", min=8, max=32)
    ] = 8
    granularity: Annotated[
        Literal["channel", "tensor"], Flag("A step for each output channel, or for each tensor.")
    ] = "channel"


@dataclass(frozen=True)
class AdaptiveOptions(GridOptions):
    """Grids, and how long is searched."""

    iterations: Annotated[int, Flag("Steps of Adam for each layer.", min=1)] = 1000


Steps = Annotated[
    Literal["range", "learned"],
    Flag("The step of weights: from their range, or learned (LSQ)."),
]


Ends = Annotated[
    Literal["moving", "learned"],
    Flag("The ends of activations: moving averages of batches, or learned (PACT)."),
]


@dataclass(frozen=True)
class QatOptions:
    """What is rounded while the model trains, and how finely."""

    weights: Annotated[int, Flag("Bits of a weight.", min=2, max=8)] = 8
    activations: Annotated[
        int, Flag("Bits of an activation; 32 leaves them in float.", min=8, max=32)
    ] = 8
    granularity: Annotated[
        Literal["channel", "tensor"], Flag("A step for each output channel, or for each tensor.")
    ] = "channel"
    steps: Steps = "range"
    ends: Ends = "moving"
    keep: Annotated[tuple[str, ...], Flag("Layers whose weights stay at 8 bits, by name.")] = ()


Granularity = Annotated[
    Literal["auto", "channel", "tensor"],
    Flag(
        "Scales for each output channel (keeps more accuracy), or for each tensor (deflates "
        "better); `auto` measures both."
    ),
]


@dataclass(frozen=True)
class FloatOptions:
    """How floats are stored."""

    sparse: Annotated[
        bool, Flag("Leave zeros out of the file; XNNPACK can skip only those that are.")
    ] = False


@dataclass(frozen=True)
class GranularityOptions:
    """How finely weights are scaled."""

    granularity: Granularity = "auto"


@dataclass(frozen=True)
class Int8Options:
    """Types at the border, granularity, and what may stay in float."""

    io: Annotated[
        Literal["float32", "int8", "uint8"], Flag("Type of the model's inputs and outputs.")
    ] = "float32"
    granularity: Granularity = "auto"
    float_ops: Annotated[
        Literal["allow", "refuse"], Flag("Operators that have no integer kernel.")
    ] = "allow"
    qat: Annotated[
        bool, Flag("Train with 8-bit weights and activations first.", search=(False, True))
    ] = False
    qat_steps: Steps = "range"
    qat_ends: Ends = "moving"
    ranges: Estimator = "minmax"
    equalize: Equalized = False
    rounding: Rounding = "nearest"
    correct_bias: Corrected = False


@dataclass(frozen=True)
class LowBitOptions:
    """How weights are rounded, which are not, and what they are multiplied with."""

    activations: Annotated[
        Literal["auto", "int8", "float32"],
        Flag(
            "Integer activations need data; `auto` takes them for 4 bits where there is data: "
            "LiteRT's kernels then run faster. For 2 bits it takes float, since of layers with "
            "integer activations only dense ones run on 2 bits."
        ),
    ] = "auto"
    rounding: Annotated[
        Literal["auto", "nearest", "mse", "octav", "gptq"],
        Flag(
            "How weights find their codes: nearest on a grid over the whole range, on one of the "
            "least squared error, on OCTAV's, or with errors made good as in GPTQ, which needs "
            "data; `auto` is gptq with data, else mse."
        ),
    ] = "auto"
    keep: Annotated[
        tuple[str, ...],
        Flag(
            "Layers that stay at 8 bits: names, `none`, or `auto` for those that few bits hurt "
            "most, within a tenth of the weights' bytes."
        ),
    ] = ("auto",)
    qat: Annotated[
        bool,
        Flag(
            "Train on the grid first; weights are then not rounded any more, and layers stay at "
            "8 bits by name only."
        ),
    ] = False


Keep = Annotated[
    tuple[str, ...],
    Flag(
        "Layers that stay at 8 bits: names, `none`, or `ends` for the first and the last, each "
        "if it has no more than a tenth of the weights."
    ),
]


Scales = Annotated[
    Literal["mean", "learned"],
    Flag("Each channel's scale: from the mean of its weights at every step, or learned."),
]


@dataclass(frozen=True)
class LevelsOptions:
    """What is trained, and how the result is run."""

    scales: Scales = "mean"
    keep: Keep = ("ends",)
    activations: Annotated[
        Literal["float32", "int8"],
        Flag(
            "Beside float activations every layer is stored in 2 bits; beside integers, which "
            "are faster and need data, convolutions take 4, since the runtime has no less."
        ),
    ] = "float32"


@dataclass(frozen=True)
class TrainLevelsOptions:
    """Which levels, and where."""

    levels: Annotated[Literal["ternary", "binary"], Flag("Three levels or two.")]
    scales: Scales = "mean"
    keep: Keep = ("ends",)


@dataclass(frozen=True)
class InqOptions:
    """How many powers of two there are."""

    bits: Annotated[
        int,
        Flag("Bits of a weight: 5 are zero and eight powers of two of either sign.", min=2, max=8),
    ]
    keep: Annotated[
        tuple[str, ...], Flag("Layers that stay as they are: names, `none` or `ends`.")
    ] = ("none",)


@dataclass(frozen=True)
class MixedOptions:
    """The budget, and how weights are rounded."""

    bytes: Annotated[int | None, Flag("The most that the stripped .tflite may take.", min=1)] = None
    drop: Annotated[
        float | None,
        Flag(
            "The most that may be lost on validation samples: points of accuracy, or of agreement "
            "with float where there are no labels; the fewest bytes are searched for.",
            min=0,
            max=100,
        ),
    ] = None
    activations: Annotated[
        Literal["auto", "int8", "float32"],
        Flag("`auto` takes integer activations where there is data to calibrate them with."),
    ] = "auto"
    rounding: Annotated[
        Literal["auto", "nearest", "mse", "octav", "gptq"],
        Flag("How weights find their codes, as with --int4; `auto` is gptq with data, else mse."),
    ] = "auto"

    def __post_init__(self) -> None:
        """Refuse no budget, and two."""
        if (self.bytes is None) == (self.drop is None):
            given = "none" if self.bytes is None else "both"
            raise ValueError(f"exactly one of bytes and drop must be given; received {given}")


@dataclass(frozen=True)
class StripOptions:
    """What becomes of names."""

    names: Annotated[
        Literal["short", "none", "keep"],
        Flag(
            "Names of inner tensors: the shortest that tell them apart, none (smaller; OpenVINO "
            "and converters of chips read no such file), or as they are. Those of inputs and "
            "outputs stay."
        ),
    ] = "short"
