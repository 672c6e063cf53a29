"""What a search is asked, and what counts in it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgeshrink import words
from edgeshrink.engine.planning.request import Request
from edgeshrink.results import Report, Row, Score

PICKS = ("knee", "smallest", "fastest", "best")
GOALS = ("bytes", "ms", "arena")


@dataclass(frozen=True)
class SearchRequest:
    """A search, as it was asked for.

    Attributes:
        base: the model, its data and devices, and the file to write; its recipe is not looked at.
        space: a file that says what may be tried; None for what the methods say.
        goals: what counts beside the score, of `GOALS`.
        limits: the most that each goal may be; in bytes and milliseconds.
        max_drop: what the score may lose, in points where it is a share; None for nothing said.
        trials: recipes that are measured, at most; None for no end but the time and the space.
        seconds: after which no further trial begins; None for no end.
        pick: which of the front is written: of `PICKS`.
        sampler: what chooses the next recipe.
        storage: where trials are kept that other processes can see, as SQLAlchemy writes a place;
            empty for a file in the run folder.
        name: of the search in that place; empty for the model's.
        worker: help a search that another process began, and write no result.
    """

    base: Request
    space: Path | None = None
    goals: tuple[str, ...] = ("bytes", "ms")
    limits: Mapping[str, float] = field(default_factory=dict)
    max_drop: float | None = None
    trials: int | None = None
    seconds: float | None = None
    pick: str = "knee"
    sampler: str = "guided"
    storage: str = ""
    name: str = ""
    worker: bool = False

    @property
    def run_folder(self) -> Path:
        """Where all trials are kept."""
        return self.base.run or self.base.out.with_suffix(".search")

    @property
    def study(self) -> str:
        """The name of the search where trials are kept."""
        return self.name or self.base.model.stem


@dataclass(frozen=True)
class Measured:
    """What is known of one recipe.

    Attributes:
        score: on the validation samples.
        values: the goals, by name.
        made: steps that were run for it.
        lost: the device was lost.
        missing: why a goal has no value; empty where all have.
        steps: each with the seconds that it took, 0 where it was there.
        effort: with which it was trained; empty where nothing was, or the epochs were given.
    """

    score: Score
    values: Mapping[str, float]
    made: int = 0
    lost: bool = False
    missing: str = ""
    steps: tuple[tuple[str, float], ...] = ()
    effort: str = ""

    def __str__(self) -> str:
        """Return it as it is told."""
        values = [words.score(self.score)]
        values += [f"{v:,.0f} bytes" for k, v in self.values.items() if k == "bytes"]
        values += [words.milliseconds(v) for k, v in self.values.items() if k == "ms"]
        values += [f"{v:,.0f} bytes of arena" for k, v in self.values.items() if k == "arena"]
        return ", ".join(values)

    @classmethod
    def of(
        cls, report: Report, goals: tuple[str, ...], effort: str = "", *, base: bool = False
    ) -> Measured:
        """Return what a report says of its result, or of the base as a float file."""
        rows = report.ledger
        row = rows.uncompressed if base else rows.final
        score = (rows.base if base else row).score
        assert score is not None
        on = row.on[0] if row.on else None
        found = {goal: _value(row, goal) for goal in goals}
        lacking = [goal for goal, value in found.items() if not math.isfinite(value)]
        why = on.failure or on.emulated if on else "it was not measured"
        steps = [one for one in rows.rows[1:] if one is not rows.uncompressed]
        return cls(
            score,
            {goal: value for goal, value in found.items() if goal not in lacking},
            sum(not one.reused for one in steps),
            bool(on and on.lost),
            f"no {' and no '.join(lacking)}: {why}" if lacking else "",
            tuple((one.step, 0.0 if one.reused else one.seconds) for one in steps),
            effort,
        )


def _value(row: Row, goal: str) -> float:
    if goal == "bytes":
        return float(row.size_bytes)
    on = row.on[0] if row.on else None
    if goal == "ms":
        return on.latency.median_ms if on and on.latency else math.nan
    return float(on.arena_bytes) if on and on.arena_bytes is not None else math.nan
