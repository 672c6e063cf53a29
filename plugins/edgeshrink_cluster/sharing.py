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
)
from edgeshrink_cluster.kmeans import kmeans
from edgeshrink_cluster.options import LEAST_MEMBERS

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
        rows = channel_rows(np.asarray(variable), axes)
        if np.count_nonzero(rows) < LEAST_MEMBERS * options.clusters * len(rows):
            left.append(variable.path)
            continue
        rows = np.stack([_clustered(row, options, rng) for row in rows])
        variable.assign(from_rows(rows, tuple(variable.shape), axes))
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
    most = max(len(np.unique(row)) for v, axes in done for row in channel_rows(np.asarray(v), axes))
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
        f"kernels with at most {most} distinct values"
        f"{' in a channel' if options.scope == 'channel' else ''}: {len(done)}"
    )
    if left:
        context.notes.append(
            f"left alone, with fewer than {LEAST_MEMBERS} weights other than zero for each of "
            f"{options.clusters} values: {', '.join(left)}"
        )
    return made


def _clustered(row: np.ndarray, options: Options, rng: np.random.Generator) -> np.ndarray:
    """Return weights that share values; zeros stay, and are one of the values."""
    nonzero = row != 0
    count = options.clusters - (not nonzero.all())
    shared = np.zeros_like(row)
    if nonzero.any():
        shared[nonzero] = kmeans(row[nonzero], count, options.init, rng)
    return shared
