"""Magnitude pruning: masks over all kernels in scope, moved while the model trains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import keras
import numpy as np

from edgeshrink.api import Asked, Changed, Context, LayerChange, ModelError
from edgeshrink.nn import (
    Conversion,
    Reparameterized,
    convert,
    finetune,
    kernel_weights as all_kernels,
    kernels_of,
    layers_in,
    shared_values,
)
from edgeshrink.tflite import sparse_conditions
from edgeshrink_prune.kernels import Kernel, by_layer, in_scope, pointwise
from edgeshrink_prune.masks import layer_mask
from edgeshrink_prune.pattern import FREE, Groups
from edgeshrink_prune.schedules import Gradual, Regrowth

if TYPE_CHECKING:
    from edgeshrink_prune.options import Options

FLOAT_BYTES = 4
DENSE_TOLD = 0.2  # share of parameters from which on it is told that they stay dense


def prune(model: keras.Model, options: Options, context: Context) -> keras.Model:
    """Prune by magnitude (Han et al., NIPS 2015, section 3) with masks that move.

    Raises:
        UsageError: a name that no layer has.
        ModelError: nothing is in scope, or the runtime would not skip the zeros.
    """
    if options.for_ == "xnnpack":
        refuse_dense(model, context)
        kernels = pointwise(model, options.layers)
    else:
        # one sparsity for every layer would leave too little of an end
        kept = 1.0 if options.scope == "layer" else 1 - options.sparsity
        kernels = in_scope(model, options.layers, kept)
    if context.trains and options.schedule == "regrow":
        schedule: Gradual = regrown(model, kernels, options, context)
    else:
        scoped = {id(kernel.variable) for kernel in kernels}
        others = [v for v in all_kernels(model) if id(v) not in scoped and not np.all(v)]
        schedule = Gradual(kernels, options, others)
        if context.trains:
            finetune(model, context, masks=schedule.masks, schedule=schedule)
        else:
            schedule.update(1.0)
    if schedule.written_over():
        raise ModelError("training wrote over zeros that the masks hold")
    tell(model, kernels, schedule, context)
    return model


def layer_changes(model: keras.Model) -> list[LayerChange]:
    """Return the layers that can be pruned, each alone and without training.

    Args:
        model: any Keras model; left as it was.
    """
    return [
        LayerChange(name, partial(_pruned, model, kernels))
        for name, kernels in by_layer(model).items()
    ]


def _pruned(model: keras.Model, kernels: Sequence[Kernel], sparsity: float) -> Changed:
    weights, zeros = [], 0
    for kernel in kernels:
        values = kernel.values()
        mask = layer_mask(np.abs(values), sparsity)
        weights.append((kernel.variable, kernel.laid(values * mask)))
        zeros += int(((mask == 0) & (values != 0)).sum())
    return Changed(model, weights, FLOAT_BYTES * zeros)


def regrown(
    model: keras.Model, kernels: list[Kernel], options: Options, context: Context
) -> Regrowth:
    """Prune a model with weights that grow back, and return the schedule when it is done.

    Raises:
        ModelError: weights share values, which those of a dense master would not.
    """
    if shared_values(model):
        raise ModelError(
            "weights that share values cannot grow back one by one",
            hint="prune before clustering, or use --prune-schedule polynomial",
        )
    schedule = Regrowth(kernels, options)
    seen = Reparameterized(model, schedule.forwards)
    finetune(seen, context, schedule=schedule)
    seen.settle()
    back = schedule.grown_back()
    context.facts["grown_back"] = back
    context.notes.append(f"{back:,} weights that were pruned on the way have grown back")
    return schedule


def refuse_dense(model: keras.Model, context: Context) -> None:
    """Refuse a model whose zeros XNNPACK would not skip, before it is trained.

    Raises:
        ModelError: naming the layer and the condition that fails.
    """
    context.progress(0.0, "reading XNNPACK's conditions from the graph")
    made = convert(model, {"float": Conversion()}, context.folder, log=context.log)["float"]
    if unmet := sparse_conditions(made).unmet:
        raise ModelError(
            f"XNNPACK would not skip the zeros: {unmet[0]}",
            hint="drop --prune-for xnnpack (zeros then only make the file deflate better), or "
            "change the model",
        )


def tell(model: keras.Model, kernels: list[Kernel], schedule: Gradual, context: Context) -> None:
    """Leave facts and notes on what was pruned."""
    sizes = sum(kernel.values().size for kernel in kernels)
    zeros = sum(int((kernel.values() == 0).sum()) for kernel in kernels)
    Asked(
        "prune",
        max(schedule.options.sparsity, schedule.before),
        "the weights in scope",
        zeros / sizes,
        verb="zero",
        why=f"the pattern {schedule.options.pattern} and what each kernel keeps at least allow no "
        "other",
    ).tell(context)
    context.facts["sparsity_in_scope"] = zeros / sizes
    context.facts["sparsity"] = zeros / model.count_params()
    context.facts["kernels_in_scope"] = len(kernels)
    context.notes.append(
        f"{zeros / sizes:.1%} zeros in the kernel{'s' * (len(kernels) > 1)} in scope "
        f"({len(kernels)}), {zeros / model.count_params():.1%} among all parameters"
    )
    if schedule.options.layers == ("all",):
        context.notes += list(left_dense(model, kernels))
    if schedule.pattern == FREE:
        return
    context.facts["pattern"] = schedule.options.pattern
    if isinstance(schedule.pattern, Groups):
        context.notes += list(remainders(kernels, schedule.pattern))


def left_dense(model: keras.Model, kernels: list[Kernel]) -> Iterator[str]:
    """Yield which layers stay dense, where a good part of all parameters is in them."""
    scoped = {id(kernel.variable) for kernel in kernels}
    sizes = {
        layer.name: sum(int(np.prod(v.shape)) for v in kernels_of(layer) if id(v) not in scoped)
        for layer in layers_in(model, ("all",), "prune")
    }
    share = sum(sizes.values()) / model.count_params()
    if share > DENSE_TOLD:
        largest = [name for name in sorted(sizes, key=lambda n: -sizes[n])[:3] if sizes[name]]
        yield (
            f"{share:.0%} of the parameters are in kernels that stay dense, most of them of "
            f"{', '.join(largest)}: --prune-layers can name them"
        )


def remainders(kernels: list[Kernel], pattern: Groups) -> Iterator[str]:
    """Yield what becomes of kernels whose inputs the groups do not divide."""
    sizes = {k.variable.path.rsplit("/", 1)[0]: k.values().shape[-2] for k in kernels}
    dense = [name for name, inputs in sizes.items() if inputs <= pattern.kept]
    odd = [n for n, inputs in sizes.items() if inputs % pattern.size and n not in dense]
    if dense:
        yield f"{', '.join(dense)} stay dense: no more than {pattern.kept} inputs"
    if odd:
        yield (
            f"{pattern.size} does not divide the inputs of {', '.join(odd)}: their last group "
            f"counts as filled up with zeros, and keeps up to {pattern.kept}"
        )
