"""A precision: the conversion to .tflite that decides how weights and activations are stored."""

from __future__ import annotations

from collections.abc import Iterable

from edgeshrink.errors import UsageError
from edgeshrink.models import Kind
from edgeshrink.recipes.method import Method, Phase, Plan

# Steps after which there may be fewer weights than the base has.
FEWER_WEIGHTS = (Phase.DISTILL, Phase.SUBSTITUTE, Phase.SHRINK)


class Precision(Method):
    """A conversion to .tflite; a recipe has one.

    Attributes:
        kernels: the precision that the device needs kernels for.
        bits: of a stored weight.
    """

    phase = Phase.PRECISION
    slot = "precision"
    produces = Kind.TFLITE
    keeps = frozenset({"sparsity", "clusters"})
    kernels: str
    bits = 32

    def check(self, plan: Plan) -> Iterable[str]:
        """Refuse what the device has no kernels for, and say what is slow there.

        Args:
            plan: the model, the other steps and the device.

        Raises:
            UsageError: the device lacks the kernels, or room for the weights.
        """
        yield from self.on_device(plan, self.kernels)

    def on_device(self, plan: Plan, kernels: str) -> Iterable[str]:
        """Refuse kernels or a size that the device does not have; say what is slow there.

        Args:
            plan: the model, the other steps and the device.
            kernels: a precision, as the device profile's `precisions` spell it.

        Raises:
            UsageError: the device lacks the kernels, or room for the weights.
        """
        self._check_room(plan)
        if kernels not in plan.profile.precisions:
            raise UsageError(
                f"{plan.profile.name} has no kernels for {kernels}; "
                f"it runs {', '.join(plan.profile.precisions)}",
                hint="choose another precision, or another --device",
            )
        if self.bits < plan.profile.least_bits:
            raise UsageError(
                f"{plan.profile.name} reads weights of {plan.profile.least_bits} bits and more; "
                f"{self.name} stores them in {self.bits}",
                hint="choose another precision, or another --device",
            )
        slow = plan.profile.slow_layers.get(kernels, ())
        if found := sorted({one.class_name for one in plan.base.layers} & set(slow)):
            yield (
                f"{kernels} kernels of {', '.join(found)} are slower than float on "
                f"{plan.profile.name}; --dynamic is nearly as small and faster there"
            )
        if kernels in plan.profile.slow_precisions:
            yield (
                f"{kernels} runs on reference kernels on {plan.profile.name}: expect it to be many "
                "times slower"
            )

    def least_bytes(self, plan: Plan) -> int:
        """Return the fewest bytes that the weights take, 0 where other steps may make them fewer.

        Args:
            plan: the model, and the steps around this one.
        """
        if any(step.phase in FEWER_WEIGHTS for step in plan.before):
            return 0
        if any(step.stores for step in plan.after):
            return 0
        # An optimizer keeps up to three values beside each weight, in the same file.
        stored = plan.base.weights_bytes // (4 if plan.base.optimizer else 1)
        return stored * self.bits // 32

    def _check_room(self, plan: Plan) -> None:
        """Refuse a device that cannot hold the weights, whatever else is done to them."""
        least, device = self.least_bytes(plan), plan.profile
        if device.compiled:
            return
        room = device.memory_bytes if device.storage_bytes is None else device.storage_bytes
        if room is not None and least > room:
            raise UsageError(
                f"the weights alone take at least {least:,} bytes at {self.bits} bits, and "
                f"{device.name} has room for {room:,}",
                hint="choose fewer bits, a smaller model, or another --device",
            )
