"""The verdict on a result: better, worse, or no difference shown, and whether that is allowed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgeshrink import words
from edgeshrink.errors import UsageError
from edgeshrink.results.apart import Apart
from edgeshrink.results.ledger import SIGNIFICANT

if TYPE_CHECKING:
    from edgeshrink.results.ledger import Row

POINTS = 0.10  # of a share: what a result may lose where nothing else is said ...
HALF = 0.5  # ... or this part of the way from the base to guessing, if that is less
AGREEMENT = "agreement"
NEAR_CHANCE = 0.15  # of the way from guessing to being always right


@dataclass(frozen=True)
class ClassChange:
    """How often one class was named right.

    Attributes:
        name: of the class, or its number.
        before: share of its samples that the base names right, 0..1.
        after: the same of the result.
        samples: of the class.
    """

    name: str
    before: float
    after: float
    samples: int


@dataclass(frozen=True)
class Verdict:
    """What the result is worth beside the base, on the samples that judge.

    Attributes:
        metric: the score of record; `agreement` with the base where there are no labels.
        before: the base's value; shares are 0..1.
        after: the result's.
        samples: that both answered.
        higher_is_better: the metric's direction.
        p_value: how likely they differ as much by chance, 0..1; None for agreement.
        guess: the score of the best constant answer; None where that is not known.
        allowed: by how much the result may be worse, in the unit of the metric; infinite where
            anything is accepted.
        worst: the class that lost most; None where there are no classes, or none lost.
        synthetic: the samples were made up.
        answers: to all samples that were compared for agreement, where each has several; else None.
        apart: outputs on which the result answers otherwise than the base.
        proportion: whether the metric's values are shares; None leaves it to its name.
    """

    metric: str
    before: float
    after: float
    samples: int
    higher_is_better: bool = True
    p_value: float | None = None
    guess: float | None = None
    allowed: float = math.inf
    worst: ClassChange | None = None
    synthetic: bool = False
    answers: int | None = None
    apart: tuple[Apart, ...] = ()
    proportion: bool | None = None

    def accepting(self) -> Verdict:
        """Return it as it was before JSON, where null stands for an infinite `allowed`."""
        return replace(self, allowed=math.inf) if math.isnan(self.allowed) else self

    @property
    def measured(self) -> bool:
        """Whether there was a score, not agreement alone."""
        return self.metric != AGREEMENT

    @property
    def share(self) -> bool:
        """Whether its values are shares, 0..1, as those of agreement are."""
        named = not self.measured or words.is_share(self.metric)
        return named if self.proportion is None else self.proportion

    def lost(self, value: float) -> float:
        """Return by how much a value is worse than the base's; below 0 where it is better."""
        return self.before - value if self.higher_is_better else value - self.before

    def allows(self, value: float) -> bool:
        """Return whether a value is not worse than allowed."""
        return self.lost(value) <= self.allowed * (1 + 1e-9)

    def has_merits(self, row: Row) -> bool:
        """Return whether figures of merit tell anything of a stage.

        They would praise a small file that lost too much, or does no better than guessing.
        """
        if not self.measured:
            return row.agreement is None or self.allows(row.agreement.share)
        if row.score is None:
            return True
        value = row.score.value
        if self.share and self.guess is not None and near_chance(value, self.guess):
            return False
        return self.allows(value)

    @property
    def outcome(self) -> str:
        """`better`, `worse` or `no difference shown`; empty without labels."""
        if not self.measured:
            return ""
        if self.p_value is None or self.p_value >= SIGNIFICANT:
            return "no difference shown"
        return "worse" if self.lost(self.after) > 0 else "better"

    @property
    def failure(self) -> str:
        """Why the result is not what was asked for, or an empty text."""
        if self.blind and not self.synthetic and math.isfinite(self.allowed):
            return self.blindness()
        return "" if self.allows(self.after) else self.loss()

    def loss(self, whose: str = "the result") -> str:
        """Return what was lost beside what may be, as a sentence.

        Args:
            whose: it is, as the sentence begins.
        """
        lost = self.lost(self.after)
        amount, most = words.told_apart(lost, self.allowed, self.amount)
        told = f"lost {amount if lost > 0 else 'nothing'}"
        if not self.measured:
            told = f"agrees with the base on {words.percent(self.after, 2)} of {self.inputs}"
        limit = f"at most {most}" if self.allowed else "nothing"
        return f"{whose} {told}, where {limit} may be lost"

    @property
    def blind(self) -> bool:
        """Whether agreement was all there was, on inputs that the base does not tell apart."""
        return not self.measured and self.guess == 1

    def blindness(self) -> str:
        """Return the sentence for what is blind."""
        return (
            f"the original names one class for all {self.inputs}, so that agreement on them says "
            "nothing"
        )

    @property
    def inputs(self) -> str:
        """The samples, counted, in words."""
        said = f"{self.samples:,} {'synthetic inputs' if self.synthetic else 'test samples'}"
        return f"{self.answers:,} answers to {said}" if self.answers else said

    def amount(self, change: float, count: int = 3) -> str:
        """Return a difference in words: points of a share, or in the metric's unit.

        Args:
            change: the difference; its sign is left out.
            count: digits that are told at least.
        """
        change = abs(change)
        if not self.share:
            return f"{words.digits(change, count)} of {self.metric}"
        return f"{words.digits(100 * change, count)} points"

    def __str__(self) -> str:
        """Return the verdict in a few lines."""
        if not self.measured:
            told = f"agrees with the base on {words.percent(self.after, 2)} of {self.inputs}"
            if self.blind:
                told = (
                    f"warning: the original names one class for all {self.inputs}, so that "
                    "agreement on them says nothing; pass --data"
                )
            return f"accuracy NOT measured: there are no labelled test samples\n{told}"
        before, after = (words.value_of(self.metric, v) for v in (self.before, self.after))
        change = self.lost(self.after)
        by = f" by {self.amount(change)}" if self.outcome in ("better", "worse") else ""
        odds = "" if self.p_value is None else f" (p {_odds(self.p_value)})"
        told = f"{self.outcome}{by}: {self.metric} {before} → {after} on {self.inputs}{odds}"
        if self.outcome != "worse":  # a score may stay while other answers are right, or wrong
            told = "\n".join([told, *map(str, self.apart)])
        if worst := self.worst:
            told += (
                f"\nclass that lost most: {worst.name}, {words.percent(worst.before)} → "
                f"{words.percent(worst.after)} of its {worst.samples:,} samples"
            )
        return told


def _odds(chance: float) -> str:
    return "< 0.001" if chance < 0.001 else f"= {words.digits(chance, 2)}"


@dataclass(frozen=True)
class Drop:
    """What a result may lose, as it is given.

    Attributes:
        amount: points of a share, or a number in the metric's unit where it is no share; infinite
            where anything is accepted.
        percent: a percentage: of the base's value where the metric is no share.
    """

    amount: float
    percent: bool = False

    @classmethod
    def parse(cls, given: float | str | None) -> Drop | None:
        """Return what is given, or None where nothing is.

        Args:
            given: a number, a text of one, with or without `%`, or `none` to accept anything.

        Raises:
            UsageError: it is neither a number, at least 0, nor `none`.
        """
        if given is None or given == "":
            return None
        if given == "none":
            return cls(math.inf)
        number = str(given).removesuffix("%")
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not 0 <= value < math.inf:
            raise UsageError(
                f"--max-drop must be a number, at least 0, or none; received {given!r}",
                hint="as in --max-drop 1 or 1%, for one point of accuracy",
            )
        return cls(value, number != str(given))

    @property
    def limited(self) -> bool:
        """Whether there is anything that it does not accept."""
        return math.isfinite(self.amount)

    def of(self, before: float, *, share: bool) -> float:
        """Return it in the unit of the metric, whose value was `before`."""
        if share:
            return self.amount / 100
        return abs(before) * self.amount / 100 if self.percent else self.amount


def allowed(given: Drop | None, before: float, guess: float | None, *, share: bool) -> float:
    """Return by how much a result may be worse than its base, in the unit of the metric.

    Args:
        given: what was said; None for what is usual: 10 points, or half of the way from the base to
            guessing, whichever is less.
        before: the base's value.
        guess: the score of the best constant answer, or None.
        share: whether the metric is a share, 0..1.
    """
    if given is not None:
        return given.of(before, share=share)
    way = math.inf if guess is None else abs(before - guess) * HALF
    return min(POINTS, way) if share else way


def near_chance(value: float, chance: float) -> bool:
    """Return whether a classifier is hardly better than naming the commonest class."""
    return value <= chance + NEAR_CHANCE * (1 - chance)
