"""Tables told again: the figures that were written before, in the words that the study has now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeshrink.engine.studies.grid import Grid
from edgeshrink.engine.studies.tables import stale, table_of
from edgeshrink.errors import EdgeshrinkError, StudyError, UsageError
from edgeshrink.recipes import Filled, StudyRow
from edgeshrink.results import STUDY_SCHEMA, Cell, RowFound, StudyReport, Value
from edgeshrink.texts import from_json, read_text, shortly, typed


@dataclass(frozen=True)
class Figures:
    """What is kept of a cell: its own figures; the published ones are the study's of now."""

    ours: Value | None = None
    doubt: str = ""


@dataclass(frozen=True)
class Written:
    """What is kept of a row."""

    label: str
    command: str = ""
    cells: Mapping[str, Figures] = field(default_factory=dict)
    missing: str = "not run"
    failed: bool = False
    notes: tuple[str, ...] = ()
    runs: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class WrittenTable:
    """What is kept of a table."""

    name: str
    rows: tuple[Written, ...]


@dataclass(frozen=True)
class WrittenStudy:
    """What is kept of a study's tables."""

    command: str
    tables: tuple[WrittenTable, ...]
    built: Mapping[str, str]
    machines: Mapping[str, Mapping[str, Any]]
    versions: Mapping[str, str]
    lost: bool
    schema: int


def retold(grid: Grid, path: Path) -> StudyReport:
    """Return the tables of a study with the figures of those that were written.

    A row is known by its table and label. One that is new is not run.

    Raises:
        UsageError: the file is not there, or was written by another version.
        StudyError: figures would be lost: a row is gone, or done in another way now.
    """
    try:
        document = from_json(read_text(path, "report"), "the report")
        if document.get("schema") != STUDY_SCHEMA:
            raise EdgeshrinkError(
                f"schema {shortly(document.get('schema'))}, where {STUDY_SCHEMA} is read"
            )
        before = typed(WrittenStudy, document, "the report")
    except EdgeshrinkError as error:
        raise UsageError(
            f"no tables to tell again in {str(path)!r}: {error}",
            hint="run the study first, or name its folder with -o",
        ) from error
    written = {(t.name, row.label): row for t in before.tables for row in t.rows}
    _check_kept(grid, written)
    tables = tuple(
        table_of(one, [_row(grid, one, row, written) for row in one.rows])
        for one in grid.study.tables
    )
    heading = grid.study.heading
    return StudyReport(
        heading.title,
        heading.cite,
        before.command,
        tables,
        before.built,
        before.machines,
        before.versions,
        (heading.note,) if heading.note else (),
        before.lost,
    )


def _check_kept(grid: Grid, written: Mapping[tuple[str, str], Written]) -> None:
    now = {(f.table.name, row.label): _command(grid, f, row) for f, row in grid.rows()}
    for (table, label), row in written.items():
        if row.runs and now.get((table, label)) != row.command:
            how = "is done in another way" if (table, label) in now else "is not in the study"
            raise StudyError(
                f"{grid.request.file.name}: table {table!r}, row {label!r} {how} now: its figures "
                "would be lost",
                hint="run the study without --retell, or write elsewhere with -o",
            )


def _command(grid: Grid, filled: Filled, row: StudyRow) -> str:
    runs = grid.runs(filled, row)
    return grid.command(runs[0], len(runs)) if runs and not row.left_out else ""


def _row(
    grid: Grid, filled: Filled, row: StudyRow, written: Mapping[tuple[str, str], Written]
) -> RowFound:
    runs = grid.runs(filled, row)
    found = written.get((filled.table.name, row.label), Written(row.label))
    cells = [(found.cells.get(c.key, Figures()), row.published.get(c.key)) for c in filled.columns]
    return RowFound(
        row.label,
        _command(grid, filled, row),
        tuple(Cell(kept.ours, published, kept.doubt) for kept, published in cells),
        grid.study.otherwise(row),
        f"left out: {row.left_out}" if row.left_out else found.missing,
        found.failed,
        found.notes,
        row.series,
        row.x,
        found.runs,
        stale(found.runs, {run.seed: grid.used(run) for run in runs}),
    )
