"""Weight sharing: kernels with few distinct values, which are trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np

from edgeshrink.api import Asked, Context, ModelError
from edgeshrink.nn import (
    channel_rows,
    finetune,
    folded,
    from_rows,
    kernels_of,
    layers_in,
    quantized_weights,
    scaled_levels,
)
from edgeshrink_cluster.kmeans import kmeans
from edgeshrink_cluster.options import LEAST_MEMBERS

NOTED = {"layer": "", "channel": " in a channel", "scaled": " but for a scale of each channel"}

if TYPE_CHECKING:
    from edgeshrink_cluster.options import Options


def cluster(model: keras.Model, options: Options, context: Context) -> keras.Model:
    """Let weights share values (Han et al., ICLR 2016, "Deep compression", section 3).

    Choudhary et al., 2020, section 2.2, tells what became of the idea. Batch norms are folded
    first: folded later, each channel would scale the shared values to others of its own. Zeros
    stay zeros, and are one of the values that a kernel may have.

    Raises:
        UsageError: a name that no layer has.
        ModelError: no kernel has enough weights.
    """
    made = folded(model)
    channels = {id(variable): axes for variable, axes in quantized_weights(made).values()}
    rng = np.random.default_rng(context.seed)
    done, left = [], []
    layers = layers_in(made, options.layers, "cluster")
    for variable in {id(v): v for layer in layers for v in kernels_of(layer)}.values():
        axes = channels.get(id(variable), (-1,)) if options.scope == "channel" else ()
        values = np.asarray(variable)
        if options.scope == "scaled":
            values, scales = scaled_levels(values, channels.get(id(variable), (-1,)))
        rows = channel_rows(values, axes)
        if np.count_nonzero(rows) < LEAST_MEMBERS * options.clusters * len(rows):
            left.append(variable.path)
            continue
        rows = np.stack([_clustered(row, options, rng) for row in rows])
        shared = from_rows(rows, tuple(variable.shape), axes)
        variable.assign(shared * scales if options.scope == "scaled" else shared)
        done.append((variable, axes))
    if not done:
        raise ModelError(
            f"no kernel has {LEAST_MEMBERS * options.clusters} weights other than zero "
            f"{'in a channel ' if options.scope == 'channel' else ''}to share "
            f"{options.clusters} values",
            hint="ask for fewer clusters, or other layers with --cluster-layers",
        )
    if context.trains:
        finetune(made, context)
    most = max(_most(np.asarray(v), axes, channels.get(id(v), (-1,)), options) for v, axes in done)
    context.facts["clusters"] = most
    Asked(
        "cluster",
        options.clusters,
        "distinct values of a kernel",
        most,
        verb="there",
        bound=True,  # training may empty some
    ).tell(context)
    context.notes.append(
        f"kernels with at most {most} distinct values{NOTED[options.scope]}: {len(done)}"
    )
    if left:
        context.notes.append(
            f"left alone, with fewer than {LEAST_MEMBERS} weights other than zero for each of "
            f"{options.clusters} values: {', '.join(left)}"
        )
    return made


def _most(
    values: np.ndarray, axes: tuple[int, ...], channels: tuple[int, ...], options: Options
) -> int:
    """Return how many distinct values there are where they are shared."""
    if options.scope == "scaled":
        values = scaled_levels(values, channels)[0]
    return max(len(np.unique(row)) for row in channel_rows(values, axes))


def _clustered(row: np.ndarray, options: Options, rng: np.random.Generator) -> np.ndarray:
    """Return weights that share values; zeros stay, and are one of the values.

    So do the ends of what channels scale, one times the scale and minus one times.
    """
    held = (row == 0) | ((options.scope == "scaled") & (np.abs(row) == 1))
    nonzero = ~held
    shared = np.where(held, row, 0).astype(row.dtype)
    count = options.clusters - len(np.unique(row[held]))
    if nonzero.any():
        shared[nonzero] = kmeans(row[nonzero], count, options.init, rng)
    return shared
