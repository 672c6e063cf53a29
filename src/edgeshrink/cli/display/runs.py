"""How a run looks: its plan, its ledger and what was written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from edgeshrink import words
from edgeshrink.cli.display.estimates import estimated
from edgeshrink.cli.display.robustness import show_robustness
from edgeshrink.cli.display.tables import Column, show, write
from edgeshrink.results import summary

if TYPE_CHECKING:
    from rich.console import Console

    from edgeshrink.engine import Planned, PlannedStep
    from edgeshrink.results import Ledger, OnDevice, Report, Row

NONE = words.NONE


def show_plan(planned: Planned, *, to: Console) -> None:
    """Print what will be done, step by step, with what each step can and cannot change."""
    request = planned.request
    data = _data(planned)
    names = ", ".join(device.name for device in planned.devices)
    write(f"{request.model} → {request.out} for {names}, {data}", to=to)
    for number, planned_step in enumerate(planned.steps, 1):
        said = str(planned_step.step)
        if how := training(planned_step):
            said += f"  [{how}]"
        write(said, to=to, lead=f"  {number}. ")
        for note in planned_step.notes:
            write(note, to=to, lead="     – ")


def _data(planned: Planned) -> str:
    if planned.data is None:
        return "no data: accuracy will NOT be measured"
    counts = {name: count for name, count in planned.data.counts().items() if count}
    return ", ".join(f"{count:,} {name}" for name, count in counts.items()) + " samples"


def training(planned: PlannedStep) -> str:
    """Return training settings in words, without what is not set, or set by the step itself."""
    settings, own = planned.training, planned.step.given()
    if settings is None:
        return ""
    given = ((f.name, getattr(settings, f.name)) for f in fields(settings) if f.name not in own)
    return ", ".join(
        f"{name.replace('_', ' ')} {value}" for name, value in given if value is not None
    )


def show_report(report: Report, *, to: Console, files: Sequence[Path] = ()) -> None:
    """Print a report: what it means, the ledger, notes, and the files that were written."""
    ledger = report.ledger
    for line in summary(report):
        write(line, to=to)
    to.print()
    show_ledger(ledger, to=to)
    to.print()
    if report.robustness:
        show_robustness(report.robustness, to=to)
        to.print()
    if any(one.model_memory_bytes for row in ledger.rows for one in row.on):
        write(words.MEMORY, to=to, lead="– ")
    for note in report.notes:
        write(note, to=to, lead="– ")
    for row in ledger.rows:
        for note in row.notes:
            write(f"{row.step.partition('(')[0]}: {note}", to=to, lead="– ")
    if files:
        to.print()
        write("written: " + ", ".join(map(str, files)), to=to)


def show_ledger(ledger: Ledger, *, to: Console) -> None:
    """Print one row a stage."""
    rows = ledger.rows
    show(Column("stage", [row.step for row in rows]), _columns(ledger, rows), to=to)


def show_comparison(reports: Mapping[str, Report], *, to: Console) -> None:
    """Print the result of each report, after each base that they were made from."""
    names: list[str] = []
    columns: list[Column] = []
    bases: set[str] = set()
    merits = dict.fromkeys(m for r in reports.values() for row in r.ledger.rows for m in row.merits)
    for name, report in reports.items():
        rows, base = [report.ledger.final], report.ledger.base
        names.append(name)
        if base.digest not in bases:
            names.insert(-1, f"base of {name}" if bases else "base")
            rows.insert(0, base)
            bases.add(base.digest)
        found = [*_columns(report.ledger, rows), *_merits(rows, merits)]
        columns = list(map(_joined, columns, found)) if columns else found
    show(Column("report", names), columns, to=to)


def _merits(rows: Sequence[Row], names: Iterable[str]) -> list[Column]:
    """Return a column for each figure of merit, in a table of their own where there is no room."""
    return [
        Column(
            name.replace("_", " "),
            [words.digits(row.merits[name]) if name in row.merits else NONE for row in rows],
            2,
        )
        for name in names
    ]


def _joined(one: Column, other: Column) -> Column:
    head = other.head if one.empty else one.head
    return Column(head, one.cells + other.cells, one.group)


def _weighed(row: Row, told: str) -> str:
    """Return what is told of a row's weights; a forest has none."""
    return told if row.parameters else NONE


def _columns(ledger: Ledger, rows: Sequence[Row]) -> list[Column]:
    metric = next((row.score.title for row in ledger.rows if row.score), "score")
    marks = [" *" if row.significant else "" for row in rows]
    return [
        Column("weights", [_weighed(row, words.amount(row.parameters)) for row in rows]),
        Column("non-zero", [_weighed(row, words.percent(1 - row.sparsity)) for row in rows]),
        Column("MACs", [_weighed(row, words.amount(row.macs)) for row in rows]),
        Column("bytes", [f"{row.size_bytes:,}" for row in rows]),
        Column("deflated", [f"{row.compressed_bytes:,}" for row in rows]),
        Column("on disk", [f"{words.digits(ledger.on_disk(row))}×" for row in rows]),
        Column("download", [f"{words.digits(ledger.download(row))}×" for row in rows]),
        Column(
            metric,
            [
                words.score(r.score) + m if r.score else NONE
                for r, m in zip(rows, marks, strict=True)
            ],
            1,
        ),
        Column("95 %", [words.interval(row.score) if row.score else NONE for row in rows], 1),
        *_beside(rows),
        Column(
            "agrees",
            [words.percent(row.agreement.share) if row.agreement else NONE for row in rows],
            1,
        ),
        *(column for device in ledger.devices for column in _on_device(ledger, rows, device)),
        Column("took", ["reused" if r.reused else words.duration(r.seconds) for r in rows], 1),
    ]


def _beside(rows: Sequence[Row]) -> list[Column]:
    """Return a column for each score that is told beside that of record."""
    told = [{score.title: words.score(score) for score in row.beside} for row in rows]
    titles = dict.fromkeys(title for row in told for title in row)
    return [Column(title, [row.get(title, NONE) for row in told], 1) for title in titles]


def _on_device(ledger: Ledger, rows: Sequence[Row], device: str) -> list[Column]:
    """Return what a device said; one that is not the only one is named in each head."""
    beside = f" {device}" if len(ledger.devices) > 1 else ""
    said = [row.at(device) for row in rows]

    def latency(one: OnDevice | None) -> str:
        if one is None or one.latency is None:
            return one.untimed if one else NONE
        return words.milliseconds(one.latency.median_ms)

    # accuracy is told again only where a device other than this machine computed it
    away = [one if one and one.host_error is not None else None for one in said]
    return [
        Column(f"latency{beside}", [latency(one) for one in said], 1),
        Column(
            f"±{beside}",
            [
                words.milliseconds(one.latency.standard_error_ms) if one and one.latency else NONE
                for one in said
            ],
            1,
        ),
        _memory(said, beside),
        Column(
            f"energy{beside}",
            [
                f"{words.digits(one.energy.millijoules)} mJ" if one and one.energy else NONE
                for one in said
            ],
            1,
        ),
        Column(
            f"score there{beside}",
            [words.score(one.score) if one and one.score else NONE for one in away],
            1,
        ),
        *estimated(
            [one.estimate if one else None for one in said],
            beside,
            list(ledger.devices).index(device),
        ),
    ]


def _memory(said: Sequence[OnDevice | None], beside: str) -> Column:
    """Return the memory that models take, or, where the device does not tell it, processes."""
    own = [(one.arena_bytes or one.model_memory_bytes) if one else None for one in said]
    if any(own):
        return Column(f"memory{beside}", [words.size(held) for held in own], 1)
    whole = [one.memory_bytes if one else None for one in said]
    return Column(f"process{beside}", [words.size(held) for held in whole], 1)
