"""How samples are split that are not independent: by what they belong to, or in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeshrink.errors import DataError

if TYPE_CHECKING:
    import numpy as np

SHOWN = 5  # classes in a message, at most


@dataclass(frozen=True)
class Parted:
    """Rows of samples by part, and how they came there, in sentences."""

    train: np.ndarray[Any, Any]
    validation: np.ndarray[Any, Any] | None
    test: np.ndarray[Any, Any]
    notes: tuple[str, ...]


def by_group(
    spans: np.ndarray[Any, Any], spec: str, seed: int, validation: float, test: float
) -> Parted:
    """Split samples so that all of a group are in one part.

    Args:
        spans: `(samples, 3)`, of which the first column is the number of a group.
        spec: what the user named, for messages.
        seed: of the choice of groups.
        validation: share of the groups held out for validation; 0 for none.
        test: share of the groups held out for the test.

    Raises:
        DataError: there are too few groups.
    """
    import numpy as np

    groups = np.unique(spans[:, 0])
    needed = 3 if validation else 2
    if len(groups) < needed:
        raise DataError(
            f"a split by groups needs {needed} of them: one or more each for training, validation "
            f"and test; {spec} has {len(groups)}",
            hint="drop --group-column: windows are then split in time",
        )
    order = np.random.default_rng(seed).permutation(groups)
    tested = max(1, round(test * len(groups)))
    held = max(1, round(validation * len(groups))) if validation else 0
    parts = np.split(order, [tested, tested + held])
    rows = [np.flatnonzero(np.isin(spans[:, 0], part)) for part in parts]
    notes = (
        f"{spec} has no test set: {tested:,} of {len(groups):,} groups, {len(rows[0]):,} of "
        f"{len(spans):,} samples, were split off as one (seed {seed}), and {held:,} for "
        "validation; no group is in two parts. If the model was trained on the test's groups, its "
        "score here is flattered",
    )
    return Parted(rows[2], rows[1] if held else None, rows[0], notes)


def in_time(spans: np.ndarray[Any, Any], spec: str, validation: float, test: float) -> Parted:
    """Split samples in the order of their rows: the last ones are the test.

    Windows that reach over the end of a part are in none, so that no row is in two parts.

    Args:
        spans: `(samples, 3)`: the second column is the first row of a sample, the third the row
            behind its last.
        spec: what the user named, for messages.
        validation: share of the rows before the test that are held out for validation.
        test: share of the rows held out for the test.

    Raises:
        DataError: a part would be empty.
    """
    import numpy as np

    end = int(spans[:, 2].max())
    tested = round(end * (1 - test))
    held = round(tested * (1 - validation))
    begin, stop = spans[:, 1], spans[:, 2]
    train, last = np.flatnonzero(stop <= held), np.flatnonzero(begin >= tested)
    middle = np.flatnonzero((begin >= held) & (stop <= tested)) if validation else None
    named = {"training": train, "validation": middle, "test": last}
    empty = next((name for name, rows in named.items() if rows is not None and not len(rows)), None)
    if empty:
        raise DataError(
            f"{spec} has too few rows to split its windows in time: none is left for {empty}",
            hint="a smaller --window or --window-step, or more rows",
        )
    lost = len(spans) - sum(len(rows) for rows in named.values() if rows is not None)
    across = (
        f"; {lost:,} windows that reach over the end of a part are left out, so that no row is in "
        "two parts"
        if lost
        else ""
    )
    notes = (
        f"{spec} has no test set and is split in time: rows from {tested + 1:,} on are the test "
        f"({len(last):,} of {len(spans):,} samples), from {held + 1:,} on validation{across}. "
        "If the model was trained on the test's rows, its score here is flattered",
    )
    return Parted(train, middle, last, notes)


def unseen(
    classes: np.ndarray[Any, Any] | None, parted: Parted, spec: str, grouped: bool
) -> list[str]:
    """Return what is to be said of classes that nothing can be learned of.

    Args:
        classes: of each sample; None where samples have no one class.
        parted: rows of samples by part.
        spec: what the user named.
        grouped: whether it was split by groups.
    """
    import numpy as np

    if classes is None:
        return []
    notes = []
    whole = np.unique(classes)
    missing = whole[~np.isin(whole, classes[parted.train])]
    if len(missing):
        how = "by groups" if grouped else "in time"
        hint = "" if grouped else "; --group-column splits by what its rows belong to"
        notes.append(
            f"{len(missing):,} of {len(whole):,} classes {'is' if len(missing) == 1 else 'are'} in "
            f"no training sample, since {spec} is split {how}: "
            f"{', '.join(map(str, missing.tolist()[:SHOWN]))}{hint}"
        )
    return notes
