"""TensorFlow Model Optimization's methods, for legacy models and to compare with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from edgeshrink.api import (
    Context,
    Method,
    ModelError,
    Need,
    Package,
    Part,
    Phase,
    Plan,
    Precision,
    Training,
    UsageError,
    hookimpl,
)
from edgeshrink_tfmot.options import ClusterOptions, PruneOptions

if TYPE_CHECKING:
    import keras

PARTS = (
    Package("tensorflow-model-optimization", "methods of TensorFlow's own, to compare with"),
    Package("tf-keras", "what TensorFlow Model Optimization works on"),
)
PACKAGES = tuple(part.name for part in PARTS)


class TfmotPrune(Method):
    """Prune with TensorFlow Model Optimization: the same share of zeros in every layer."""

    name, title, phase = "tfmot_prune", "TFMOT: pruning", Phase.PRUNE
    Options = PruneOptions
    data, requires = Need.REQUIRED, PACKAGES
    training = Training()
    chooses = False

    def check(self, plan: Plan) -> Iterable[str]:
        """Refuse a lack of training samples; say what zeros do not gain on the device."""
        _check_trains(self, plan)
        if said := plan.lacking(plan.zeros):
            yield said

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return the model with the wanted share of zeros in each kernel that TFMOT prunes."""
        from edgeshrink_tfmot.weights import prune

        return prune(model, self.options, context)


class TfmotCluster(Method):
    """Cluster with TensorFlow Model Optimization: few distinct values in every kernel."""

    name, title, phase = "tfmot_cluster", "TFMOT: clustering", Phase.CLUSTER
    Options = ClusterOptions
    data, requires = Need.REQUIRED, PACKAGES
    keeps = frozenset({"sparsity"})
    training = Training()
    chooses = False

    def check(self, plan: Plan) -> Iterable[str]:
        """Refuse a lack of training samples; say what shared values do not gain on the device."""
        _check_trains(self, plan)
        if said := plan.lacking("shared_values"):
            yield said

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return the model, batch norms folded, with few distinct values; zeros stay zero."""
        from edgeshrink_tfmot.weights import cluster

        return cluster(model, self.options, context)


class TfmotQat(Precision):
    """Train for 8-bit integers with TensorFlow Model Optimization, and convert."""

    name, title = "tfmot_qat", "TFMOT: quantization-aware training"
    data, requires = Need.REQUIRED, PACKAGES
    keeps: ClassVar[frozenset[str]] = frozenset()
    training = Training()
    chooses = False
    kernels, bits = "int8", 8
    scheme: ClassVar[str] = "qat"
    expects: ClassVar[tuple[Phase, ...]] = ()

    def check(self, plan: Plan) -> Iterable[str]:
        """Refuse recurrent layers and a lack of training samples; say what is not there to keep."""
        _check_trains(self, plan)
        if plan.base.recurrent:
            raise ModelError(
                f"{self.name}: TFMOT has no quantization-aware training of recurrent layers; "
                f"the model has {', '.join(plan.base.recurrent)}"
            )
        for phase in self.expects:
            if not any(step.phase is phase for step in plan.before):
                yield (
                    f"{self.name} keeps what a step like {phase.name.lower()} made, and none runs "
                    "before it: only what the model itself has is kept"
                )
        yield from super().check(plan)

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return the .tflite."""
        from edgeshrink_tfmot.quantization import quantize

        return quantize(model, self.scheme, context)


class TfmotPqat(TfmotQat):
    """Train for 8-bit integers with TensorFlow Model Optimization; zeros stay zero."""

    name = "tfmot_pqat"
    keeps, scheme, expects = frozenset({"sparsity"}), "pqat", (Phase.PRUNE,)


class TfmotCqat(TfmotQat):
    """Train for 8-bit integers with TensorFlow Model Optimization; shared values stay shared."""

    name = "tfmot_cqat"
    scheme, expects = "cqat", (Phase.CLUSTER,)


class TfmotPcqat(TfmotQat):
    """Train for 8-bit integers with TensorFlow Model Optimization; zeros and clusters stay."""

    name = "tfmot_pcqat"
    keeps, scheme = frozenset({"sparsity"}), "pcqat"
    expects = (Phase.PRUNE, Phase.CLUSTER)


def _check_trains(step: Method, plan: Plan) -> None:
    if plan.data is None or plan.data.train is None:
        raise UsageError(
            f"{step.name} works while it trains, and the data has no training samples",
            hint="pass --data with a train part",
        )
    if step.tuning.epochs == 0:
        raise UsageError(f"{step.name} works while it trains: epochs must be at least 1")


@hookimpl
def edgeshrink_methods() -> list[type[Method]]:
    """Return the methods of this plugin."""
    return [TfmotPrune, TfmotCluster, TfmotQat, TfmotPqat, TfmotCqat, TfmotPcqat]


@hookimpl
def edgeshrink_parts() -> tuple[Part, ...]:
    """Return what all of them need."""
    return PARTS
