"""What the sensitivity of layers adds to a space: steps that spare what bears least."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

from edgeshrink.errors import EdgeshrinkError, UsageError
from edgeshrink.flag import options_of
from edgeshrink.recipes import Method, Place, Space
from edgeshrink.results import SensitivityReport
from edgeshrink.texts import read_text, typed


def read_sensitivity(path: Path) -> SensitivityReport:
    """Return what `edgeshrink sensitivity --json` printed.

    Raises:
        UsageError: the file is something else.
    """
    try:
        found = json.loads(read_text(path, "sensitivity"))
        return typed(SensitivityReport, found, str(path))
    except (ValueError, EdgeshrinkError) as error:
        raise UsageError(
            f"{path} is no table of what layers bear: {error}",
            hint="edgeshrink sensitivity MODEL --data SPEC --json > FILE",
        ) from error


def seeded(space: Space, report: SensitivityReport) -> Space:
    """Return a space whose steps may also spare the layers that bear least.

    A step that can be told its layers is tried on all of them, as before, and on those whose change
    alone moves the answers no more than the mean of all.

    Args:
        space: what may be tried.
        report: of the same model.
    """
    return replace(space, places=tuple(_spared(place, report) for place in space.places))


def _spared(place: Place, report: SensitivityReport) -> Place:
    more = []
    for step in place.steps:
        if step is None or not _takes_layers(step):
            continue
        if layers := hardy(report, step.name):
            given = {**step.given(), "layers": list(layers)}
            more.append(type(step)(type(step).of(given).options, step.tuning))
    return replace(place, steps=(*place.steps, *more))


def _takes_layers(step: Method) -> bool:
    names = {option.name for option in options_of(step.Options)}
    return "layers" in names and "layers" not in step.given()


def hardy(report: SensitivityReport, method: str) -> tuple[str, ...]:
    """Return the layers that bear a method best, by name; none where all are alike.

    Args:
        report: of the model.
        method: by name; one that was not tried has none.
    """
    if method not in report.methods:
        return ()
    middle = report.methods[method].middle
    found = {
        layer.layer: effect.divergence
        for layer in report.layers
        if (effect := layer.effect(method, middle)) is not None
    }
    finite = [value for value in found.values() if math.isfinite(value)]
    if len(found) < 2 or not finite:
        return ()
    mean = sum(finite) / len(finite)
    kept = [name for name, value in found.items() if value <= mean]
    if len(kept) == len(found):
        return ()
    return tuple(sorted(part for name in kept for part in name.split("+")))
