"""What to leave out of a model: by the harm, measured, one section after another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras

from edgeshrink.api import Asked, Context, ModelError, near
from edgeshrink.nn import (
    ModelCount,
    Passed,
    Section,
    Switched,
    count,
    finetune,
    reestimate_batchnorm,
    rewritten,
    sections,
    without,
)

if TYPE_CHECKING:
    from edgeshrink_droplayers.options import Options

RANKED_ON = 1000  # validation samples, at most
TOLD = 12  # harms in a sentence; all of them are among the facts


@dataclass(frozen=True)
class Trial:
    """A section that was left out for a while.

    Attributes:
        section: what was left out.
        harm: what it costs that this, and all that was dropped before, are left out: points of
            the score, or of agreement.
        order: the least first: the harm, or what this section adds to it by the
            multiply-accumulates that go with it.
    """

    section: Section
    harm: float
    order: float


def drop(model: keras.Model, options: Options, context: Context) -> keras.Model:
    """Leave out what does the least harm, or the least by what it saves, then train what is left.

    Whole layers and residual branches go (layer pruning: Choudhary et al., Artificial Intelligence
    Review 2020, section 2.1, with Chen and Zhao, "Shallowing deep networks", TPAMI 2018; Elkerdawy
    et al., "To filter prune, or to layer prune, that is the question", ACCV 2020; of residual
    branches Veit et al., NIPS 2016, section 4). Importance is not read off weights or features:
    each model without a section is made and run. It is measured again after each one that goes,
    but not of sections that did more harm before than the least does now (lazily, as Minoux, 1978:
    a section rarely matters less where others are missing).

    Raises:
        ModelError: there is nothing that can be left out.
    """
    rest = rewritten(model, lambda op, name: None)
    search = Search(
        rest,
        context,
        rounds=1 if options.count == "auto" else options.count,
        of=options.of,
        by_macs=options.rank == "harm-per-mac",
    )
    before, reason = count(rest), ""
    dropped: list[Trial] = []
    while options.count == "auto" or len(dropped) < options.count:
        best = search.least(rest)
        if best is None:
            reason = "nothing else has an output of the shape of its input"
            break
        if options.count == "auto" and best.harm > options.tolerance:
            reason = (
                f"without {best.section.name} the harm of {best.harm:.4f} is over the tolerance"
            )
            break
        dropped.append(best)
        rest = without(rest, best.section)
    if not search.alone:
        raise ModelError(
            "drop_layers found nothing to drop: the model has no residual branch, and no layer "
            "whose output has the shape of its input",
            hint="--shrink makes layers narrower instead",
        )
    _tell(context, search, dropped, before, count(rest))
    if options.count == "auto":
        context.notes.append(f"no more were dropped: {reason}")
    else:
        asked = Asked(
            "drop_layers", options.count, "layers", len(dropped), verb="dropped", why=reason
        )
        asked.tell(context)
        if asked.missed:
            context.notes.append(asked.missed)
    if not dropped:
        return model
    if context.trains:
        return finetune(rest, context)
    reestimate_batchnorm(rest, context)
    return rest


class Search:
    """Tries models without a section.

    Attributes:
        alone: the harm of each section when it was first tried, by name.
    """

    def __init__(
        self,
        model: keras.Model,
        context: Context,
        *,
        rounds: int,
        of: Sequence[str] = (),
        by_macs: bool = False,
    ) -> None:
        self.context, self.rounds, self.round, self.by_macs = context, rounds, 0, by_macs
        self.before = 0.0  # the harm of what was dropped
        known = {name: section for section in sections(model) for name, _ in section.passed}
        for name in of:
            if name not in known:
                raise ModelError(f"{name} cannot be dropped", hint=near(name, known))
        self.wanted = set(of or known)
        self.score = context.evaluate(model, RANKED_ON)
        self.alone: dict[str, float] = {}
        self._last: dict[Passed, float] = {}

    def least(self, model: keras.Model) -> Trial | None:
        """Return the first section in order, the larger of two alike; None without."""
        found = [s for s in sections(model) if self.wanted.intersection(dict(s.passed))]
        switched = Switched(model, found)
        best: Trial | None = None
        for place, section in enumerate(sorted(found, key=self._known)):
            if best is not None and best.order < self._known(section):
                break
            share = min(1.0, (self.round + place / len(found)) / self.rounds)
            self.context.progress(share, f"without {section.name} ({place + 1} of {len(found)})")
            with switched.left_out(section) as short:
                harm = self.harm(short)
            added = (harm - self.before) / max(1, section.macs)
            trial = Trial(section, harm, added if self.by_macs else harm)
            self._last[section.passed] = trial.order
            self.alone.setdefault(section.name, harm)
            best = min(best or trial, trial, key=lambda t: (t.order, -t.section.macs))
        self.round += 1
        self.before = best.harm if best else self.before
        return best

    def _known(self, section: Section) -> float:
        """Return the place of a section in the order when it was last tried."""
        return self._last.get(section.passed, -math.inf)

    def harm(self, model: keras.Model) -> float:
        """Return what a model loses of the score, else of the agreement with the step's input."""
        score = self.context.evaluate(model, RANKED_ON)
        if score is not None and self.score is not None:
            return self.score - score
        agreed = self.context.agreement(model)
        # where the first class is the same for all inputs, it tells nothing
        return 1 - (agreed.cosine if agreed.classes == 1 else agreed.share)

    def __str__(self) -> str:
        """Return what harm is, and on how many samples it is measured."""
        data = self.context.data
        if data is None or data.validation is None:
            return "agreement with the model before on made-up inputs"
        samples = f"on {min(RANKED_ON, len(data.validation)):,} validation samples"
        if self.score is None:
            return f"agreement with the model before {samples}"
        return f"score {samples}, {self.score:.4f} with all layers"


def _tell(
    context: Context,
    search: Search,
    dropped: Sequence[Trial],
    before: ModelCount,
    after: ModelCount,
) -> None:
    """Say what each section matters, and what was dropped."""
    ranked = sorted(search.alone.items(), key=lambda entry: entry[1])
    listed = "; ".join(f"{name} {harm:.4f}" for name, harm in ranked[:TOLD])
    more = f"; and {len(ranked) - TOLD} that matter more" if len(ranked) > TOLD else ""
    context.notes.append(f"harm of dropping each alone ({search}): {listed}{more}")
    context.notes += [f"dropped {t.section}; harm so far {t.harm:.4f}" for t in dropped]
    context.notes.append(
        f"{len(dropped)} dropped: {before.macs:,} MACs became {after.macs:,}, "
        f"{before.parameters:,} parameters {after.parameters:,}"
    )
    context.facts["dropped"] = [trial.section.name for trial in dropped]
    context.facts["harms"] = dict(ranked)
    context.facts["harm"] = dropped[-1].harm if dropped else 0.0
