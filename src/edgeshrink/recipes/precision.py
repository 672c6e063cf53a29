"""A precision: the conversion to .tflite that decides how weights and activations are stored."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from edgeshrink.errors import UsageError
from edgeshrink.models import Kind
from edgeshrink.recipes.method import Method, Phase, Plan
from edgeshrink.tflite import Use

# Steps after which there may be fewer weights than the base has.
FEWER_WEIGHTS = (Phase.DISTILL, Phase.SUBSTITUTE, Phase.SHRINK)
# The operators that layers with weights become.
OPERATORS = {
    "Dense": ("FULLY_CONNECTED",),
    "Conv1D": ("CONV_2D",),
    "Conv2D": ("CONV_2D",),
    "DepthwiseConv1D": ("DEPTHWISE_CONV_2D",),
    "DepthwiseConv2D": ("DEPTHWISE_CONV_2D",),
    "SeparableConv1D": ("DEPTHWISE_CONV_2D", "CONV_2D"),
    "SeparableConv2D": ("DEPTHWISE_CONV_2D", "CONV_2D"),
    "Conv2DTranspose": ("TRANSPOSE_CONV",),
}
# By precision: the types of what they compute with, and of their weights. In dynamic range it
# depends on their size.
TYPES = {
    "float32": ("float32", "float32"),
    "float16": ("float32", ""),  # behind a DEQUANTIZE
    "int8": ("int8", "int8"),
    "int16x8": ("int16", "int8"),
}
# By precision, the method that makes such files, in the order in which one is chosen.
MADE_BY = {"float32": "float", "int8": "int8", "float16": "fp16", "int16x8": "int16x8"}


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
    reads = True
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
        used = list(self.uses(plan, kernels))
        yield from plan.profile.untried(used)
        for why in plan.profile.refused(used):
            others = [f"--{MADE_BY[one]}" for one in read_by_all(plan) if one != kernels]
            raise UsageError(
                f"{why}; {self.name} makes them",
                hint=f"{' or '.join(others) or 'another precision'} in place of {self.name}, or "
                "another --device",
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

    def uses(self, plan: Plan, kernels: str) -> Iterable[Use]:
        """Yield how the file will use the operators that have weights, as far as the plan tells.

        Args:
            plan: the model, and the steps around this one.
            kernels: a precision, as the device profile's `precisions` spell it.
        """
        yield from uses_of(plan, kernels)

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


def uses_of(plan: Plan, kernels: str) -> list[Use]:
    """Return how a file of a precision uses the operators that have weights.

    Args:
        plan: the model, and the steps around this one.
        kernels: a precision, as the device profile's `precisions` spell it.
    """
    found = []
    operators = weighted(plan) if kernels in TYPES else []
    if operators and kernels == "float16":
        found.append(Use("DEQUANTIZE", weights="float16", result="float32"))
    for operator in operators:
        data, weights = TYPES[kernels]
        found.append(Use(operator, data=data, weights=weights, result=data))
    return found


def read_by_all(plan: Plan) -> list[str]:
    """Return the precisions of which all that reads files on the device is known to read them.

    Args:
        plan: the model, the steps around the precision, and the device. Without data there are no
            integers to compute with.
    """
    device, found = plan.profile, []
    for kernels in MADE_BY:
        used = uses_of(plan, kernels)
        known = kernels in device.precisions and (plan.data or not kernels.startswith("int"))
        if known and not device.refused(used) and not device.untried(used):
            found.append(kernels)
    return found


def weighted(plan: Plan, besides: Collection[str] = ()) -> list[str]:
    """Return the operators that the layers of the base with weights become.

    Args:
        plan: where another model takes the base's place, its layers are not known.
        besides: names of layers that are left out.
    """
    if any(step.phase is Phase.DISTILL for step in plan.before):
        return []
    layers = (layer for layer in plan.base.layers if layer.name not in besides)
    return sorted({name for layer in layers for name in OPERATORS.get(layer.class_name, ())})
