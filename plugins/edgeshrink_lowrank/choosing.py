"""Which decomposition each layer gets, and of which rank."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from edgeshrink_lowrank.budget import allocated
from edgeshrink_lowrank.chains import chain, walked
from edgeshrink_lowrank.kinds import Factored, Kind
from edgeshrink_lowrank.matrices import Spatial, Svd
from edgeshrink_lowrank.sites import Site
from edgeshrink_lowrank.tensors import Cp, Tucker

KINDS: dict[str, type[Kind]] = {kind.name: kind for kind in (Svd, Spatial, Tucker, Cp)}
# Kim et al. take Tucker's, and where there is no window the matrix's.
BY_NOISE = ("tucker", "svd", "spatial", "cp")

Ways = Mapping[Site, Sequence[Kind]]
Progress = Callable[[float, str], None]


@dataclass
class Choice:
    """What becomes of the layers of a model.

    Attributes:
        candidates: by layer the products that it may become, for the same multiply-accumulates.
        left: why other layers stay as they are, by path.
    """

    candidates: dict[Site, list[Factored]] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)


def ways(found: Sequence[Site], names: Sequence[str], choice: Choice) -> dict[Site, list[Kind]]:
    """Return the decompositions that make a layer cheaper at some rank, by layer."""
    made = {}
    for site in found:
        fitting = [KINDS[name](site) for name in names if KINDS[name].fits(site)]
        cheaper = [kind for kind in fitting if kind.costs[0] < site.macs]
        if cheaper:
            made[site] = cheaper
        else:
            choice.left[site.path] = (
                "even of rank 1 it would compute no less" if fitting else "none of these fits it"
            )
    return made


def foretold(kinds: Sequence[Kind]) -> Sequence[Kind]:
    """Return the decompositions by which budgets are set: those whose losses are known before."""
    return [kind for kind in kinds if kind.foretold] or kinds


def for_ratio(kinds: Ways, saved: float, slack: float, choice: Choice, progress: Progress) -> None:
    """Choose so that the layers together compute so much less, and lose little in all.

    What is compared across layers is the share of a kernel's squares that is lost.

    Args:
        kinds: decompositions by layer.
        saved: multiply-accumulates that are to go.
        slack: those that may go beside.
        choice: what is found is put there.
        progress: told the share done and a note.
    """
    costs, losses = [], []
    for done, (site, those) in enumerate(kinds.items()):
        progress(done / len(kinds) / 2, f"what {site.path} loses")
        rungs = [(kind.costs, kind.losses) for kind in foretold(those)]
        cost = np.concatenate([[site.macs], *(cost for cost, _ in rungs)])
        loss = np.concatenate([[0.0], *(loss for _, loss in rungs)])
        cheaper = np.append(0, 1 + np.flatnonzero(cost[1:] < site.macs))
        costs.append(cost[cheaper])
        losses.append(loss[cheaper])
    chosen = allocated(costs, losses, sum(site.macs for site in kinds) - saved, slack)
    for done, (site, cost, place) in enumerate(zip(kinds, costs, chosen, strict=True)):
        progress((1 + done / len(chosen)) / 2, f"factoring {site.path}")
        if place:
            choice.candidates[site] = within(kinds[site], int(cost[place]))
        else:
            choice.left[site.path] = (
                "others give more for what is lost"
                if any(chosen)
                else "even its smallest step removes more than was asked for"
            )


def for_energy(kinds: Ways, energy: float, choice: Choice, progress: Progress) -> None:
    """Choose the cheapest that keeps a share of the squares of each kernel.

    Args:
        kinds: decompositions by layer.
        energy: the share, 0..1.
        choice: what is found is put there.
        progress: told the share done and a note.
    """
    for done, (site, those) in enumerate(kinds.items()):
        progress(done / len(kinds), f"factoring {site.path}")
        keeping = [one for one in (kind.keeping(energy) for kind in those) if one is not None]
        if keeping:
            choice.candidates[site] = [min(keeping, key=lambda one: one.macs)]
        else:
            choice.left[site.path] = f"to keep {energy:.0%} of its kernel it would compute no less"


def for_noise(kinds: Ways, choice: Choice, progress: Progress) -> None:
    """Choose the ranks that are above the noise, of the first of `BY_NOISE` that a layer can be.

    Args:
        kinds: decompositions by layer.
        choice: what is found is put there.
        progress: told the share done and a note.
    """
    for done, (site, those) in enumerate(kinds.items()):
        progress(done / len(kinds), f"factoring {site.path}")
        kind = min(those, key=lambda kind: BY_NOISE.index(kind.name))
        ranks = kind.above_noise()
        if kind.macs(ranks) < site.macs:
            choice.candidates[site] = [kind.factored(ranks)]
        else:
            said = "×".join(map(str, ranks))
            choice.left[site.path] = f"rank {said} is above the noise, and would compute no less"


def within(kinds: Sequence[Kind], macs: int) -> list[Factored]:
    """Return the best product of each kind for at most so many multiply-accumulates."""
    ranks = [(kind, kind.within(macs)) for kind in kinds]
    return [kind.factored(those) for kind, those in ranks if those is not None]


def by_weights(choice: Choice) -> dict[Site, Factored]:
    """Return for each layer the product that is most like its kernel."""
    return {s: min(those, key=lambda one: one.loss) for s, those in choice.candidates.items()}


def by_outputs(model: keras.Model, choice: Choice, inputs: Any) -> dict[Site, Factored]:
    """Return for each layer the product with which it answers most like before.

    Args:
        model: with the layers.
        choice: the candidates of each.
        inputs: samples in the structure of the model's inputs.
    """
    sites = {id(s.layer): s for s, those in choice.candidates.items() if len(those) > 1}
    found: dict[Site, Factored] = {}

    def call(op: Any, *args: Any, **kwargs: Any) -> Any:
        wanted = op(*args, **kwargs)
        site = sites.get(id(op))
        if site is not None and site not in found:
            errors = {
                one: np.square(np.asarray(chain(op, "trial", one)(args[0]) - wanted)).mean()
                for one in choice.candidates[site]
            }
            found[site] = min(errors, key=lambda one: errors[one])
        return wanted

    walked(model, inputs, call)
    return {**by_weights(choice), **found}
