"""Pruning: single weights that matter least are set to zero; edgeshrink_shrink removes channels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgeshrink.api import (
    Context,
    DeviceProfile,
    LayerChange,
    Method,
    Phase,
    Plan,
    Strengths,
    Training,
    UsageError,
    hookimpl,
)
from edgeshrink_prune.options import Options
from edgeshrink_prune.pattern import SKIPPED, check_sparsity, parse

if TYPE_CHECKING:
    import keras

SKIPPED_ABOVE = 2 / 3  # the share of zeros over which XNNPACK's sparse kernels are used


class Prune(Method):
    """Set the smallest weights to zero, and train the others to make good."""

    name, title, phase = "prune", "Pruning", Phase.PRUNE
    searched, technique = True, "zeros"
    Options = Options
    training = Training()
    strengths = Strengths(
        "weights of the layer that are zero",
        (0.5, 0.75, 0.9),
        "--prune 0.8 --prune-layers NAMES prunes the layers of your choice; {first} bears least",
    )

    @classmethod
    def by_layer(cls, model: keras.Model) -> Sequence[LayerChange]:
        """Return the layers whose smallest weights can be zero."""
        from edgeshrink_prune.magnitude import layer_changes

        return layer_changes(model)

    def check(self, plan: Plan) -> Iterable[str]:
        """Say what zeros cannot do on this device; refuse what could not work at all."""
        if plan.data is None or plan.data.train is None:
            if self.options.schedule == "regrow":
                raise UsageError(
                    "weights grow back only in training, and there are no training samples",
                    hint="pass --data, or drop --prune-schedule regrow",
                )
            yield "no training data: pruned in one shot, nothing makes good for what is lost"
        pattern = self.pattern(plan.profile)
        precision = next((step for step in plan.after if step.slot == "precision"), None)
        stored = precision is not None and getattr(precision.options, "sparse", False)
        if self.options.for_ == "xnnpack":
            self._check_xnnpack(precision, stored)
        if self.options.for_ == "npu":
            yield self._chosen(plan, pattern)
        if plan.zeros == "float_zeros" and "ms" in plan.profile.gains("float_zeros"):
            if not (stored and self.options.for_ == "xnnpack"):
                yield (
                    f"zeros make float kernels faster on {plan.profile.name} only with --prune-for "
                    "xnnpack and --float-sparse or --fp16-sparse"
                )
        else:
            also = [*plan.profile.gains(plan.zeros), *(["disk"] if stored else [])]
            patterned = pattern == SKIPPED and "ms" in plan.profile.gains("patterns")
            if said := plan.lacking("patterns" if patterned else plan.zeros, *also):
                yield said

    def _check_xnnpack(self, precision: Method | None, stored: bool) -> None:
        """Refuse what XNNPACK would run densely.

        Raises:
            UsageError: too few zeros, integers, or zeros that the file does not leave out.
        """
        if self.options.sparsity <= SKIPPED_ABOVE:
            raise UsageError(
                "XNNPACK skips zeros only where they are more than two thirds of the weights; "
                f"received {self.options.sparsity:g}",
                hint="--prune 0.7 or more",
            )
        if precision is not None and not stored:
            raise UsageError(
                "XNNPACK skips zeros only in float files that leave them out, and "
                f"{precision.name} keeps them",
                hint="--float-sparse or --fp16-sparse, or drop --prune-for xnnpack",
            )

    @property
    def timed(self) -> bool:
        """Whether the device decides: the pattern, where it is chosen for its NPU."""
        return bool(self.options.for_ == "npu")

    def pattern(self, profile: DeviceProfile) -> str:
        """Return which weights go together, for a device."""
        skips = "ms" in profile.gains("patterns")
        return SKIPPED if self.options.for_ == "npu" and skips else str(self.options.pattern)

    def _chosen(self, plan: Plan, pattern: str) -> str:
        """Return what `--prune-for npu` chose, in words.

        Raises:
            UsageError: the device is no NPU, or skips another share of zeros.
        """
        device = plan.profile
        if device.accelerator != "npu":
            raise UsageError(
                f"--prune-for npu needs the profile of an NPU; {device.name} is a "
                f"{device.accelerator}",
                hint="--device ethos-u55-128, or another that `edgeshrink devices` lists as npu",
            )
        try:
            check_sparsity(parse(pattern), self.options.sparsity)
        except ValueError:
            raise UsageError(
                f"{device.name} skips zeros in the pattern {pattern} alone, a sparsity of "
                f"{parse(pattern).sparsity:g}; received {self.options.sparsity:g}",
                hint=f"--prune {parse(pattern).sparsity:g}, or drop --prune-for npu to save flash",
            ) from None
        return f"--prune-for npu: the pattern {pattern} pays on {device.name}"

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return the model with the wanted share of zeros in the kernels in scope."""
        from edgeshrink_prune.magnitude import prune

        options = self.options
        if options.for_ == "npu":
            options = replace(options, for_="any", pattern=self.pattern(context.profile))
        return prune(model, options, context)


@hookimpl
def edgeshrink_methods() -> list[type[Method]]:
    """Return the methods of this plugin."""
    return [Prune]
