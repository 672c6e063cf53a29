"""Outputs on which a result answers otherwise than its base."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeshrink import words

if TYPE_CHECKING:
    import numpy as np

    from edgeshrink.samples import Task

ALIKE = 0.9  # of answers, or of variance: a result that is less like its base is told first


@dataclass(frozen=True)
class Apart:
    """An output on which a result answers otherwise than its base.

    Attributes:
        output: its name; empty where the model has no other.
        share: of answers that are the same, or of the variance of the base's values that is
            explained, 0..1.
        answers: that were compared; None where they are no classes.
        samples: that both answered.
    """

    output: str
    share: float
    answers: int | None
    samples: int

    def __str__(self) -> str:
        """Return a sentence."""
        which = f"output {self.output!r}" if self.output else "the result"
        share, samples = words.percent(self.share), f"{self.samples:,} test samples"
        if self.answers is None:
            return (
                f"warning: {which} explains only {share} of the variance of what the base says "
                f"of {samples}"
            )
        if self.answers > self.samples:
            samples = f"{self.answers:,} answers to {samples}"
        return f"warning: {which} answers as the base does on only {share} of {samples}"


def apart(task: Task, base: np.ndarray, made: np.ndarray, output: str) -> Apart | None:
    """Return how far an output is from its base, where that is less than 90 % alike.

    Args:
        task: what the output answers.
        base: what the base says, `(samples, ...)`.
        made: what the result says, of the same shape.
        output: its name, as it is told.
    """
    import numpy as np

    if not task.numeric:
        first, second = task.answers(base), task.answers(made)
        share, answers = float((first == second).mean()), first.size
    else:
        wanted, found = base.astype("float64"), made.astype("float64")
        error, spread = float(np.square(wanted - found).mean()), float(wanted.var())
        share, answers = (max(0.0, 1 - error / spread) if spread else float(error == 0)), None
    return Apart(output, share, answers, len(base)) if share < ALIKE else None
