"""Tables: rows of features and a label, of .csv and .parquet files."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.errors import DataError, UsageError, near
from edgeshrink.part import PYARROW
from edgeshrink.samples.files.npz import available_bytes
from edgeshrink.samples.files.reading import Reading
from edgeshrink.texts import shortly

if TYPE_CHECKING:
    import numpy as np

LONGEST_NAME = 1000  # characters of a class name in a table


@dataclass(frozen=True)
class Table:
    """A table as it is stored.

    Attributes:
        features: `(rows, columns)`, float32.
        names: of these columns; empty where the table has none.
        labels: `(rows,)`: numbers, whole ones where they may be classes, or names.
        label: the name of their column; empty where there is none.
        groups: `(rows,)`, what each row belongs to, by number; None where that is not told.
    """

    features: np.ndarray[Any, Any]
    names: tuple[str, ...]
    labels: np.ndarray[Any, Any]
    label: str
    groups: np.ndarray[Any, Any] | None = None


@dataclass(frozen=True)
class _Columns:
    """What the columns of a table are: places among them."""

    features: tuple[int, ...]
    label: int
    group: int | None


def read_csv(path: Path, reading: Reading) -> Table:
    """Return the table in a .csv file.

    Args:
        path: the file.
        reading: what its columns are.

    Raises:
        DataError: it is no table of numbers with labels.
        UsageError: a column is named that it does not have.
    """
    import numpy as np

    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            table = [row for row in csv.reader(stream) if row]
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path.name} is not a table of text: {error}") from error
    header = _header(table, _named(reading))
    rows = table[1:] if header else table
    width, first = len(table[0]) if table else 0, 2 if header else 1
    if width < 2 or not rows:
        cells = table[0] if table else []
        apart = next((mark for mark in ";\t|" if any(mark in cell for cell in cells)), "")
        raise DataError(
            f"a .csv file must have rows of features and a label; received {path.name}",
            hint=f"cells are separated by commas, here it looks like {apart!r}" if apart else "",
        )
    columns = _columns(header, width, reading, path)
    features = np.empty((len(rows), len(columns.features)), np.float32)
    for number, row in enumerate(rows, start=first):
        if len(row) != width:
            raise DataError(f"{path.name}: row {number} has {len(row)} cells, the first {width}")
        try:
            features[number - first] = [float(row[place]) for place in columns.features]
        except ValueError as error:
            wrong = next(i for i in columns.features if not _is_number(row[i]))
            raise DataError(
                f"{path.name}: row {number} must hold numbers; column "
                f"{header[wrong] if header else wrong + 1} holds {shortly(row[wrong])}",
                hint="fill in what is missing, and make numbers of words; --ignore-columns leaves "
                "out those that are no input",
            ) from error
    labels = [row[columns.label].strip() for row in rows]
    missing = next((place for place, text in enumerate(labels) if not text), None)
    if missing is not None:
        raise DataError(
            f"{path.name}: row {missing + first} has no label; column "
            f"{header[columns.label] if header else columns.label + 1} is empty there",
            hint="fill it in, or leave the row out",
        )
    groups = None
    if columns.group is not None:
        named = [row[columns.group].strip() for row in rows]
        groups = np.unique(np.asarray(_short(named, path, first, "group")), return_inverse=True)[1]
    numbers = all(map(_is_number, labels))
    values = np.asarray(
        [float(v) for v in labels] if numbers else _short(labels, path, first, "label")
    )
    return Table(
        features,
        tuple(header[i] for i in columns.features) if header else (),
        as_classes(values),
        header[columns.label] if header else "",
        groups,
    )


def read_parquet(path: Path, reading: Reading) -> Table:
    """Return the table in a .parquet file, as `read_csv` does.

    Raises:
        DataError: it is damaged, or no table of numbers with labels.
        UsageError: pyarrow is not installed, or a column is named that it does not have.
    """
    import numpy as np

    if not PYARROW.version():
        raise UsageError(f"{path.name} needs pyarrow", hint=PYARROW.install)
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            _check_size(path, file.metadata.num_rows * file.metadata.num_columns * 8)
            table = file.read()
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path.name} is no sound .parquet file: {error}") from error
    header = list(table.column_names)
    if len(header) < 2 or not table.num_rows:
        raise DataError(
            f"a .parquet file must have rows of features and a label; {path.name} has "
            f"{table.num_rows:,} rows of {len(header)} columns"
        )
    columns = _columns(header, len(header), reading, path)
    used = (*columns.features, columns.label, *(() if columns.group is None else [columns.group]))
    for place in used:
        column = table.column(place)
        if column.null_count:
            row = column.is_null().to_pylist().index(True) + 1
            raise DataError(
                f"{path.name}: row {row} must hold numbers; column {header[place]} is empty there",
                hint="fill in what is missing, or leave the row out",
            )
    found = []
    for place in columns.features:
        try:
            found.append(np.asarray(table.column(place).to_numpy(), np.float32))
        except (ValueError, TypeError, pyarrow.ArrowException) as error:
            raise DataError(
                f"{path.name} must hold numbers; column {header[place]} is "
                f"{table.schema.types[place]}",
                hint="make numbers of it, or leave it out: --ignore-columns",
            ) from error
    groups = None
    if columns.group is not None:
        named = [str(value) for value in table.column(columns.group).to_pylist()]
        groups = np.unique(np.asarray(_short(named, path, 1, "group")), return_inverse=True)[1]
    values = np.asarray(table.column(columns.label).to_pylist())
    if values.dtype.kind not in "biufUS" or values.ndim != 1:
        raise DataError(
            f"{path.name}: labels must be numbers or names; column {header[columns.label]} is "
            f"{table.schema.types[columns.label]}"
        )
    if values.dtype.kind == "U":
        _short(values.tolist(), path, 1, "label")
    return Table(
        np.stack(found, axis=1),
        tuple(header[i] for i in columns.features),
        as_classes(values.astype(np.float64)) if values.dtype.kind in "biuf" else values,
        header[columns.label],
        groups,
    )


def as_classes(labels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return labels as whole numbers where there are few different ones, which are classes."""
    import numpy as np

    whole = labels.dtype.kind == "f" and bool((labels == np.round(labels)).all())
    return labels.astype(np.int64) if whole and len(np.unique(labels)) <= 100 else labels


def _named(reading: Reading) -> tuple[str, ...]:
    """Return the columns that options name."""
    return tuple(
        filter(None, (reading.label_column, reading.group_column, *reading.ignore_columns))
    )


def _columns(header: Sequence[str], width: int, reading: Reading, path: Path) -> _Columns:
    """Return what each column is.

    Raises:
        UsageError: one is named that there is not, or for two things.
        DataError: none is left as an input.
    """
    named = _named(reading)
    if named and not header:
        raise UsageError(
            f"{path.name} has no first row that names columns; received {named[0]!r}",
            hint="add one, as in time,x,y,label",
        )
    for name in named:
        if name not in header:
            raise UsageError(
                f"{path.name} has no column {shortly(name)}; it has {_listed(header)}",
                hint=near(name, header),
            )
    if len(set(named)) < len(named):
        twice = next(name for name in named if named.count(name) > 1)
        raise UsageError(f"a column is one thing; {twice!r} was named for two")
    doubled = next((name for name in header if list(header).count(name) > 1), None)
    if named and doubled is not None:
        raise DataError(f"{path.name} has two columns {shortly(doubled)}", hint="rename one")
    free = [i for i in range(width) if not header or header[i] not in named]
    usual = next((i for i in free if header and header[i].lower() in ("label", "y")), None)
    label = -1
    if reading.label_column:
        label = list(header).index(reading.label_column)
    elif free:
        label = free[-1] if usual is None else usual
    features = tuple(i for i in free if i != label) if free else ()
    if not features:
        raise DataError(
            f"a table must have features beside its label; {path.name} has {_listed(header)}",
            hint="--ignore-columns and --group-column leave none",
        )
    group = list(header).index(reading.group_column) if reading.group_column else None
    return _Columns(features, label, group)


def _header(table: list[list[str]], named: Sequence[str]) -> list[str]:
    """Return the first row if it names columns: text where the second row has a number."""
    if len(table) < 2:
        return []
    cells = [cell.strip() for cell in table[0]]
    pairs = zip(table[0], table[1], strict=False)
    words = any(not _is_number(a) and _is_number(b) for a, b in pairs)
    return cells if words or set(named) & set(cells) else []


def _short(texts: list[str], path: Path, first: int, what: str) -> list[str]:
    longest = max(range(len(texts)), key=lambda place: len(texts[place]))
    if len(texts[longest]) > LONGEST_NAME:  # an array of text takes the longest for every row
        raise DataError(
            f"{path.name}: row {longest + first} has a {what} of "
            f"{len(texts[longest]):,} characters; the name of a "
            f"{'class' if what == 'label' else what} has {LONGEST_NAME:,} at most"
        )
    return texts


def _check_size(path: Path, size: int) -> None:
    """Refuse a table that memory cannot hold, before it is unpacked."""
    free = available_bytes()
    if free is not None and size > free:
        raise DataError(
            f"{path.name} unpacks to {size:,} bytes or more; {free:,} bytes of memory are free",
            hint="give fewer rows, or an .npz that numpy.savez wrote, which is read piece by piece",
        )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(shortly(name) for name in names[:8])
    return f"{shown}, …" if len(names) > 8 else shown or "no names"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
