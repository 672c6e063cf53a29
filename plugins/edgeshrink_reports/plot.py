"""The figures of a study, drawn by matplotlib."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from edgeshrink.api import RowFound, TableFound

SETTINGS = {"svg.fonttype": "path", "svg.hashsalt": "edgeshrink", "font.size": 10}
MARKERS = "osD^vP"


def drawn(table: TableFound) -> str:
    """Return a table's figure as an SVG element, or nothing where no point was measured.

    Ours is drawn full, with its interval; the published values hollow and dashed, in the same
    colour.
    """
    assert table.figure is not None
    keys = [column.key for column in table.columns]
    y = keys.index(table.figure.y)
    x = keys.index(table.figure.x) if table.figure.x in keys else None
    curves: dict[str, list[RowFound]] = {}
    for row in table.rows:
        if (row.x if x is None else row.cells[x].ours) is not None:
            curves.setdefault(row.series, []).append(row)
    if not any(row.cells[y].ours for rows in curves.values() for row in rows):
        return ""
    with canvas(1) as (figure, (axes,)):
        for place, (name, rows) in enumerate(curves.items()):
            _curve(axes, name, rows, x, y, f"C{place}", MARKERS[place % len(MARKERS)])
        named = table.figure.x if x is None else table.columns[x].head
        axes.set(xlabel=named, ylabel=table.columns[y].head, xscale=table.figure.scale)
        axes.legend(fontsize=8)
        return svg(figure)


@contextlib.contextmanager
def canvas(panels: int) -> Iterator[tuple[Figure, Sequence[Any]]]:
    """Lend a figure of some panels side by side, in the style of all."""
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(7 * min(panels, 2), 4.2 * -(-panels // 2)), layout="constrained")
        axes = figure.subplots(-(-panels // 2), min(panels, 2), squeeze=False).flatten()
        for one in axes[:panels]:
            one.grid(alpha=0.3)
        for one in axes[panels:]:
            one.remove()
        yield figure, axes[:panels]


def svg(figure: Figure) -> str:
    """Return a figure as an SVG element, the same for the same figure."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def _curve(
    axes: Any, name: str, rows: list[RowFound], x: int | None, y: int, colour: str, marker: str
) -> None:
    def along(row: RowFound, *, published: bool) -> float | None:
        if x is None:
            return row.x
        cell = row.cells[x]
        return cell.published if published else cell.ours and cell.ours.mean

    ours = [(along(row, published=False), row.cells[y].ours) for row in rows]
    points = [(place, value) for place, value in ours if place is not None and value]
    label = f"{name}, ours" if name else "ours"
    ends = [
        [max(0.0, v.mean - (v.mean if v.low is None else v.low)) for _, v in points],
        [max(0.0, (v.mean if v.high is None else v.high) - v.mean) for _, v in points],
    ]
    if points:
        axes.errorbar(
            [place for place, _ in points],
            [value.mean for _, value in points],
            yerr=ends,
            color=colour,
            marker=marker,
            capsize=3,
            label=label,
        )
    told = [(along(row, published=True), row.cells[y].published) for row in rows]
    there = [(place, value) for place, value in told if place is not None and value is not None]
    if there:
        axes.plot(
            *zip(*there, strict=True),
            color=colour,
            marker=marker,
            linestyle="--",
            fillstyle="none",
            alpha=0.8,
            label=f"{name}, published" if name else "published",
        )
