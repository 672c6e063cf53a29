"""Tables told again: the figures that were written before, in the words that the study has now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeshrink.engine.studies.grid import Grid
from edgeshrink.engine.studies.tables import stale, table_of
from edgeshrink.errors import StudyError, UsageError
from edgeshrink.recipes import Filled, StudyRow
from edgeshrink.results import STUDY_SCHEMA, Cell, RowFound, StudyReport

EMPTY: Mapping[str, Any] = {"ours": None, "doubt": ""}
NOT_RUN: Mapping[str, Any] = {
    "cells": {},
    "missing": "not run",
    "failed": False,
    "notes": (),
    "runs": (),
}


def retold(grid: Grid, path: Path) -> StudyReport:
    """Return the tables of a study with the figures of those that were written.

    A row is known by its table and label. One that is new is not run.

    Raises:
        UsageError: the file is not there, or was written by another version.
        StudyError: figures would be lost: a row is gone, or done in another way now.
    """
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        if before["schema"] != STUDY_SCHEMA:
            raise ValueError(f"schema {before['schema']}, where {STUDY_SCHEMA} is read")
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(
            f"no tables to tell again in {str(path)!r}: {error}",
            hint="run the study first, or name its folder with -o",
        ) from error
    written = {(t["name"], row["label"]): row for t in before["tables"] for row in t["rows"]}
    _check_kept(grid, written)
    tables = tuple(
        table_of(one, [_row(grid, one, row, written) for row in one.rows])
        for one in grid.study.tables
    )
    heading = grid.study.heading
    return StudyReport(
        heading.title,
        heading.cite,
        before["command"],
        tables,
        before["built"],
        before["machines"],
        before["versions"],
        (heading.note,) if heading.note else (),
        before["lost"],
    )


def _check_kept(grid: Grid, written: Mapping[tuple[str, str], Any]) -> None:
    now = {(f.table.name, row.label): _command(grid, f, row) for f, row in grid.rows()}
    for (table, label), row in written.items():
        if row["runs"] and now.get((table, label)) != row["command"]:
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
    grid: Grid, filled: Filled, row: StudyRow, written: Mapping[tuple[str, str], Any]
) -> RowFound:
    runs = grid.runs(filled, row)
    found = written.get((filled.table.name, row.label), NOT_RUN)
    made = tuple(found["runs"])
    return RowFound(
        row.label,
        _command(grid, filled, row),
        tuple(
            Cell.from_dict(found["cells"].get(column.key, EMPTY), row.published.get(column.key))
            for column in filled.columns
        ),
        grid.study.otherwise(row),
        f"left out: {row.left_out}" if row.left_out else found["missing"],
        found["failed"],
        tuple(found["notes"]),
        row.series,
        row.x,
        made,
        stale(made, {run.seed: grid.used(run) for run in runs}),
    )
