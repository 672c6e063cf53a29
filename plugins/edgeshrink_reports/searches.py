"""What a search found, as Markdown and as a page with a picture of the front."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edgeshrink.api import (
    SearchReport,
    Trial,
    in_markdown,
    search_cells,
    search_heads,
    search_summary,
)
from edgeshrink_reports.markdown import code, fenced, in_cell

ALL = ("recipe", "outcome", "took", "why")


def markdown(found: SearchReport) -> str:
    """Return a search as Markdown."""
    parts = [f"# Search: {in_markdown(found.model)}"]
    parts += [f"**Not met:** {in_markdown(found.failed)}"] if found.failed else []
    parts += ["\n".join(f"- {in_markdown(text)}" for text in search_summary(found))]
    if found.front:
        parts += ["## Front", _table(search_heads(found), search_cells(found))]
    parts += ["## All recipes", _table(list(ALL), [list(row) for row in rows(found)])]
    parts += ["## Space", fenced("toml", found.space)]
    made = [code(found.command)] if found.command else []
    made += [
        in_markdown(", ".join(f"{name} {version}" for name, version in found.versions.items()))
    ]
    parts.append("## Made with\n\n" + "\n".join(f"- {line}" for line in made))
    return "\n\n".join(parts) + "\n"


def rows(found: SearchReport) -> Iterator[tuple[str, ...]]:
    """Yield every recipe that was looked at, with what came of it."""
    for trial in found.trials:
        yield trial.words, trial.outcome, f"{trial.seconds:,.0f} s", trial.said


def drawn(found: SearchReport) -> str:
    """Return the front as an SVG element: the score over each goal, a panel each."""
    from edgeshrink_reports.plot import canvas, svg

    with canvas(len(found.goals)) as (figure, panels):
        for axes, goal in zip(panels, found.goals, strict=True):
            _panel(axes, found, goal)
        return svg(figure)


def _panel(axes: Any, found: SearchReport, goal: str) -> None:
    share = 100 if found.base is not None and found.base.share else 1

    def points(trials: list[Trial]) -> tuple[list[float], list[float]]:
        pairs = [(t.values[goal], share * t.score.value) for t in trials if t.score]
        return [x for x, _ in pairs], [y for _, y in pairs]

    others = [trial for trial in found.measured if not trial.on_front]
    front = sorted(found.front, key=lambda trial: trial.values[goal])
    axes.plot(*points(others), "o", color="0.6", markersize=4, label="others")
    axes.plot(*points(front), "o", color="C0", label="front")
    if found.picked is not None:
        picked = [found.trials[found.picked]]
        axes.plot(*points(picked), "o", color="C3", fillstyle="none", markersize=12, label="picked")
    if found.base is not None and goal in found.before:
        base = share * found.base.value
        axes.plot([found.before[goal]], [base], "D", color="k", label="as it is, in float")
    title = found.base.title if found.base else "score"
    axes.set(xlabel=found.head(goal), ylabel=f"{title}{' in %' * (share == 100)}, validation")
    axes.set_xscale("log")
    for axis in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        axis(lambda value, _: f"{value:,g}")
    axes.tick_params(axis="x", which="both", labelsize=8)
    axes.legend(fontsize=8)


def _table(heads: list[str], lines: list[list[str]]) -> str:
    told = [[in_cell(text) for text in line] for line in (heads, *lines)]
    marks = ["---"] + ["---:"] * (len(heads) - 1)
    return "\n".join("| " + " | ".join(line) + " |" for line in (told[0], marks, *told[1:]))
