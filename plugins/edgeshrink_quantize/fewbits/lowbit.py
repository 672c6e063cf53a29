"""Precisions of 4 and 2 bits: weights rounded to a grid, and stored in as few bits."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from edgeshrink.api import Context, Method, Plan, Precision, UsageError, weighted
from edgeshrink.tflite import Use
from edgeshrink_quantize.fewbits.operators import uses
from edgeshrink_quantize.options import LowBitOptions, QatOptions
from edgeshrink_quantize.training.qat import Qat

if TYPE_CHECKING:
    import keras


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

    def uses(self, plan: Plan, kernels: str) -> Iterable[Use]:
        """Yield how the file will use operators: in few bits, where a runtime may have none."""
        return uses(weighted(plan, self.options.keep), self.bits, integer=kernels == "int8")

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return the .tflite."""
        from edgeshrink.nn import folded
        from edgeshrink_quantize.fewbits.narrowing import encoded, narrow

        data = context.data is not None and context.data.calibration is not None
        activations = self.activations(data=data)
        if self.options.qat:
            return encoded(folded(model), self.bits, activations, context)
        return narrow(model, self.bits, self.options, activations, context)


class Int4(LowBit):
    """Store weights as 4-bit integers, half the size of int8."""

    name, title, bits = "int4", "Precision: 4-bit weights", 4
    integer, searched = True, True


class Int2(LowBit):
    """Store weights as 2-bit integers: each is -s, 0 or s."""

    name, title, bits = "int2", "Precision: 2-bit weights", 2
    integer = False
