"""Mixed precision: as many bits for each layer as it needs, within a budget."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from edgeshrink.api import Context, LayerChange, Method, Plan, Strengths, UsageError, weighted
from edgeshrink.tflite import Use
from edgeshrink_quantize.fewbits.lowbit import LowBit
from edgeshrink_quantize.fewbits.operators import uses
from edgeshrink_quantize.options import MixedOptions

if TYPE_CHECKING:
    import keras


class Mixed(LowBit):
    """Store each layer in 8, 4 or 2 bits, by what it bears, within a budget of bytes or points."""

    name, title, bits = "mixed", "Precision: mixed", 2
    Options = MixedOptions
    implied = True
    integer = True
    strengths = Strengths(
        "bits of a weight",
        (8, 4, 2),
        "--mixed-bytes N spends a budget of bytes by this table, --int4 --int4-keep {first} keeps "
        "layers of your choice at 8 bits",
    )

    @classmethod
    def by_layer(cls, model: keras.Model) -> Sequence[LayerChange]:
        """Return the layers whose weights can be rounded to fewer bits, batch norms folded."""
        from edgeshrink_quantize.fewbits.sensitivity import layer_changes

        return layer_changes(model)

    def before(self) -> tuple[Method, ...]:
        """Return no steps: widths are known only when layers are measured."""
        return ()

    def check(self, plan: Plan) -> Iterable[str]:
        """Refuse a budget that the weights cannot meet, and what `--int4` would refuse."""
        least, budget = self.least_bytes(plan), self.options.bytes
        if budget is not None and budget < least:
            raise UsageError(
                f"--mixed-bytes {budget}: the weights alone take about {least:,} bytes at 2 bits",
                hint=f"give more than that; at 8 bits they take about {4 * least:,}",
            )
        yield from super().check(plan)
        yield (
            "bits are chosen by the divergence that each layer alone causes, and the file that "
            "comes of it is run"
        )

    def uses(self, plan: Plan, kernels: str) -> Iterable[Use]:
        """Yield how the file will use operators where it takes 4 bits; it may take 2 and 8."""
        return uses(weighted(plan), 4, integer=kernels == "int8")

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return the .tflite."""
        from edgeshrink_quantize.mixed.budgeting import mixed

        data = context.data is not None and context.data.calibration is not None
        return mixed(model, self.options, self.activations(data=data), context)
