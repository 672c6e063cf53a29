"""Models of scikit-learn: a small Keras net learns what a forest, an SVM or a k-NN answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from edgeshrink.api import (
    Context,
    Kind,
    Method,
    Need,
    OpenedModel,
    Part,
    Phase,
    Plan,
    Training,
    UsageError,
    hookimpl,
)
from edgeshrink_sklearn.options import Options

if TYPE_CHECKING:
    import keras


# Settings of training that mean nothing where a model's answers alone are learned, of numbers.
IDLE = ("teacher", "alpha", "loss", "effort", "max_epochs", "shift", "flip")


class Imitate(Method):
    """Teach a small Keras net what a scikit-learn model answers, and go on with the net.

    It learns from the training samples and from points around them (Bucila, Caruana and
    Niculescu-Mizil, KDD 2006, "Model compression", section 3.3), which the model answers.
    """

    name, title, phase = "imitate", "Nets that imitate scikit-learn models", Phase.TRANSLATE
    Options = Options
    accepts = (Kind.SKLEARN,)
    data = Need.REQUIRED
    implied = True
    chooses = False
    # Small nets from random weights: 30 epochs of 25,000 points are 6,000 steps, however many
    # samples there are.
    training = Training(
        epochs=30, epoch_size=25_000, lr=3e-3, batch_size=128, teacher="original", temperature=1.0
    )

    @property
    def trainings(self) -> int:
        """How many nets are trained."""
        return len(self.options.units)

    def check(self, plan: Plan) -> Iterable[str]:
        """Refuse data without training samples, and what the net does not learn from.

        Raises:
            UsageError: there are no training samples, or labels are to teach.
        """
        if plan.data is None or plan.data.train is None:
            raise UsageError("the net learns from training samples", hint="pass --data")
        for name in IDLE:
            if getattr(self.tuning, name) is not None:
                raise UsageError(
                    f"--imitate-{name.replace('_', '-')} has no effect: the net learns what the "
                    "scikit-learn model answers, and not labels, for as many epochs as are given",
                    hint="drop it, or give it to a step that follows",
                )
        if any(getattr(step, "kernels", "") == "int8" for step in plan.after):
            from edgeshrink_sklearn.features import coarse_features

            step, lost, features = coarse_features(plan.data)
            if lost:
                yield (
                    f"8 bits round all features to steps of {step:.3g}, and {lost} of {features} "
                    "vary by less: fit the model on features of one size, or take --dynamic, "
                    "which leaves them in float"
                )

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return the net."""
        from edgeshrink_sklearn.imitating import imitated

        return imitated(model, self.options, context)


@hookimpl
def edgeshrink_methods() -> list[type[Method]]:
    """Return the methods of this plugin."""
    return [Imitate]


@hookimpl
def edgeshrink_open_model(spec: str, custom: Sequence[str], unsafe: bool) -> OpenedModel | None:
    """Return the scikit-learn model that `spec` names, or None."""
    from edgeshrink_sklearn.opening import opened

    return opened(spec, custom, unsafe=unsafe)


@hookimpl
def edgeshrink_parts() -> list[Part]:
    """Return what reads and runs such models."""
    from edgeshrink_sklearn.opening import PACKAGES

    return list(PACKAGES)
