"""Low rank: layers in whose place stands a chain of smaller ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras

from edgeshrink.api import Context, ModelError
from edgeshrink.nn import Call, ModelCount, count, finetune, functional, layers_in, rewritten
from edgeshrink_lowrank.chains import chain, samples
from edgeshrink_lowrank.choosing import (
    Choice,
    by_outputs,
    by_weights,
    for_energy,
    for_noise,
    for_ratio,
    ways,
)
from edgeshrink_lowrank.kinds import Factored
from edgeshrink_lowrank.sites import Site, cells_of, reasons, sites

if TYPE_CHECKING:
    from edgeshrink_lowrank.options import LowrankOptions

SAMPLES = 64  # on which decompositions of a layer are compared


def lowrank(model: keras.Model, options: LowrankOptions, context: Context) -> keras.Model:
    """Replace layers by chains of lower rank, and train what comes of it where there is data.

    Raises:
        UsageError: a name that no layer has.
        ModelError: no layer would compute less.
    """
    functional(model)
    before = count(model)
    found, left = sites(model)
    if options.layers != ("all",):
        named = {id(layer) for layer in layers_in(model, options.layers, "lowrank")}
        found = [s for s in found if named & {id(s.layer), *map(id, s.parts)}]
        left = {}
    choice = Choice(left=left)
    kinds = ways(found, options.kinds, choice)
    if options.energy is not None:
        for_energy(kinds, options.energy, choice, context.progress)
    elif options.ratio == "vbmf":
        for_noise(kinds, choice, context.progress)
    else:
        rest = before.macs - sum(site.macs for site in kinds)
        least = rest + sum(min(kind.costs[0] for kind in those) for those in kinds.values())
        wanted = before.macs * (1 - float(options.ratio or 0))
        if wanted < least:
            context.facts["unmet"] = (
                f"lowrank: {options.ratio:.1%} of the multiply-accumulates cannot be removed so: "
                f"the layers that can be factored leave {least:,} of {before.macs:,} even of rank "
                f"1; ask for well below {1 - least / before.macs:.0%}, or shrink the others too"
            )
        for_ratio(kinds, wanted - rest, choice, context.progress)
    if not choice.candidates:
        raise ModelError(
            f"no layer would compute less: {reasons(choice.left) or 'none has a kernel'}",
            hint="ask for less energy, a ratio, or other layers" if kinds else "",
        )
    inputs = samples(model, context, SAMPLES)
    chosen = by_weights(choice) if inputs is None else by_outputs(model, choice, inputs)
    places = {id(site.layer): one for site, one in chosen.items()}

    def change(op: Any, name: str) -> Call | None:
        return chain(op, name, places[id(op)]) if id(op) in places else None

    made = rewritten(model, change)
    if context.trains:
        finetune(made, context)
    _tell(context, chosen, choice.left, before, count(made))
    return made


def _tell(
    context: Context,
    chosen: Mapping[Site, Factored],
    left: Mapping[str, str],
    before: ModelCount,
    after: ModelCount,
) -> None:
    """Write figures and sentences on what changed, and what did not."""
    context.facts["macs"] = after.macs
    context.facts["macs_removed"] = 1 - after.macs / before.macs
    context.facts["parameters"] = after.parameters
    context.facts["lowrank"] = {
        site.path: {
            "kind": one.kind.name,
            "ranks": list(one.ranks),
            "macs_before": site.macs,
            "macs": one.macs,
            "energy_lost": one.loss,
        }
        for site, one in chosen.items()
    }
    context.notes.append(
        f"layers that became chains: {len(chosen)}; {before.macs:,} → {after.macs:,} "
        f"multiply-accumulates ({after.macs / before.macs - 1:+.1%}), "
        f"{before.parameters:,} → {after.parameters:,} parameters"
    )
    context.notes += [
        f"{site.path}: {one.kind.name} of rank {'×'.join(map(str, one.ranks))}, "
        f"{site.macs:,} → {one.macs:,} ({one.macs / site.macs - 1:+.1%}), "
        f"{one.loss:.1%} of the kernel's squares lost"
        for site, one in chosen.items()
    ]
    if left:
        context.notes.append(f"left as they are: {reasons(left)}")
    recurrent = [site for site in chosen if cells_of(site.layer)]
    if recurrent:
        context.notes.append(
            f"of {', '.join(site.path for site in recurrent)} only the input kernel is factored: "
            "no plain Keras layer has a recurrent kernel that is a product"
        )
