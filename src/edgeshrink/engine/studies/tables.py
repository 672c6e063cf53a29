"""The tables of a study, filled with what its runs have found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from edgeshrink.engine.studies.figures import figure_of, stage_of
from edgeshrink.engine.studies.grid import Grid, Waiting
from edgeshrink.engine.studies.study_request import Run
from edgeshrink.engine.studies.times import Times
from edgeshrink.errors import StudyError
from edgeshrink.recipes import MEASURES, Column, Filled, StudyRow
from edgeshrink.results import (
    Cell,
    Report,
    Row as LedgerRow,
    RowFound,
    StudyReport,
    TableFound,
    Value,
    held,
)

MACHINE = ("cpu", "cores", "machine", "system", "runtime", "runtime_version", "adapter")


def tabled(grid: Grid, times: Times) -> StudyReport:
    """Return all tables of a study with what there is."""
    tables = tuple(
        table_of(filled, [_row(grid, times, filled, row) for row in filled.rows])
        for filled in grid.study.tables
    )
    found = [r for run in _all_runs(grid) if (r := _result(grid, run)) and "report" in r]
    heading = grid.study.heading
    return StudyReport(
        heading.title,
        heading.cite,
        grid.request.command,
        tables,
        {f"{name}.keras": said for name in grid.study.models if (said := grid.making(name))},
        _machines(found, times),
        grid.versions,
        (heading.note,) if heading.note else (),
        times.lost,
    )


def table_of(filled: Filled, rows: Sequence[RowFound]) -> TableFound:
    """Return a table with its rows, and what is claimed of them."""
    table = filled.table
    claims = tuple(held(claim, filled.columns, rows) for claim in filled.claims)
    return TableFound(
        table.name, table.title, table.note, filled.columns, tuple(rows), filled.figure, claims
    )


def stale(runs: Sequence[Mapping[str, Any]], used: Mapping[int, str]) -> str:
    """Return when those runs were made that used other sources than there are now.

    Args:
        runs: as `RowFound` has them.
        used: by seed, the digest of what a run uses now.
    """
    older = [run for run in runs if run.get("used") != used.get(run.get("seed", -1))]
    days = sorted({str(run["made"]) for run in older if run.get("made")})
    if not older:
        return ""
    return f"made{f' on {days[-1]}' if days else ''}; code that it used has changed since"


def _all_runs(grid: Grid) -> list[Run]:
    return list(dict.fromkeys(run for f, row in grid.rows() for run in grid.runs(f, row)))


def _result(grid: Grid, run: Run) -> dict[str, Any] | None:
    """Return what a run found or how it, or the making of its model, failed; None if not run."""
    try:
        return grid.job(run).result()
    except Waiting:
        return None
    except StudyError as error:
        return {"error": str(error)}


def _machines(found: Sequence[Mapping[str, Any]], times: Times) -> dict[str, dict[str, Any]]:
    """Return each device in words, as the runs and the timing were told."""
    told = {k: v for one in found for k, v in one["report"]["devices"].items() if v}
    for device, files in times.known.items():
        for one in files.values():
            told[device] = one.get("machine") or told.get(device, {})
    return {
        name: {k: v for k, v in one.items() if k in MACHINE and v} for name, one in told.items()
    }


def _row(grid: Grid, times: Times, filled: Filled, row: StudyRow) -> RowFound:
    runs = grid.runs(filled, row)
    results = {run: found for run in runs if (found := _result(grid, run)) is not None}
    whole = {run: found for run, found in results.items() if "report" in found}
    errors = {
        run: grid.request.placeless(found["error"])
        for run, found in results.items()
        if "error" in found
    }
    stages = [_stage(found, row) for found in whole.values()]
    missing, failed = _missing(row, stages, list(errors.values()))
    digest = times.place(row, filled)
    cells = tuple(
        Cell(None, row.published.get(column.key))
        if missing
        else _timed(times, column, digest and digest[0], row.published.get(column.key))
        if column.measure == "ms"
        else _cell(column, stages, row.published.get(column.key))
        for column in filled.columns
    )
    notes = [f"{run}: failed: {error}" for run, error in errors.items() if not missing]
    if not missing and len(results) < len(runs):
        notes.append(f"{len(runs) - len(results)} of {len(runs)} seeds are not run yet")
    unmet = {run.seed: found["report"]["failed"] for run, found in whole.items()}
    notes += [f"seed {seed}: {said}" for seed, said in unmet.items() if said]
    made = tuple(
        {
            "seed": run.seed,
            "digest": stage.rows[stage.place].digest,
            "seconds": one["seconds"],
            "made": one.get("made", ""),
            "used": one.get("used", ""),
        }
        for (run, one), stage in zip(whole.items(), stages, strict=True)
        if stage.place is not None
    )
    return RowFound(
        row.label,
        grid.command(runs[0], len(runs)) if runs and not row.left_out else "",
        cells,
        grid.study.otherwise(row),
        missing,
        failed or bool(errors),
        tuple(notes),
        row.series,
        row.x,
        made,
        stale(made, {run.seed: grid.used(run) for run in runs}),
    )


class Stage(NamedTuple):
    """Where a row's figures come from in a run: a place in its ledger, some of its layers."""

    rows: Sequence[LedgerRow]
    place: int | None
    layers: Mapping[str, Sequence[int]]


def _stage(found: Mapping[str, Any], row: StudyRow) -> Stage:
    rows = Report.from_dict(found["report"]).ledger.rows
    place = stage_of(rows, row.at)
    told = found["layers"][place] if row.layers and place is not None else {}
    chosen = {n: one for n, one in told.items() if any(fnmatchcase(n, p) for p in row.layers)}
    return Stage(rows, place, chosen)


def _missing(row: StudyRow, stages: Sequence[Stage], errors: Sequence[str]) -> tuple[str, bool]:
    """Return why a row has no figures, empty if it has, and whether that is a failure."""
    if row.left_out:
        return f"left out: {row.left_out}", False
    if not stages:
        return (f"failed: {errors[0]}", True) if errors else ("not run", False)
    for stage in stages:
        if stage.place is None:
            had = ", ".join(one.step for one in stage.rows)
            return f"failed: no stage {row.at!r} in the run; it has {had}", True
        if row.layers and not stage.layers:
            return f"failed: no layer fits {', '.join(row.layers)}", True
    return "", False


def _cell(column: Column, stages: Sequence[Stage], published: float | None) -> Cell:
    each = [
        figure_of(column.measure, stage.rows, stage.place, stage.layers)
        for stage in stages
        if stage.place is not None
    ]
    there = [one for one in each if one is not None]
    if not there:
        return Cell(None, published)
    bounds = MEASURES[column.measure].bounds
    return Cell(Value.of([value for value, _ in there], there[0][1], bounds), published)


def _timed(times: Times, column: Column, digest: str | None, published: float | None) -> Cell:
    said = times.known.get(column.device, {}).get(digest or "")
    if said is None:
        return Cell(None, published)
    if said.get("ms") is None:
        return Cell(None, published, said.get("failure") or said["doubt"])
    half = said["half_width_ms"]
    value = Value(said["ms"], said["ms"] - half, said["ms"] + half, "runs", (said["ms"],))
    return Cell(value, published, said["doubt"])
