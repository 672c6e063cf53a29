"""The figure of what layers bear, drawn by matplotlib: a chart for each method."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Iterator
from typing import Any

from matplotlib.figure import Figure

from edgeshrink.api import SensitivityReport, Strengths
from edgeshrink_reports import plot

LEAST = 1e-6  # divergence below which nothing can be seen
MANY = 25  # layers from which on their names are small
LONG = 20  # characters of a name from which on it tells one layer and how many more


def element(report: SensitivityReport) -> str:
    """Return the figure as an SVG element, the same for the same report."""
    with _drawn(report) as figure:
        return plot.svg(figure)


def svg(report: SensitivityReport) -> bytes:
    """Return the figure as an .svg file."""
    return element(report).encode()


def png(report: SensitivityReport) -> bytes:
    """Return the figure as a .png file."""
    data = io.BytesIO()
    with _drawn(report) as figure:
        figure.savefig(data, format="png", dpi=144, metadata={"Software": None})
    return data.getvalue()


@contextlib.contextmanager
def _drawn(report: SensitivityReport) -> Iterator[Figure]:
    """Lend the figure: layers from left to right, the most sensitive first; a line a strength."""
    with plot.canvas(max(1, len(report.methods))) as (figure, panels):
        for axes, (method, strengths) in zip(panels, report.methods.items(), strict=False):
            _chart(axes, report, method, strengths)
        ends = [axes.get_ylim() for axes in panels]
        for axes in panels:  # charts are there to be compared
            axes.set_ylim(min(low for low, _ in ends), max(high for _, high in ends))
        yield figure


def _chart(axes: Any, report: SensitivityReport, method: str, strengths: Strengths) -> None:
    layers = [layer for layer in report.layers if layer.of(method)]
    scored = report.score is not None
    for place, strength in enumerate(strengths.values):
        points = [
            (at, effect.score if scored else max(effect.divergence, LEAST))
            for at, layer in enumerate(layers)
            if (effect := layer.effect(method, strength)) and math.isfinite(effect.divergence)
        ]
        axes.plot(
            [at for at, _ in points],
            [value for _, value in points],
            marker=plot.MARKERS[place % len(plot.MARKERS)],
            color=f"C{place}",
            linewidth=1,
            label=strengths.said(strength),
        )
    if report.score is not None:
        axes.axhline(report.score.value, color="0.4", linestyle=":", label="unchanged")
    axes.set(title=f"{method}: {strengths.unit}")
    axes.set(ylabel=report.score.title if report.score else "divergence")
    axes.set_yscale("linear" if scored else "log")
    names = [_short(layer.layer) for layer in layers]
    size = 8 if len(names) < MANY else 4
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=size)
    axes.legend(fontsize=8)


def _short(name: str) -> str:
    first, *others = name.split("+")
    return f"{first}+{len(others)} more" if others and len(name) > LONG else name
