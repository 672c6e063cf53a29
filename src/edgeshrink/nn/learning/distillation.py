"""How a model follows a teacher's answers: the temperature, the share of labels, the distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

TINY = 1e-37  # the least probability that float32 holds at full precision
EPSILON = 1e-7  # of a variance: equal logits have none
LEAST = 1e-7  # of a sigmoid: closer to 1, float32 is too coarse


@dataclass(frozen=True)
class Distillation:
    """How a model follows the answers of a teacher.

    Attributes:
        temperature: what logits of both are divided by, above 0; a variable may stand for it.
        alpha: the share of labels in the loss, 0..1, where there are labels; likewise.
        match: `kl`, the divergence of softened probabilities times the temperature squared, so
            that gradients keep their size (Hinton et al., 2015, "Distilling the knowledge in a
            neural network", section 2); or `mse`, the squared distance of logits (Ba and Caruana,
            NIPS 2014, section 2.2), which knows no temperature; or `zscore`, `kl` of logits with a
            mean of 0 and a standard deviation of 1 in each sample, so that the student need not
            reach the teacher's size of logits (Sun et al., CVPR 2024, "Logit standardization in
            knowledge distillation", section 4; of a sigmoid's logits it is `kl`).
        noise: standard deviation of a factor around 1 on the teacher's logits, drawn for each
            sample (Sau and Balasubramanian, 2016, "Deep model compression: distilling knowledge
            from noisy teachers", section 3).
    """

    temperature: Any = 1.0
    alpha: Any = 0.5
    match: str = "kl"
    noise: float = 0.0


class SoftLoss:
    """The distance of a model's answers from a teacher's.

    Args:
        activation: that makes both: `softmax`, `sigmoid`, or `logits` of classes; anything else
            stands for plain values, whose distance is squared.
        distillation: temperature, match and noise.
    """

    def __init__(self, activation: str, distillation: Distillation) -> None:
        self.activation, self.distillation = activation, distillation
        self._random = keras.random.SeedGenerator(0) if distillation.noise else None

    def __call__(self, taught: Any, answers: Any) -> Any:
        """Return the mean distance of a batch, a scalar.

        Args:
            taught: the teacher's outputs, `(batch, ..., classes)` or `(batch, ...)`.
            answers: the model's own, of the same shape.
        """
        if self.activation not in ("softmax", "sigmoid", "logits"):
            return ops.mean(ops.square(self._noisy(taught) - answers))
        theirs = self._noisy(logits_of(self.activation, taught))
        ours = logits_of(self.activation, answers)
        if self.distillation.match == "mse":
            return ops.mean(ops.square(self._centred(theirs) - self._centred(ours)))
        if self.distillation.match == "zscore" and self.activation != "sigmoid":
            theirs, ours = standardized(theirs), standardized(ours)
        warmth = ops.cast(self.distillation.temperature, ours.dtype)
        theirs, ours = theirs / warmth, ours / warmth
        if self.activation == "sigmoid":
            wanted = ops.sigmoid(theirs)
            # of two classes, of which the second has a logit of 0
            apart = wanted * (theirs - ours) + ops.softplus(ours) - ops.softplus(theirs)
            return warmth**2 * ops.mean(apart)
        told, said = ops.log_softmax(theirs), ops.log_softmax(ours)
        return warmth**2 * ops.mean(ops.sum(ops.exp(told) * (told - said), axis=-1))

    def _noisy(self, values: Any) -> Any:
        if self._random is None:
            return values
        shape = (ops.shape(values)[0], *(1,) * (len(values.shape) - 1))
        factor = keras.random.normal(shape, 1.0, self.distillation.noise, seed=self._random)
        return values * ops.cast(factor, values.dtype)

    def _centred(self, logits: Any) -> Any:
        """Return logits without what softmax is blind to: a constant added to all of a sample."""
        if self.activation == "sigmoid":
            return logits
        return logits - ops.mean(logits, axis=-1, keepdims=True)


def standardized(logits: Any) -> Any:
    """Return logits `(..., classes)` with mean 0 and standard deviation 1 over the classes."""
    centred = logits - ops.mean(logits, axis=-1, keepdims=True)
    return centred * ops.rsqrt(ops.mean(ops.square(centred), axis=-1, keepdims=True) + EPSILON)


def logits_of(activation: str, answers: Any) -> Any:
    """Return what an activation was given, from what it made; of a softmax up to a constant.

    Probabilities that float32 cannot hold give the logit of the least that it can.

    Args:
        activation: `softmax` or `sigmoid`; with anything else the answers are returned.
        answers: of any shape, classes last.

    Returns:
        A float32 tensor of the same shape.
    """
    answers = ops.cast(answers, "float32")
    if activation == "softmax":
        return ops.log(ops.maximum(answers, TINY))
    if activation == "sigmoid":
        kept = ops.clip(answers, LEAST, 1 - LEAST)
        return ops.log(kept) - ops.log1p(-kept)
    return answers
