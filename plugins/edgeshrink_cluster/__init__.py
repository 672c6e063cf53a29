"""Clustering: few distinct values a tensor, learned."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from edgeshrink.api import Context, Flag, Method, Phase, Plan, Training, UsageError, hookimpl

if TYPE_CHECKING:
    import keras

# Weights other than zero for each value: with fewer, a codebook saves nothing.
LEAST_MEMBERS = 3


@dataclass(frozen=True)
class Options:
    """How many values, where they begin, and who shares them."""

    clusters: Annotated[
        int, Flag("Distinct values of a kernel, zero included where it has zeros.", min=2, max=256)
    ]
    init: Annotated[
        Literal["linear", "density", "kmeans++", "random"],
        Flag("Where k-means begins: evenly over the range, over the weights, or at weights."),
    ] = "linear"
    scope: Annotated[
        Literal["layer", "channel"],
        Flag("One codebook for a kernel, or one for each of its output channels."),
    ] = "layer"
    layers: Annotated[tuple[str, ...], Flag("`all`, `dense`, `conv`, or names of layers.")] = (
        "all",
    )


class Cluster(Method):
    """Let weights share few values, found by k-means and then trained."""

    name, title, phase = "cluster", "Clustering", Phase.CLUSTER
    Options = Options
    keeps = frozenset({"sparsity"})
    training = Training()

    def check(self, plan: Plan) -> Iterable[str]:
        """Refuse more values than there are weights for, and say what sharing does not change.

        Raises:
            UsageError: the model is too small for so many values.
        """
        stored = plan.base.weights_bytes // 4
        if 0 < stored < LEAST_MEMBERS * self.options.clusters:
            raise UsageError(
                f"the model has {stored} weights, too few to share {self.options.clusters} values: "
                f"each needs at least {LEAST_MEMBERS}",
                hint="ask for fewer clusters",
            )
        if plan.data is None or plan.data.train is None:
            yield "no training data: clustered in one shot, the shared values are not trained"
        yield (
            "shared values shrink the compressed file; neither the latency nor the file as it lies "
            "on disk"
        )

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return the model, batch norms folded, with few distinct values in the kernels."""
        from edgeshrink_cluster.sharing import cluster

        return cluster(model, self.options, context)


@hookimpl
def edgeshrink_methods() -> list[type[Method]]:
    """Return the methods of this plugin."""
    return [Cluster]
