"""Learning curves, and scores over what was swept, drawn by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgeshrink_reports.learning import Training, short, sweeps
from edgeshrink_reports.plot import MARKERS, canvas, svg


def drawn(found: Sequence[Training]) -> str:
    """Return the curves of trainings as an SVG element: one figure, a panel for each sweep."""
    swept = sweeps(found)
    with canvas(1 + len(swept)) as (figure, panels):
        several = len({training.stage for training in found}) > 1
        for place, training in enumerate(found):
            named = (training.stage if several else "", training.trial)
            panels[0].plot(
                range(1, len(training.curve) + 1),
                training.curve,
                marker=MARKERS[place % len(MARKERS)],
                markersize=3,
                label=" ".join(filter(None, named)) or training.stage,
            )
        panels[0].set(xlabel="epoch", ylabel="validation score")
        panels[0].locator_params(axis="x", integer=True)
        panels[0].legend(fontsize=7)
        for axes, (stage, name, trials) in zip(panels[1:], swept, strict=True):
            _sweep(axes, name, trials)
            axes.set(xlabel=name, title=stage if len(swept) > 1 else None, ylabel="score")
        return svg(figure)


def _sweep(axes: Any, name: str, trials: Sequence[Training]) -> None:
    """Draw scores over one setting, a line for each combination of the others.

    What follows from the setting, as parameters from the student, tells no lines apart.
    """
    lines: dict[str, list[tuple[Any, Any]]] = {}
    for trial in trials:
        rest = {key: value for key, value in trial.settings.items() if key != name}
        if name == "parameters":
            rest.pop("student", None)
        label = ", ".join(f"{key} {short(value)}" for key, value in rest.items())
        lines.setdefault(label, []).append((trial.settings[name], trial.score))
    for place, (label, points) in enumerate(lines.items()):
        marker = MARKERS[place % len(MARKERS)]
        axes.plot(*zip(*sorted(points), strict=True), marker=marker, label=label or None)
    if any(lines):
        axes.legend(fontsize=7)
