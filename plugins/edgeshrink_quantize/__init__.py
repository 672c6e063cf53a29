"""Precisions: the types in which a .tflite holds weights and activations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgeshrink.api import (
    Context,
    Kind,
    Method,
    Need,
    Phase,
    Plan,
    Precision,
    UsageError,
    hookimpl,
    weighted,
)
from edgeshrink.tflite import Use
from edgeshrink_quantize.dynamic_range import grain, hybrid
from edgeshrink_quantize.fewbits.levels import Binary, Inq, Ternary, TrainLevels
from edgeshrink_quantize.fewbits.lowbit import Int2, Int4
from edgeshrink_quantize.mixed.precision import Mixed
from edgeshrink_quantize.options import (
    FloatOptions,
    GranularityOptions,
    Int8Options,
    StripOptions,
)
from edgeshrink_quantize.posttraining.methods import (
    AdaptiveRounding,
    BatchNormReestimation,
    BiasCorrection,
    Equalize,
    improvements,
    refuse,
)
from edgeshrink_quantize.training.qat import Qat

if TYPE_CHECKING:
    import keras


SQUARES = "LiteRT squares no numbers"
# What the runtime or the converter lacks for a layer, by its class; findings/ has both.
NO_16_BITS = {
    "LayerNormalization": SQUARES,
    "GroupNormalization": SQUARES,
    "UnitNormalization": SQUARES,
    "RMSNormalization": SQUARES,
    "Embedding": "the converter takes no whole numbers to look up",
}


class Float(Precision):
    """Convert only: 32-bit floats as they are."""

    name, title = "float", "Precision: float"
    Options = FloatOptions
    default = implied = True
    kernels = "float32"

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return the .tflite."""
        from edgeshrink_quantize.precisions import float32

        return float32(model, self.options, context)


class Fp16(Precision):
    """Store weights as 16-bit floats: half the size, computed in 32 bits on most processors."""

    name, title = "fp16", "Precision: 16-bit floats"
    Options = FloatOptions
    kernels, bits = "float16", 16
    searched = True

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return the .tflite."""
        from edgeshrink_quantize.precisions import float16

        return float16(model, self.options, context)


class Dynamic(Precision):
    """Store weights as 8-bit integers; activations stay float and are quantized on the fly."""

    name, title = "dynamic", "Precision: dynamic range"
    Options = GranularityOptions
    kernels, bits = "dynamic", 8
    searched = True

    def check(self, plan: Plan) -> Iterable[str]:
        """Say what the device cannot run, and scale by tensor where it asks so."""
        yield from super().check(plan)
        yield from _by_tensor(plan, self.options.granularity)

    def uses(self, plan: Plan, kernels: str) -> Iterable[Use]:
        """Yield how the file will use operators."""
        return hybrid(weighted(plan), self.options.granularity, plan.profile)

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return the .tflite."""
        from edgeshrink_quantize.precisions import dynamic

        return dynamic(model, self.options.granularity, context)


def _by_tensor(plan: Plan, granularity: str) -> Iterable[str]:
    """Say where dynamic range has a scale for each tensor since the device asks for it."""
    if granularity == "auto" and grain("auto", plan.profile) == "tensor":
        why = plan.profile.refused(hybrid(["FULLY_CONNECTED"], "channel", plan.profile))
        yield f"{'; '.join(why)}: scales are by tensor"


class Int8(Precision):
    """Compute in 8-bit integers, calibrated on data; without data, dynamic range."""

    name, title = "int8", "Precision: 8-bit integers"
    Options = Int8Options
    kernels, bits = "int8", 8
    searched = True

    def before(self) -> tuple[Method, ...]:
        """Return the training, or what does without, that was asked for."""
        chosen = self.options
        grain = "tensor" if chosen.granularity == "tensor" else "channel"
        steps = improvements(
            grain,
            equalize=chosen.equalize,
            rounding=chosen.rounding,
            correct_bias=chosen.correct_bias,
        )
        if not chosen.qat:
            return steps
        options = {"granularity": grain, "steps": chosen.qat_steps, "ends": chosen.qat_ends}
        return (*steps, Qat.of(options))

    def check(self, plan: Plan) -> Iterable[str]:
        """Say whether it is static or dynamic range, and what loops may become."""
        refuse(self.options, calibrates=calibrates(plan))
        if not calibrates(plan):
            if self.options.io != "float32":
                raise UsageError(
                    f"--int8-io {self.options.io} needs integer activations, and those need data",
                    hint="pass --data, or drop --int8-io",
                )
            yield "no data to calibrate activations with: int8 here is dynamic range"
            yield from self.on_device(plan, "dynamic")
            yield from _by_tensor(plan, self.options.granularity)
            return
        fused = {layer.name for layer in plan.base.layers if layer.class_name == "LSTM"}
        yield from _loops([name for name in plan.base.recurrent if name not in fused])
        yield from self.on_device(plan, "int8")

    def uses(self, plan: Plan, kernels: str) -> Iterable[Use]:
        """Yield how the file will use operators."""
        if kernels == "dynamic":
            return hybrid(weighted(plan), self.options.granularity, plan.profile)
        return super().uses(plan, kernels)

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return the .tflite."""
        from edgeshrink_quantize import precisions

        if context.data is None or context.data.calibration is None:
            return precisions.dynamic(model, self.options.granularity, context)
        options = self.options
        if options.rounding == "adaptive" and options.granularity == "auto":
            options = replace(options, granularity="channel")  # as the weights were rounded
        return precisions.int8(model, options, context)


class Int16x8(Precision):
    """Compute with 16-bit activations and 8-bit weights, calibrated on data."""

    name, title = "int16x8", "Precision: 16-bit activations"
    data = Need.REQUIRED
    kernels, bits = "int16x8", 8

    def check(self, plan: Plan) -> Iterable[str]:
        """Refuse a lack of data, and say what loops may become."""
        if not calibrates(plan):
            raise UsageError("int16x8 needs data to calibrate activations with", hint="pass --data")
        _check_16_bits(plan)
        yield from _loops(plan.base.recurrent)
        yield from super().check(plan)

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return the .tflite."""
        from edgeshrink_quantize.precisions import int16x8

        return int16x8(model, context)


def _check_16_bits(plan: Plan) -> None:
    """Refuse what the converter does not take, or LiteRT does not run, with 16-bit activations.

    Raises:
        UsageError: the model has such layers.
    """
    for layer in plan.base.layers:
        if layer.class_name in NO_16_BITS:
            raise UsageError(
                f"with 16-bit activations {NO_16_BITS[layer.class_name]}, as {layer.class_name} "
                f"({layer.name}) needs",
                hint="--int8 and --fp16 run it",
            )


class BakePreprocess(Method):
    """Put the preprocessing into the file: it then takes samples as they are stored."""

    name, title, phase = "bake_preprocess", "Preprocessing inside", Phase.BAKE
    data = Need.REQUIRED
    keeps = frozenset({"sparsity", "clusters", "ranges", "trained_quantized", "activation_bits"})
    bakes = True

    def check(self, plan: Plan) -> Iterable[str]:
        """Say what the file will take.

        Raises:
            UsageError: preprocessing is a function, changes nothing, or a step behind this one
                trains or looks at layers.
        """
        assert plan.data is not None
        spelled = plan.data.preprocess.describe()
        if plan.data.preprocess.affine is None:
            raise UsageError(
                f"only scale, offset, mean and std can be put into a file; --preprocess is "
                f"{spelled!r}",
                hint="write the function's formula, as in --preprocess scale=1/127.5,offset=-1",
            )
        stored = next(iter(plan.data.subsets().values())).inputs.values()
        if not plan.data.preprocess.scales and not any(c.dtype == "uint8" for c in stored):
            raise UsageError(
                "there is no preprocessing to put into the file",
                hint="pass --preprocess, or drop --bake-preprocess",
            )
        late = [step.name for step in plan.after if step.phase < self.phase]
        if late:
            raise UsageError(
                f"bake_preprocess is for a model that is done; {late[0]} comes after it",
                hint=f"put bake_preprocess behind {late[-1]}",
            )
        yield f"samples are taken as they are stored: {spelled} is done inside"

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return the model behind a layer that does the preprocessing."""
        from edgeshrink_quantize.baking import baked

        return baked(model, context)


class Strip(Method):
    """Drop what the runtime does not read from the file: lossless."""

    name, title, phase = "strip", "Stripping", Phase.STRIP
    accepts, produces, data = (Kind.TFLITE,), Kind.TFLITE, Need.NONE
    Options = StripOptions
    keeps = frozenset({"sparsity", "clusters", "outputs", "quantization"})
    default_on = True

    def check(self, plan: Plan) -> Iterable[str]:
        """Refuse to leave no names where they are needed; say where there are none to keep."""
        if self.options.names == "none":
            for why in plan.profile.refused([Use("all operators", named=False)]):
                raise UsageError(
                    f"{why}; --strip-names none makes them",
                    hint="--strip-names short gives each the shortest name",
                )
        if self.options.names == "keep" and plan.has("mixed", among=plan.before):
            yield "mixed strips the files that it tries: inner tensors have short names already"

    def apply(self, model: bytes, context: Context) -> bytes:
        """Return the stripped file, or the file as it was where nothing is gained."""
        from edgeshrink_quantize.stripping import strip

        return strip(model, self.options.names, context)


def _loops(names: Sequence[str]) -> Iterable[str]:
    """Say what becomes of layers that no integer operator computes."""
    if names:
        yield (
            f"no operator of the runtime computes {', '.join(names)} in integers: it is unrolled "
            "where that is not larger than float, and else dynamic range"
        )


def calibrates(plan: Plan) -> bool:
    """Return whether there are samples to calibrate activations with."""
    return plan.data is not None and plan.data.calibration is not None


@hookimpl
def edgeshrink_methods() -> list[type[Method]]:
    """Return the methods of this plugin."""
    return [
        Float,
        Fp16,
        Dynamic,
        Int8,
        Int16x8,
        Int4,
        Int2,
        Mixed,
        Ternary,
        Binary,
        TrainLevels,
        Inq,
        Qat,
        Equalize,
        AdaptiveRounding,
        BiasCorrection,
        BatchNormReestimation,
        BakePreprocess,
        Strip,
    ]
