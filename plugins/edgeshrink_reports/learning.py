"""How steps learned: a line for each training, and for each trial of a step that made several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeshrink.api import Row

NONE = "–"
LARGEST = 1e300  # of a validation score
HEADS = ("stage", "trial", "epochs", "first", "best", "in epoch", "last", "score")
FOOTNOTE = (
    "First, best and last are validation scores after an epoch; where labels are not used, the "
    "negative loss, which does not compare between temperatures. The score of a trial is of the "
    "weights that it kept."
)


@dataclass(frozen=True)
class Training:
    """One training of a stage.

    Attributes:
        stage: the step.
        curve: the validation score after each epoch.
        settings: what is other than in the other trials of the stage.
        score: of the weights kept; None where a stage was trained once.
    """

    stage: str
    curve: Sequence[float]
    settings: Mapping[str, Any] = field(default_factory=dict)
    score: float | None = None

    @property
    def trial(self) -> str:
        """The settings in words."""
        return ", ".join(f"{name} {short(value)}" for name, value in self.settings.items())


def trainings(rows: Iterable[Row]) -> list[Training]:
    """Return the trainings of a ledger, in order: facts `trials`, else `curve`.

    Facts may be a stranger's: those of another form are left out.
    """
    found = []
    for row in rows:
        trials = row.facts.get("trials")
        if not _are_trials(trials):
            curve = row.facts.get("curve")
            if _is_curve(curve):
                found.append(Training(row.step, curve))
            continue
        names = [name for name in trials[0] if name not in ("score", "curve")]
        varied = [name for name in names if len({str(trial[name]) for trial in trials}) > 1]
        stage = row.step.partition("(")[0]
        for trial in trials:
            settings = {name: trial[name] for name in varied}
            found.append(Training(stage, trial["curve"], settings, trial["score"]))
    return found


def _is_curve(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and bool(value)
        and all(type(one) in (int, float) and abs(one) < LARGEST for one in value)
    )


def _are_trials(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and bool(value)
        and all(isinstance(one, Mapping) and one.keys() == value[0].keys() for one in value)
        and all(_is_curve(one.get("curve")) and "score" in one for one in value)
        and all(type(one["score"]) in (int, float, type(None)) for one in value)
    )


def cells(training: Training) -> list[str]:
    """Return a training as text, in the order of `HEADS`."""
    curve, best = training.curve, max(training.curve)
    return [
        training.stage,
        training.trial or NONE,
        str(len(curve)),
        f"{curve[0]:.4f}",
        f"{best:.4f}",
        str(list(curve).index(best) + 1),
        f"{curve[-1]:.4f}",
        NONE if training.score is None else f"{training.score:.4f}",
    ]


def sweeps(found: Iterable[Training]) -> list[tuple[str, str, list[Training]]]:
    """Return what was swept: a stage, the number that takes most values, and the trainings."""
    stages: dict[str, list[Training]] = {}
    for training in found:
        if training.settings:
            stages.setdefault(training.stage, []).append(training)
    swept = []
    for stage, trials in stages.items():
        numbers = [k for k, v in trials[0].settings.items() if isinstance(v, int | float)]
        if numbers:
            most = max(numbers, key=lambda name: len({t.settings[name] for t in trials}))
            swept.append((stage, most, trials))
    return swept


def short(value: Any) -> str:
    """Return a setting as text."""
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
