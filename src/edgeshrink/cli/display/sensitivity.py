"""What each layer bears, as a table: layers by methods and strengths."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from edgeshrink import words
from edgeshrink.cli.display.tables import Column, show, write

if TYPE_CHECKING:
    from rich.console import Console

    from edgeshrink.results import Effect, SensitivityReport


def show_sensitivity(report: SensitivityReport, *, to: Console) -> None:
    """Print a row for each layer, and what to do with them.

    Of several methods the first measure alone is shown, of one all of them.
    """
    kind = "made-up" if report.synthetic else "validation"
    said = f"; {report.score.title} is {words.score(report.score)}" if report.score else ""
    write(f"{report.model} on {report.samples:,} {kind} samples{said}", to=to)
    if not report.layers:
        write("no method can change a layer of it alone", to=to)
        return
    to.print()
    told, several = _measures(report), len(report.methods) > 1
    shown = list(told)[: 1 if several else None]
    columns = []
    for measure in shown:
        for method, strengths in report.methods.items():
            group = shown.index(measure) + list(report.methods).index(method)
            for strength in strengths.values:
                effects = [layer.effect(method, strength) for layer in report.layers]
                cells = [told[measure](e) if e else words.NONE for e in effects]
                head = f"{method if several else measure}\n{strengths.said(strength)}"
                columns.append(Column(head, cells, group))
    show(Column("layer", [layer.layer for layer in report.layers]), columns, to=to)
    to.print()
    if several:
        rest = ", ".join(measure for measure in told if measure not in shown)
        write(f"shown: {shown[0]}; -o FILE.csv, --json and --method NAME have {rest} too", to=to)
    if "divergence" in shown:
        write(
            "divergence: KL in nats where outputs are probabilities, else squared distance over "
            "variance",
            to=to,
        )
    write(
        "one layer changed at a time, without training: several together may cost more, and "
        "training gets some of it back",
        to=to,
    )
    for method, strengths in report.methods.items():
        advice = strengths.advice.replace("{first}", report.hurt_most(method))
        write(f"{method}, {strengths.unit}: {advice}".rstrip(": "), to=to)


def _measures(report: SensitivityReport) -> dict[str, Callable[[Effect], str]]:
    """Return how each measure is told, the one to look at first."""
    base = report.score
    found: dict[str, Callable[[Effect], str]] = {}
    if base is not None:
        unit = "points" if base.share else base.metric
        found[f"{base.title} change in {unit}"] = lambda e: (
            words.NONE if e.score is None else words.change_of(base.metric, e.score - base.value)
        )
    found["divergence"] = lambda e: words.digits(e.divergence, 2)
    found["agreement"] = lambda e: words.NONE if e.agreement is None else words.percent(e.agreement)
    found["bytes saved"] = lambda e: f"{e.bytes_saved:,}"
    found["MACs saved"] = lambda e: f"{e.macs_saved:,}"
    return found
