"""Training on two, three or a few levels: binary, ternary, and powers of two."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from edgeshrink.api import (
    Context,
    Method,
    Phase,
    Plan,
    Precision,
    Training,
    UsageError,
    weighted,
)
from edgeshrink.tflite import Use
from edgeshrink_quantize.fewbits.operators import uses
from edgeshrink_quantize.options import InqOptions, LevelsOptions, TrainLevelsOptions

if TYPE_CHECKING:
    import keras


class TrainLevels(Method):
    """Train weights that are -s, 0 and s, or -s and s, in each channel."""

    name, title, phase = "train_levels", "Training on few levels", Phase.TRAIN_QUANTIZED
    Options = TrainLevelsOptions
    keeps = frozenset({"sparsity"})
    flag = False
    training = Training()

    def check(self, plan: Plan) -> Iterable[str]:
        """Say that rounding alone is not enough."""
        yield from _told_without_data(plan)

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return the model with its kernels on their levels."""
        from edgeshrink_quantize.fewbits.level_training import train_levels

        return train_levels(model, self.options, context)


class Levels(Precision):
    """Store weights of two or three levels in 2 bits, having trained them."""

    Options = LevelsOptions
    kernels, bits = "dynamic", 2
    training = TrainLevels.training
    levels: ClassVar[str]

    @property
    @abstractmethod
    def paper(self) -> str:
        """Where it comes from."""

    def before(self) -> tuple[Method, ...]:
        """Return the training."""
        options = TrainLevelsOptions(self.levels, self.options.scales, self.options.keep)
        return (TrainLevels(options, self.tuning),)

    def check(self, plan: Plan) -> Iterable[str]:
        """Refuse integer activations without data, and kernels that the device lacks."""
        integer = self.options.activations == "int8"
        if integer and (plan.data is None or plan.data.calibration is None):
            raise UsageError(
                f"--{self.name}-activations int8 needs data to calibrate with",
                hint="pass --data, or drop the flag",
            )
        yield from self.on_device(plan, "int8" if integer else "dynamic")

    def uses(self, plan: Plan, kernels: str) -> Iterable[Use]:
        """Yield how the file will use operators: in 2 bits, or 4."""
        return uses(weighted(plan, self.options.keep), self.bits, integer=kernels == "int8")

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return the .tflite."""
        from edgeshrink.nn import folded
        from edgeshrink_quantize.fewbits.narrowing import encoded

        context.facts["levels"] = f"{self.levels}: {self.paper}"
        return encoded(folded(model), self.bits, self.options.activations, context)


class Ternary(Levels):
    """Train weights that are -s, 0 or s in each channel, and store them in 2 bits."""

    name, title, levels = "ternary", "Precision: ternary weights", "ternary"
    paper = "Li et al., 2016 (TWN); learned scales after Zhu et al., 2017 (TTQ)"


class Binary(Levels):
    """Train weights that are -s or s in each channel, and store them in 2 bits."""

    name, title, levels = "binary", "Precision: binary weights", "binary"
    paper = "Courbariaux et al., 2015 (BinaryConnect), scales of Rastegari et al., 2016 (XNOR-Net)"


class Inq(Method):
    """Train weights that are powers of two, the largest first (incremental quantization)."""

    name, title, phase = "inq", "Incremental quantization", Phase.TRAIN_QUANTIZED
    Options = InqOptions
    keeps = frozenset({"sparsity"})
    training = Training()

    def check(self, plan: Plan) -> Iterable[str]:
        """Say that rounding alone is not enough."""
        yield from _told_without_data(plan)

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return the model, batch norms folded, with kernels of powers of two."""
        from edgeshrink_quantize.fewbits.level_training import train_powers

        return train_powers(model, self.options, context)


def _told_without_data(plan: Plan) -> Iterable[str]:
    if plan.data is None or plan.data.train is None:
        yield "no training data: weights are put on their levels at once, nothing makes good"
