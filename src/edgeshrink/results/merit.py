"""Figures of merit: what a stage is worth, computed from its row and those beside it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from edgeshrink.results.ledger import Row


class Merit(ABC):
    """A figure that weighs what was measured of a model against what it costs.

    Attributes:
        name: its key in a report, in snake_case.
    """

    name: ClassVar[str]

    @abstractmethod
    def of(self, row: Row, among: Sequence[Row]) -> float | None:
        """Return the figure, or None where the row lacks what it is computed from.

        Args:
            row: one stage.
            among: all rows that are compared, `row` among them; the first is the base.
        """


def with_merits(
    rows: Sequence[Row], merits: Mapping[str, type[Merit]], allows: Callable[[Row], bool]
) -> tuple[Row, ...]:
    """Return the rows with all figures of merit, reckoned among themselves.

    Args:
        rows: of one ledger.
        merits: by name.
        allows: whether a row has lost no more than it may; another has no merits: they would
            praise a small file that answers at random.
    """
    found = [merit() for merit in merits.values()]

    def told(row: Row) -> dict[str, float]:
        if not allows(row):
            return {}
        values = {merit.name: merit.of(row, rows) for merit in found}
        return {name: value for name, value in values.items() if value is not None}

    return tuple(replace(row, merits=told(row)) for row in rows)
