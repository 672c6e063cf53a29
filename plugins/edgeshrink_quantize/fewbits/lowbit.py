"""Precisions of 4 and 2 bits: weights rounded to a grid, and stored in as few bits."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from edgeshrink.api import Context, Flag, Method, Plan, Precision, UsageError
from edgeshrink_quantize.training.qat import Qat, QatOptions

if TYPE_CHECKING:
    import keras


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


class LowBit(Precision):
    """Store weights on a grid of few bits."""

    Options = LowBitOptions
    keeps = frozenset({"sparsity"})  # a grid for each channel parts values that were shared
    kernels = "dynamic"

    @property
    @abstractmethod
    def integer(self) -> bool:
        """Whether `auto` takes integer activations where there is data."""

    def activations(self, *, data: bool) -> str:
        """Return the type of activations: `int8` or `float32`."""
        if self.options.activations == "auto":
            return "int8" if data and self.integer else "float32"
        return str(self.options.activations)

    def before(self) -> tuple[Method, ...]:
        """Return the training on the grid, if it is asked for."""
        if not self.options.qat:
            return ()
        keep = () if self.options.keep in (("auto",), ("none",)) else self.options.keep
        activations = 8 if self.activations(data=True) == "int8" else 32
        return (Qat(QatOptions(weights=self.bits, activations=activations, keep=keep)),)

    def check(self, plan: Plan) -> Iterable[str]:
        """Refuse what needs data without it, and kernels that the device lacks."""
        data = plan.data is not None and plan.data.calibration is not None
        for option, needs in (("activations", "int8"), ("rounding", "gptq")):
            if getattr(self.options, option) == needs and not data:
                raise UsageError(
                    f"--{self.name}-{option} {needs} needs data to calibrate with",
                    hint=f"pass --data, or drop --{self.name}-{option}",
                )
        integer = self.activations(data=data) == "int8"
        yield from self.on_device(plan, "int8" if integer else "dynamic")

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return the .tflite."""
        from edgeshrink.nn.graph.fold import folded
        from edgeshrink_quantize.fewbits.narrowing import encoded, narrow

        data = context.data is not None and context.data.calibration is not None
        activations = self.activations(data=data)
        if self.options.qat:
            return encoded(folded(model), self.bits, activations, context)
        return narrow(model, self.bits, self.options, activations, context)


class Int4(LowBit):
    """Store weights as 4-bit integers, half the size of int8."""

    name, title, bits = "int4", "Precision: 4-bit weights", 4
    integer = True


class Int2(LowBit):
    """Store weights as 2-bit integers: each is -s, 0 or s."""

    name, title, bits = "int2", "Precision: 2-bit weights", 2
    integer = False
