"""Kernels put on a few levels, while the model trains where there is data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np

from edgeshrink.api import Context
from edgeshrink.nn import (
    Forward,
    Masks,
    Reparameterized,
    finetune,
    folded,
    functional,
    kernel_weights,
)
from edgeshrink_quantize.fewbits.channels import ChannelKernel, channel_kernels
from edgeshrink_quantize.fewbits.forwards import (
    BinaryForward,
    PerChannel,
    PowerForward,
    TernaryForward,
)
from edgeshrink_quantize.fewbits.sensitive_layers import named

if TYPE_CHECKING:
    from edgeshrink_quantize.options import InqOptions, TrainLevelsOptions

SMALL = 0.1  # an end that holds more of the weights is no small thing to keep
FORWARDS: dict[str, type[PerChannel]] = {"ternary": TernaryForward, "binary": BinaryForward}
# By this share of training so much of the weights is fixed (INQ, section 3.1: 50, 75, 87.5 and
# 100 %); the last tenth is left to biases and norms.
PORTIONS = ((0.0, 0.5), (0.3, 0.75), (0.6, 0.875), (0.9, 1.0))


def train_levels(model: keras.Model, options: TrainLevelsOptions, context: Context) -> keras.Model:
    """Return the model with kernels of two or three levels in each channel.

    Batch norms stay: they scale channels, which keeps each channel on its levels.
    """
    model = functional(model)
    chosen = _chosen(model, options.keep, "train_levels: keep")
    forwards: dict[str, list[Forward]] = {}
    for kernel in chosen:
        forward = FORWARDS[options.levels](kernel.axes, learned=options.scales == "learned")
        forward.start(np.asarray(kernel.variable))
        forwards[kernel.variable.path] = [forward]
    _trained(model, forwards, None, context)
    context.facts["levels"] = options.levels
    context.facts["trained_quantized"] = f"{options.levels} weights"
    context.facts["kernels_on_levels"] = len(chosen)
    return model


def train_powers(model: keras.Model, options: InqOptions, context: Context) -> keras.Model:
    """Return the model, batch norms folded, with kernels of powers of two."""
    model = folded(model)
    chosen = _chosen(model, options.keep, "--inq-keep")
    portions = _Portions(chosen, options.bits)
    forwards = {
        kernel.variable.path: [forward]
        for kernel, forward in zip(chosen, portions.forwards, strict=True)
    }
    _trained(model, forwards, portions, context)
    context.facts["inq_bits"] = options.bits
    context.facts["trained_quantized"] = "powers of two"
    context.facts["kernels_on_levels"] = len(chosen)
    return model


class _Portions:
    """A schedule that fixes more and more weights at powers of two, the largest first."""

    def __init__(self, kernels: Sequence[ChannelKernel], bits: int) -> None:
        self.variables = [kernel.variable for kernel in kernels]
        self.forwards = [PowerForward(np.asarray(v), bits) for v in self.variables]
        self.reached, self.settled = 0.0, False

    def update(self, share: float) -> None:
        """Fix what is due when `share` (0..1) of training is done; at 0 all begins again."""
        if not share:
            self.reached, self.settled = 0.0, False
            for forward in self.forwards:
                forward.release()
        due = max(portion for start, portion in PORTIONS if share >= start)
        if due > self.reached:
            for forward, variable in zip(self.forwards, self.variables, strict=True):
                forward.fix(variable, due)
            self.reached, self.settled = due, due == 1.0


def _trained(
    model: keras.Model,
    forwards: dict[str, list[Forward]],
    schedule: _Portions | None,
    context: Context,
) -> None:
    """Train through the forwards, where there is something to learn from, and settle."""
    seen = Reparameterized(model, forwards)
    if context.trains:
        zeros = Masks(v for v in kernel_weights(model) if not np.asarray(v).all())
        finetune(seen, context, masks=zeros, schedule=schedule)
    elif schedule is not None:
        schedule.update(1.0)
    seen.settle()


def _chosen(model: keras.Model, keep: Sequence[str], option: str) -> list[ChannelKernel]:
    """Return the kernels of the layers that are not kept.

    Raises:
        UsageError: a layer to keep does not exist.
    """
    found = channel_kernels(model)
    if tuple(keep) == ("none",):
        return found
    if tuple(keep) == ("ends",):
        sizes = [int(np.prod(kernel.variable.shape)) for kernel in found]
        kept = {
            found[place].layer.name
            for place in (0, -1)
            if found and sizes[place] <= SMALL * sum(sizes)
        }
    else:
        kept = named(found, keep, option)
    return [kernel for kernel in found if kernel.layer.name not in kept]
