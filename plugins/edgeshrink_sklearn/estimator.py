"""A fitted estimator: what is known of it, and its answers as probabilities or numbers."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeshrink.api import ModelError


def is_estimator(value: Any) -> bool:
    """Tell whether something predicts as estimators of scikit-learn do, and is no class."""
    return not isinstance(value, type) and hasattr(value, "predict") and hasattr(value, "fit")


@dataclass(frozen=True)
class Answers:
    """What an estimator answers.

    Attributes:
        estimator: fitted.
        features: that it takes.
        width: of its answers: how many classes there are, or numbers.
        classes: what it calls them; empty for numbers.
        digest: that tells the estimator from others.
    """

    estimator: Any
    features: int
    width: int
    classes: tuple[str | int | float, ...] = ()
    digest: str = ""

    @property
    def activation(self) -> str:
        """What answers are like: `softmax` for probabilities, `linear` for numbers."""
        return "softmax" if self.classes else "linear"

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Return the answers to samples.

        Probabilities are those of `predict_proba`, else a softmax of `decision_function`, else 1
        for the class that is named. What `predict` names always has the greatest of a sample:
        where votes are even, or a support vector machine's probabilities say otherwise, it is
        given the greatest, and another class what was its own.

        Args:
            samples: `(samples, features)`.

        Returns:
            Probabilities of classes `(samples, classes)`, or numbers `(samples, width)`; float32.
        """
        with warnings.catch_warnings():
            # fitted on a table with names of columns, asked without
            warnings.filterwarnings("ignore", message="X does not have valid feature names")
            said = np.asarray(self.estimator.predict(samples.astype(np.float64)))
            if not self.classes:
                return said.reshape(len(samples), self.width).astype(np.float32)
            found = self._probabilities(samples.astype(np.float64), said)
        named = np.searchsorted(np.asarray(self.estimator.classes_), said)
        found = found.astype(np.float32)
        wrong = np.flatnonzero(found.argmax(axis=1) != named)
        greatest, own = found[wrong].argmax(axis=1), named[wrong]
        most, less = found[wrong, greatest], found[wrong, own]
        found[wrong, greatest] = less
        found[wrong, own] = np.nextafter(most, np.float32(2))  # above those that are as great
        return found

    def _probabilities(self, samples: np.ndarray, said: np.ndarray) -> np.ndarray:
        estimator = self.estimator
        if hasattr(estimator, "predict_proba"):
            return np.asarray(estimator.predict_proba(samples))
        last = getattr(estimator, "steps", [("", estimator)])[-1][1]
        pairs = getattr(last, "decision_function_shape", "") == "ovo"  # a value for each pair
        if hasattr(estimator, "decision_function") and not pairs:
            from scipy.special import softmax

            values = np.asarray(estimator.decision_function(samples))
            values = np.stack([-values / 2, values / 2], axis=1) if values.ndim == 1 else values
            return np.asarray(softmax(values, axis=1))
        return (said[:, None] == np.asarray(estimator.classes_)).astype(np.float64)


def answers_of(estimator: Any, source: str, digest: str) -> Answers:
    """Return what an estimator answers, after asking it once.

    Args:
        estimator: a classifier or regressor, or a pipeline of one.
        source: what messages call it.
        digest: that tells it from others.

    Raises:
        ModelError: it is neither, is not fitted, has several outputs, or does not answer numbers.
    """
    from sklearn.base import is_classifier, is_regressor
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    kind = type(estimator).__name__
    if not is_estimator(estimator) or not (is_classifier(estimator) or is_regressor(estimator)):
        raise ModelError(
            f"the model must be a classifier or a regressor of scikit-learn; {source} is a {kind}",
            hint="give the last step of a pipeline together with the rest, as one pipeline",
        )
    try:
        check_is_fitted(estimator)
        features = int(estimator.n_features_in_)
    except (NotFittedError, AttributeError) as error:
        raise ModelError(
            f"{source} is not fitted: {kind} has learned nothing yet",
            hint="model.fit(x_train, y_train) before it is saved",
        ) from error
    classes: tuple[Any, ...] = ()
    if is_classifier(estimator):
        known = estimator.classes_
        if isinstance(known, list) or getattr(known, "ndim", 0) != 1:
            raise ModelError(
                f"{source} answers several questions at once; only one can be imitated",
                hint="fit and give a model for each",
            )
        classes = tuple(known.tolist())
        if not all(isinstance(c, str | int | float) for c in classes) or len(classes) < 2:
            raise ModelError(
                f"classes must be two or more names or numbers; {source} has {classes!r:.80}"
            )
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="X does not have valid feature names")
            said = np.asarray(estimator.predict(np.zeros((2, features))))
        width = len(classes) or int(np.prod(said.shape[1:]))
        answers = Answers(estimator, features, width, classes, digest)
        answers(np.zeros((2, features), np.float32))
    except Exception as error:  # whatever a stranger's pipeline raises
        raise ModelError(
            f"{source} does not answer rows of {features} numbers: {type(error).__name__}: "
            f"{str(error).partition(chr(10))[0]}",
            hint="give what comes after columns of a table have become numbers",
        ) from error
    return answers
