"""TFMOT's pruning and clustering, carried back into the Keras 3 model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from edgeshrink.api import Asked, Context, ModelError
from edgeshrink.nn import folded, kernel_weights
from edgeshrink_tfmot.toolkit import load, refusals
from edgeshrink_tfmot.training import steps_in_all, train
from edgeshrink_tfmot.translation import translated

if TYPE_CHECKING:
    from edgeshrink_tfmot.options import ClusterOptions, PruneOptions

RAMP = 0.6  # of training, over which the polynomial schedule reaches the final sparsity
UPDATES = 50  # of TFMOT's masks over that part
CENTROIDS = {
    "linear": "LINEAR",
    "density": "DENSITY_BASED",
    "kmeans++": "KMEANS_PLUS_PLUS",
    "random": "RANDOM",
}


def prune(model: keras.Model, options: PruneOptions, context: Context) -> keras.Model:
    """Prune each kernel by magnitude while it trains (Zhu and Gupta, 2017, equation 1).

    Raises:
        ModelError: TFMOT or the translation refuses a layer.
    """
    tfmot, _ = load()
    sparsity = tfmot.sparsity.keras
    twin = translated(model, context.folder)
    ramp = max(1, int(RAMP * steps_in_all(context)))
    every = max(1, ramp // UPDATES)
    with refusals(context.notes):
        schedule = (
            sparsity.ConstantSparsity(options.sparsity, 0, frequency=every)
            if options.schedule == "constant"
            # the last update falls on the last step of the ramp, or the share is not reached
            else sparsity.PolynomialDecay(
                0.0, options.sparsity, 0, ramp // every * every, frequency=every
            )
        )
        wrapped = sparsity.prune_low_magnitude(twin.model, pruning_schedule=schedule)
    variables = [v for layer in wrapped.layers for v, *_ in getattr(layer, "pruning_vars", ())]
    if not variables:
        raise ModelError("TFMOT prunes none of this model's layers")
    train(twin, wrapped, context, [sparsity.UpdatePruningStep()])
    pruned = [np.asarray(variable) for variable in variables]
    with refusals(context.notes):
        stripped = sparsity.strip_pruning(wrapped)
    twin.carry_back(stripped)
    zeros, size = sum(int((v == 0).sum()) for v in pruned), sum(v.size for v in pruned)
    Asked("tfmot_prune", options.sparsity, "the weights in scope", zeros / size, verb="zero").tell(
        context
    )
    context.facts["sparsity_in_scope"] = zeros / size
    context.facts["sparsity"] = zeros / model.count_params()
    context.facts["kernels_in_scope"] = len(pruned)
    context.notes.append(
        f"{zeros / size:.1%} zeros in the kernels that TFMOT prunes ({len(pruned)}), "
        f"{zeros / model.count_params():.1%} among all parameters"
    )
    return model


def cluster(model: keras.Model, options: ClusterOptions, context: Context) -> keras.Model:
    """Share few values in each kernel, learnt as centroids; a kernel's zeros stay zero.

    Kernels with no more weights than there are to be values stay as they are. Batch norms are
    folded first: folded in conversion, each channel would scale the shared values to others of its
    own.

    Raises:
        ModelError: TFMOT or the translation refuses a layer, or zeros were lost.
    """
    tfmot, tf_keras = load()
    from tensorflow_model_optimization.python.core.clustering.keras.experimental import (
        cluster as experimental,
    )

    model = folded(model)
    twin = translated(model, context.folder)
    zeros = {v.path: np.asarray(v) == 0 for v in kernel_weights(model)}
    start = tfmot.clustering.keras.CentroidInitialization[CENTROIDS[options.init]]
    left = []

    def clustered(layer: Any) -> Any:
        values = [np.asarray(v) for v in layer.trainable_weights if len(v.shape) > 1]
        if not values:
            return layer
        if min(v.size for v in values) <= options.clusters:
            left.append(layer.name)
            return layer
        sparse = any((v == 0).any() for v in values)
        return experimental.cluster_weights(
            layer, options.clusters, start, preserve_sparsity=sparse
        )

    with refusals(context.notes):
        wrapped = tf_keras.models.clone_model(twin.model, clone_function=clustered)
    train(twin, wrapped, context)
    with refusals(context.notes):
        stripped = tfmot.clustering.keras.strip_clustering(wrapped)
    twin.carry_back(stripped)
    for variable in kernel_weights(model):
        lost = int(np.count_nonzero(np.asarray(variable)[zeros[variable.path]]))
        if lost:
            raise ModelError(f"TFMOT's clustering wrote over {lost} zeros of {variable.path}")
    counts = {v.path: len(np.unique(np.asarray(v))) for v in kernel_weights(model)}
    zero = sum(int((np.asarray(v) == 0).sum()) for v in kernel_weights(model))
    context.facts["clusters"] = options.clusters
    context.facts["sparsity"] = zero / model.count_params()
    told = ", ".join(f"{path} {count}" for path, count in counts.items())
    context.notes.append(f"distinct values: {told}")
    if left:
        context.notes.append(f"too small to cluster: {', '.join(left)}")
    return model
