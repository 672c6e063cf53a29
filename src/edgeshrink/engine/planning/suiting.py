"""A precision that toolchains take, where none was asked for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from edgeshrink.devices import DeviceProfile
from edgeshrink.models import ModelFacts
from edgeshrink.recipes import MADE_BY, Methods, Plan, Recipe, read_by_all

if TYPE_CHECKING:
    from edgeshrink.samples import Dataset


def suited(
    recipe: Recipe,
    asked: Collection[str],
    methods: Methods,
    found: ModelFacts,
    data: Dataset | None,
    devices: Sequence[DeviceProfile],
) -> tuple[Recipe, str] | None:
    """Return the recipe with another precision than the one by default, and why, in words.

    Args:
        recipe: with what is on by default.
        asked: names of the steps that were asked for.
        methods: the registry.
        found: facts of the model.
        data: without it there are no integers to compute with.
        devices: that the result is for, with what reads it.

    Returns:
        None where a precision was asked for, no toolchain is named, or the default suits it.
    """
    toolchains = dict.fromkeys(name for device in devices for name in device.toolchains)
    places = [p for p, step in enumerate(recipe.steps) if step.default and step.name not in asked]
    if not toolchains or not places:
        return None
    before, usual, after = (
        recipe.steps[: places[0]],
        recipe.steps[places[0]],
        recipe.steps[places[0] + 1 :],
    )
    reads = dict.fromkeys(reader for device in devices for reader in device.reads)
    device = replace(devices[0], reads=tuple(reads))
    read = [MADE_BY[one] for one in read_by_all(Plan(found, before, after, data, device))]
    if not read or usual.name in read or read[0] not in methods:
        return None
    told = f"no precision was asked for: {read[0]} is read by {' and '.join(toolchains)}"
    return replace(recipe, steps=(*before, methods[read[0]](), *after)), told
