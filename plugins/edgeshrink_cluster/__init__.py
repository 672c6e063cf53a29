"""Clustering: few distinct values a tensor, learned."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from edgeshrink.api import Context, Method, Phase, Plan, Training, UsageError, hookimpl
from edgeshrink_cluster.options import LEAST_MEMBERS, LEAST_SCALED, MOST_SCALED, Options

if TYPE_CHECKING:
    import keras


class Cluster(Method):
    """Let weights share few values, found by k-means and then trained."""

    name, title, phase = "cluster", "Clustering", Phase.CLUSTER
    searched, technique = True, "shared_values"
    Options = Options
    keeps = frozenset({"sparsity"})
    training = Training()

    def check(self, plan: Plan) -> Iterable[str]:
        """Refuse more values than there are weights for, and say what sharing does not change.

        Raises:
            UsageError: the model is too small for so many values.
        """
        if self.options.scope == "scaled":
            if not LEAST_SCALED <= self.options.clusters <= MOST_SCALED:
                raise UsageError(
                    f"--cluster-scope scaled takes {LEAST_SCALED} to {MOST_SCALED} values, "
                    f"received {self.options.clusters}",
                    hint="zero, the largest of either sign and those between share the channels' "
                    "scales",
                )
            if plan.zeros != "zeros":
                yield (
                    "in a file of floats each channel has values of its own with --cluster-scope "
                    "scaled: few are there once 8-bit codes follow"
                )
        stored = plan.base.weights_bytes // 4
        # fewer bytes than floats would take say nothing where Keras quantized the model
        if 0 < stored < LEAST_MEMBERS * self.options.clusters and not plan.base.quantized:
            raise UsageError(
                f"the model has {stored} weights, too few to share {self.options.clusters} values: "
                f"each needs at least {LEAST_MEMBERS}",
                hint="ask for fewer clusters",
            )
        if plan.data is None or plan.data.train is None:
            yield "no training data: clustered in one shot, the shared values are not trained"
        if said := plan.lacking("shared_values"):
            yield said

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return the model, batch norms folded, with few distinct values in the kernels."""
        from edgeshrink_cluster.sharing import cluster

        return cluster(model, self.options, context)


@hookimpl
def edgeshrink_methods() -> list[type[Method]]:
    """Return the methods of this plugin."""
    return [Cluster]
