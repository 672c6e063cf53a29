"""The tables of a study, filled with what its runs have found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from edgeshrink.column import Column
from edgeshrink.engine.studies.figures import figure_of, stage_of
from edgeshrink.engine.studies.grid import Grid
from edgeshrink.engine.studies.jobs import Run
from edgeshrink.engine.studies.times import Times
from edgeshrink.errors import StudyError
from edgeshrink.findings import Cell, RowFound, StudyReport, TableFound, Value
from edgeshrink.ledger import Row as Stage
from edgeshrink.report import Report
from edgeshrink.study import Filled, Row
from edgeshrink.workspace import source_digest

MACHINE = ("cpu", "cores", "machine", "system", "runtime", "runtime_version", "adapter")


def tabled(grid: Grid, times: Times) -> StudyReport:
    """Return all tables of a study with what there is."""
    tables = tuple(
        TableFound(
            filled.table.name,
            filled.table.title,
            filled.table.note,
            filled.columns,
            tuple(_row(grid, times, filled, row) for row in filled.rows),
            filled.figure,
        )
        for filled in grid.study.tables
    )
    found = [r for run in _all_runs(grid) if (r := _result(grid, run)) and "report" in r]
    heading = grid.study.heading
    notes = [heading.note] if heading.note else []
    older = sum(one.get("source") != source_digest("edgeshrink") for one in found)
    if older:
        notes.append(
            f"{older} of {len(found)} runs were made by another state of edgeshrink's source"
        )
    return StudyReport(
        heading.title,
        heading.cite,
        grid.request.command,
        tables,
        _machines(found, times),
        grid.versions,
        tuple(notes),
        times.lost,
    )


def _all_runs(grid: Grid) -> list[Run]:
    return list(dict.fromkeys(run for f, row in grid.rows() for run in grid.runs(f, row)))


def _result(grid: Grid, run: Run) -> dict[str, Any] | None:
    try:
        return grid.job(run).result()
    except StudyError as error:
        return {"error": str(error), "absent": True}


def _machines(found: Sequence[Mapping[str, Any]], times: Times) -> dict[str, dict[str, Any]]:
    """Return each device in words, as the runs and the timing were told."""
    told = {k: v for one in found for k, v in one["report"]["devices"].items() if v}
    for device, files in times.known.items():
        for one in files.values():
            told[device] = one.get("machine") or told.get(device, {})
    return {
        name: {k: v for k, v in one.items() if k in MACHINE and v} for name, one in told.items()
    }


def _row(grid: Grid, times: Times, filled: Filled, row: Row) -> RowFound:
    runs = grid.runs(filled, row)
    command = grid.command(runs[0], len(runs)) if runs else ""
    published = [row.published.get(column.key) for column in filled.columns]

    def missing(why: str, *, failed: bool = False) -> RowFound:
        cells = tuple(Cell(None, value) for value in published)
        shown = "" if row.left_out else command
        return RowFound(
            row.label, shown, cells, grid.study.scaled(row), why, failed, (), row.series, row.x
        )

    if row.left_out:
        return missing(f"left out: {row.left_out}")
    results = [(run, _result(grid, run)) for run in runs]
    whole = [(run, found) for run, found in results if found and "report" in found]
    broken = [(run, f) for run, f in results if f and "error" in f and not f.get("absent")]
    if not whole:
        bases = [f["error"] for _, f in results if f and f.get("absent")]
        waits = all(why.endswith("not done yet") for why in bases)
        if broken or (bases and not waits):
            said = broken[0][1]["error"] if broken else bases[0]
            return missing(f"failed: {grid.request.placeless(said)}", failed=True)
        return missing("not run")
    ledgers = [Report.from_dict(found["report"]).ledger.rows for _, found in whole]
    places = [place for ledger in ledgers if (place := stage_of(ledger, row.at)) is not None]
    if len(places) < len(ledgers):
        had = ", ".join(stage.step for stage in ledgers[0])
        return missing(f"failed: no stage {row.at!r} in the run; it has {had}", failed=True)
    layers = [
        _layers(found, place, row.layers) for (_, found), place in zip(whole, places, strict=True)
    ]
    if row.layers and not all(layers):
        return missing(f"failed: no layer fits {', '.join(row.layers)}", failed=True)
    stages = list(zip(ledgers, places, layers, strict=True))
    timed = times.place(row, filled)
    cells = tuple(
        _timed(times, column, timed and timed[0], value)
        if column.measure == "ms"
        else _cell(column, stages, value)
        for column, value in zip(filled.columns, published, strict=True)
    )
    notes = [f"{run}: failed: {grid.request.placeless(f['error'])}" for run, f in broken]
    notes += [
        f"seed {run.seed}: {f['report']['failed']}" for run, f in whole if f["report"]["failed"]
    ]
    return RowFound(
        row.label,
        command,
        cells,
        grid.study.scaled(row),
        failed=bool(broken),
        notes=tuple(dict.fromkeys(notes)),
        series=row.series,
        x=row.x,
        runs=tuple(
            {"seed": run.seed, "digest": ledger[place].digest, "seconds": found["seconds"]}
            for (run, found), (ledger, place, _) in zip(whole, stages, strict=True)
        ),
    )


def _layers(
    found: Mapping[str, Any], place: int, patterns: Sequence[str]
) -> dict[str, Sequence[int]]:
    if not patterns:
        return {}
    return {
        name: told
        for name, told in found["layers"][place].items()
        if any(fnmatchcase(name, pattern) for pattern in patterns)
    }


def _cell(
    column: Column,
    stages: Sequence[tuple[Sequence[Stage], int, Mapping[str, Sequence[int]]]],
    published: float | None,
) -> Cell:
    each = [figure_of(column.measure, *stage) for stage in stages]
    there = [one for one in each if one is not None]
    if not there:
        return Cell(None, published)
    return Cell(Value.of([value for value, _ in there], there[0][1]), published)


def _timed(times: Times, column: Column, digest: str | None, published: float | None) -> Cell:
    said = times.known.get(column.device, {}).get(digest or "")
    if said is None:
        return Cell(None, published)
    if said.get("ms") is None:
        return Cell(None, published, said.get("failure") or said["doubt"])
    half = said["half_width_ms"]
    value = Value(said["ms"], said["ms"] - half, said["ms"] + half, "runs", (said["ms"],))
    return Cell(value, published, said["doubt"])
