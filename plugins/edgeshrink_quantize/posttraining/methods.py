"""Accuracy after training, without training: steps in front of a precision, declared light."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from edgeshrink.api import Context, Method, Need, Phase, Plan, UsageError
from edgeshrink_quantize.options import AdaptiveOptions, GridOptions

if TYPE_CHECKING:
    import keras


class Equalize(Method):
    """Equalize the ranges of channels across layers; the model answers as before."""

    name, title, phase = "equalize", "Cross-layer equalization", Phase.TRAIN_QUANTIZED
    data = Need.NONE
    keeps = frozenset({"sparsity", "clusters"})
    flag = False

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return the folded and equalized model."""
        from edgeshrink_quantize.posttraining.equalization import equalized

        return equalized(model, context)


class _OnSamples(Method):
    """A step that looks at calibration samples."""

    phase = Phase.TRAIN_QUANTIZED
    data = Need.REQUIRED
    keeps = frozenset({"sparsity", "clusters"})
    flag = False

    def check(self, plan: Plan) -> Iterable[str]:
        """Refuse a lack of samples.

        Raises:
            UsageError: there are none to calibrate on.
        """
        if plan.data is None or plan.data.calibration is None:
            raise UsageError(
                f"{self.name} needs calibration samples", hint="pass --data or --data-free"
            )
        return ()


class AdaptiveRounding(_OnSamples):
    """Round each weight up or down, whichever its layer's outputs bear best (AdaRound)."""

    name, title = "round_adaptively", "Adaptive rounding"
    Options = AdaptiveOptions

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return the folded model, its kernels on their grids."""
        from edgeshrink_quantize.posttraining.adaptive import rounded

        return rounded(model, self.options, context)


class BiasCorrection(_OnSamples):
    """Take the mean error of rounding back from each layer's bias."""

    name, title = "correct_bias", "Bias correction"
    Options = GridOptions

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return the folded model with corrected biases."""
        from edgeshrink_quantize.posttraining.correction import corrected

        return corrected(model, self.options, context)


class BatchNormReestimation(Method):
    """Estimate the statistics of batch norms anew on training samples."""

    name, title, phase = "reestimate_batchnorm", "Batch-norm re-estimation", Phase.TRAIN_QUANTIZED
    data = Need.REQUIRED
    keeps = frozenset({"sparsity", "clusters"})
    flag = False

    def check(self, plan: Plan) -> Iterable[str]:
        """Refuse a lack of samples.

        Raises:
            UsageError: there are no training samples.
        """
        if plan.data is None or plan.data.train is None:
            raise UsageError(f"{self.name} needs training samples", hint="pass --data")
        return ()

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return the model with new statistics, or the old where those score better."""
        from edgeshrink.nn import reestimate_batchnorm

        kept = reestimate_batchnorm(model, context)
        context.notes.append(
            "batch-norm statistics were estimated anew"
            if kept
            else "batch-norm statistics stayed: there are none, or new ones score worse"
        )
        return model


def improvements(
    granularity: str, *, equalize: bool, rounding: str, correct_bias: bool
) -> tuple[Method, ...]:
    """Return the steps that options of an 8-bit precision ask for, in their order."""
    grain = {"granularity": granularity}
    found: list[Method] = [Equalize.of({})] if equalize else []
    found += [AdaptiveRounding.of(grain)] if rounding == "adaptive" else []
    found += [BiasCorrection.of(grain)] if correct_bias else []
    return tuple(found)


def refuse(options: Any, *, calibrates: bool) -> None:
    """Refuse options of an 8-bit precision that do not go together, or lack samples.

    Raises:
        UsageError: training learns what they estimate, or there is nothing to estimate it from.
    """
    given = {
        "--int8-ranges": options.ranges != "minmax",
        "--int8-rounding": options.rounding != "nearest",
        "--int8-correct-bias": options.correct_bias,
    }
    wanted = [flag for flag, asked in given.items() if asked]
    if wanted and not calibrates:
        raise UsageError(
            f"{wanted[0]} needs samples to calibrate on", hint="pass --data or --data-free"
        )
    if wanted and options.qat:
        raise UsageError(
            f"--int8-qat learns what {wanted[0]} estimates; received both",
            hint="drop one of them",
        )
