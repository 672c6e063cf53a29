"""What a publication claims of some rows, held against what was measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from edgeshrink.recipes import MEASURES, Claim, Column
from edgeshrink.results.study_row import Cell, RowFound, Value

# By whether a figure is told in points: what is less is no change, and what is further apart
# differs though both go one way.
KEPT, FAR = {True: 0.3, False: 1.1}, {True: 10.0, False: 3.0}
NOUGHT = Cell(Value(0.0), 0.0)  # what a change that stands in a table itself begins from
WAYS = {"up": 1, "kept": 0, "down": -1}


@dataclass(frozen=True)
class Change:
    """How one figure of a row stands to the figure that it is seen beside.

    Attributes:
        label: the row's.
        column: its key.
        published: in points, or as a ratio; None where the publication has words alone.
        ours: likewise.
        differs: ours goes another way, or further by far or less so.
    """

    label: str
    column: str
    published: float | None
    ours: float
    differs: bool


@dataclass(frozen=True)
class ClaimFound:
    """A claim, and every figure that it is of.

    Attributes:
        against: the label of the row beside which the others are seen; empty for none.
        says: the change in words, where no figures are published: up, kept or down.
        why: why ours goes another way; empty for none given.
        changes: of each row and column where there are figures.
    """

    against: str
    says: str
    why: str
    changes: tuple[Change, ...]

    @property
    def differing(self) -> tuple[Change, ...]:
        """The changes in which ours goes another way."""
        return tuple(change for change in self.changes if change.differs)


def held(claim: Claim, columns: Sequence[Column], rows: Iterable[RowFound]) -> ClaimFound:
    """Return a claim with every figure that it is of."""
    rows = list(rows)
    beside = next((row for row in rows if row.label == claim.against), None)
    changes = (
        change
        for row in rows
        if claim.fits(row.label)
        for place, column in enumerate(columns)
        if column.key in (claim.columns or (column.key,))
        for change in _changes(claim, column, row, place, beside)
    )
    return ClaimFound(claim.against, claim.says, claim.why, tuple(changes))


def _changes(
    claim: Claim, column: Column, row: RowFound, place: int, beside: RowFound | None
) -> Iterator[Change]:
    after, before = row.cells[place], beside.cells[place] if beside else NOUGHT
    points = MEASURES[column.measure].in_points
    published = _change(before.published, after.published, points)
    ours = _change(_mean(before), _mean(after), points)
    if ours is None or (published is None and not claim.says):
        return
    way = WAYS[claim.says] if published is None else _way(published, points)
    differs = way != _way(ours, points)
    if published is not None:
        apart = abs(_scaled(published, points) - _scaled(ours, points))
        differs = apart > 1 and (differs or apart > _scaled(FAR[points], points))
    yield Change(row.label, column.key, published, ours, differs)


def _mean(cell: Cell) -> float | None:
    return cell.ours.mean if cell.ours else None


def _change(before: float | None, after: float | None, points: bool) -> float | None:
    """Return a difference in points or a ratio, or None where a figure is missing."""
    if before is None or after is None:
        return None
    if points:
        return after - before
    return after / before if before else None


def _scaled(change: float, points: bool) -> float:
    """Return a change on a scale on which 1 is the least that counts as one."""
    return change / KEPT[True] if points else math.log(change) / math.log(KEPT[False])


def _way(change: float, points: bool) -> int:
    scaled = _scaled(change, points)
    return 0 if abs(scaled) <= 1 else int(math.copysign(1, scaled))
