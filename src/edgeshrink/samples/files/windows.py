"""Windows: stretches of the rows of a table, which is a time series then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeshrink.errors import DataError
from edgeshrink.samples.files.reading import TABLE, Reading
from edgeshrink.samples.files.stored import Stored, file_digest
from edgeshrink.samples.files.tables import Table

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np


class Windows:
    """Stretches of rows, cut out when they are read.

    Args:
        rows: `(rows, columns)`.
        starts: the first row of each.
        length: rows of each.
    """

    def __init__(
        self, rows: np.ndarray[Any, Any], starts: np.ndarray[Any, Any], length: int
    ) -> None:
        self.rows, self.starts, self.length = rows, starts, length

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of windows, of rows in each, and of columns."""
        return len(self.starts), self.length, self.rows.shape[1]

    @property
    def dtype(self) -> Any:
        """The type of the values."""
        return self.rows.dtype

    def __getitem__(self, rows: Any) -> np.ndarray[Any, Any]:
        import numpy as np

        starts = self.starts[rows]
        found: np.ndarray[Any, Any] = self.rows[starts[:, None] + np.arange(self.length)]
        return found


def from_table(table: Table, reading: Reading, path: Path) -> Stored:
    """Return the samples of a table: its rows, or windows of them.

    Args:
        table: as it is stored.
        reading: whether there are windows, and how labels become theirs.
        path: of the file, for messages and the digest.

    Raises:
        DataError: a window is longer than what it could be cut from, or has no label of its own.
    """
    import numpy as np

    length, rows = reading.window, len(table.features)
    notes: tuple[str, ...] = ()
    groups = np.zeros(rows, np.int64) if table.groups is None else table.groups
    columns = ", ".join(table.names)
    how = {"columns": columns} if columns and len(columns) < 500 else {}
    if reading.group_column:
        how["groups"] = reading.group_column
    if length is None:
        source: Any = table.features
        labels = table.labels
        starts = np.arange(rows)
        spans = None if table.groups is None else np.stack((groups, starts, starts + 1), axis=1)
    else:
        step = reading.window_step or length
        starts = _starts(groups, length, step, path, reading)
        source = Windows(table.features, starts, length)
        labels = _labels(table, starts, length, reading, path)
        how["windows"] = f"{length} rows, every {step}, label: {reading.window_label}"
        notes = (
            f"{path.name} is cut into {len(starts):,} windows of {length:,} rows, one every "
            f"{step:,} rows",
        )
        if step < length:
            notes += (
                f"windows of {path.name} have rows in common with their neighbours, and are "
                "counted as if they were independent: what is shown may be less certain than it "
                "looks",
            )
        spans = np.stack((groups[starts], starts, starts + length), axis=1)

    def fingerprint() -> str:
        import hashlib

        decides = "\0".join((file_digest([("", path)]), table.label, columns, *how.values()))
        return hashlib.sha256(decides.encode()).hexdigest()

    return Stored(
        {"": {"x": source}},
        {"": {"": labels}},
        fingerprint,
        (),
        notes,
        how,
        spans,
        table.groups is not None,
        kind=TABLE,
    )


def _starts(
    groups: np.ndarray[Any, Any], length: int, step: int, path: Path, reading: Reading
) -> np.ndarray[Any, Any]:
    """Return where windows begin: none goes over the end of a stretch of one group."""
    import numpy as np

    breaks = np.flatnonzero(np.diff(groups)) + 1
    ends = [*breaks.tolist(), len(groups)]
    begins = [0, *breaks.tolist()]
    found = [
        np.arange(begin, end - length + 1, step) for begin, end in zip(begins, ends, strict=True)
    ]
    starts = np.concatenate(found)
    if not len(starts):
        longest = max(end - begin for begin, end in zip(begins, ends, strict=True))
        where = (
            f"no stretch of one {reading.group_column} in {path.name} has more than {longest:,}"
            if reading.group_column
            else f"{path.name} has {longest:,}"
        )
        raise DataError(
            f"a window of {length:,} rows needs as many; {where}",
            hint=f"--window {longest} or fewer, or more rows",
        )
    return starts


def _labels(
    table: Table,
    starts: np.ndarray[Any, Any],
    length: int,
    reading: Reading,
    path: Path,
) -> np.ndarray[Any, Any]:
    """Return the label of each window."""
    import numpy as np

    if reading.window_label == "last":
        found: np.ndarray[Any, Any] = table.labels[starts + length - 1]
        return found
    if table.labels.dtype.kind == "f":
        raise DataError(
            f"the most frequent label of a window is for classes; the labels of {path.name} are "
            "numbers",
            hint="--window-label last takes that of a window's last row",
        )
    classes, codes = np.unique(table.labels, return_inverse=True)
    most = np.zeros(len(starts), np.int64)
    best = np.zeros(len(starts), np.int64)
    for number in range(len(classes)):  # of several as frequent ones, the first
        sums = np.concatenate(([0], np.cumsum(codes == number)))
        count = sums[starts + length] - sums[starts]
        best[count > most] = number
        most = np.maximum(most, count)
    return classes[best]
