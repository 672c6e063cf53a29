"""Low rank: layers in whose place stands a chain of smaller ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras

from edgeshrink.api import TOLERANCE, Asked, Context, ModelError
from edgeshrink.nn import Call, ModelCount, count, finetune, functional, layers_in, rewritten
from edgeshrink_lowrank.chains import chain, samples
from edgeshrink_lowrank.choosing import (
    Choice,
    Ways,
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
HALF = 0.5  # of a kernel's squares: where more are lost it is told


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
        found = [s for s in found if named & set(map(id, s.layer._flatten_layers()))]
        left = {}
    choice = Choice(left=left)
    kinds = ways(found, options.kinds, choice)
    inputs = samples(model, context, SAMPLES)

    def decided() -> dict[Site, Factored]:
        if not choice.candidates:
            raise ModelError(
                f"no layer would compute less: {reasons(choice.left) or 'none has a kernel'}",
                hint="ask for less energy, another ratio, or other layers" if kinds else "",
            )
        return by_weights(choice) if inputs is None else by_outputs(model, choice, inputs)

    if isinstance(options.ratio, float):
        saved, slack = before.macs * options.ratio, TOLERANCE * before.macs
        for_ratio(kinds, saved, slack, choice, context.progress)
        chosen = decided()
        # of several decompositions those that were chosen may take less than their budgets
        if sum(site.macs - one.macs for site, one in chosen.items()) > saved + slack:
            choice.candidates = {}
            settled = {site: [one.kind] for site, one in chosen.items()}
            for_ratio(settled, saved, slack, choice, context.progress)
            chosen = decided()
    elif options.energy is not None:
        for_energy(kinds, options.energy, choice, context.progress)
        chosen = decided()
    else:
        for_noise(kinds, choice, context.progress)
        chosen = decided()
    places = {id(site.layer): one for site, one in chosen.items()}

    def change(op: Any, name: str) -> Call | None:
        return chain(op, name, places[id(op)]) if id(op) in places else None

    made = rewritten(model, change)
    if context.trains:
        finetune(made, context)
    after = count(made)
    if isinstance(options.ratio, float):
        asked(options.ratio, kinds, chosen, before, after).tell(context)
    _tell(context, chosen, choice.left, before, after)
    return made


def asked(
    ratio: float,
    kinds: Ways,
    chosen: Mapping[Site, Factored],
    before: ModelCount,
    after: ModelCount,
) -> Asked:
    """Return the share that was asked for beside the one that was removed."""
    ends = {site: min(kind.costs[0] for kind in those) for site, those in kinds.items()}
    least = before.macs - sum(site.macs - cost for site, cost in ends.items())
    widest = max(chosen, key=lambda site: site.macs)
    return Asked(
        "lowrank",
        ratio,
        "the multiply-accumulates",
        1 - after.macs / before.macs,
        finest=chosen[widest].step / before.macs / 2,  # the nearest of two ranks is no farther
        why=f"no ranks come nearer, and the layers that can be factored leave "
        f"{least / before.macs:.1%} even of rank 1: shrink the model too, or name more kinds",
    )


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
    emptied = [site.path for site, one in chosen.items() if one.loss > HALF]
    if emptied:
        context.notes.append(
            f"more than half of the kernel's squares lost: {', '.join(emptied)}; what is left may "
            "answer otherwise before training: --lowrank-energy says what each kernel keeps"
        )
    if left:
        context.notes.append(f"left as they are: {reasons(left)}")
    recurrent = [site for site in chosen if cells_of(site.layer)]
    if recurrent:
        context.notes.append(
            f"of {', '.join(site.path for site in recurrent)} only the input kernel is factored: "
            "no plain Keras layer has a recurrent kernel that is a product"
        )
