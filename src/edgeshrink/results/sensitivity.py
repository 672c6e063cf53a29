"""What each layer of a model bears: what one change to it alone does to the model's answers."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from edgeshrink.errors import UsageError, near
from edgeshrink.recipes import Strengths
from edgeshrink.results.metric import Score
from edgeshrink.results.verdict import Drop, allowed

ROUNDING = 1e-9  # of differences of shares


@dataclass(frozen=True)
class Effect:
    """What a method does to a model where it changes one layer so strongly, and nothing else.

    Attributes:
        method: its name.
        strength: one of its `strengths`.
        bytes_saved: of the model's weights, in float unless bits are what the method changes; of a
            zero those of a float, which a packed file saves.
        macs_saved: multiply-accumulates of one sample.
        divergence: how far the outputs move, at least 0: Kullback-Leibler divergence (nats, the
            mean over samples) of outputs that are probabilities, else the squared distance in
            shares of their variance; the worst over outputs; infinite where they are not finite,
            and then there is neither agreement nor score.
        agreement: share of samples whose first class stays, 0..1; None where outputs are no
            classes.
        score: the score of record; None without labels.
    """

    method: str
    strength: float
    bytes_saved: int
    macs_saved: int
    divergence: float
    agreement: float | None
    score: float | None


@dataclass(frozen=True)
class Sensitivity:
    """What a layer bears.

    Attributes:
        layer: its name; of layers that can only be changed together, the names joined by `+`.
        parameters: its weights, of layers together those of all.
        effects: of each method that can change it, its mildest strength first.
    """

    layer: str
    parameters: int
    effects: tuple[Effect, ...]

    def effect(self, method: str, strength: float) -> Effect | None:
        """Return what a method does at one strength; None where it was not tried."""
        return next((e for e in self.of(method) if e.strength == strength), None)

    def of(self, method: str) -> tuple[Effect, ...]:
        """Return what a method does, at its mildest strength first."""
        return tuple(effect for effect in self.effects if effect.method == method)


@dataclass(frozen=True)
class SensitivityReport:
    """What each layer of a model bears.

    Attributes:
        model: as it was named.
        samples: how many inputs were compared on.
        synthetic: the inputs were made up, not data.
        score: of the model as it is; None without labels.
        methods: those that were tried, by name, each with its strengths.
        layers: those that a method can change, the most sensitive first: by the mean over methods
            of the divergence at the middle strength, in shares of the method's greatest.
        warnings: what was decided for the user, and what may be wrong.
    """

    model: str
    samples: int
    synthetic: bool
    score: Score | None
    methods: Mapping[str, Strengths]
    layers: tuple[Sensitivity, ...]
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    def as_csv(self) -> str:
        """Return a table with a line for each effect."""
        text = io.StringIO()
        heads = ["layer", "parameters", *(one.name for one in fields(Effect))]
        table = csv.DictWriter(text, heads, lineterminator="\n")
        table.writeheader()
        for layer in self.layers:
            first = {"layer": layer.layer, "parameters": layer.parameters}
            table.writerows({**first, **asdict(effect)} for effect in layer.effects)
        return text.getvalue()

    def hurt_most(self, method: str) -> str:
        """Return the layer whose change by a method moves the answers most, or an empty text."""
        middle = self.methods[method].middle
        found = [
            (effect.divergence, layer.layer)
            for layer in self.layers
            if (effect := layer.effect(method, middle))
        ]
        return max(found, default=(0.0, ""))[1]


def most_sensitive_first(
    layers: Mapping[str, Sensitivity], methods: Mapping[str, Strengths]
) -> tuple[Sensitivity, ...]:
    """Return layers in the order of a report.

    Args:
        layers: by name.
        methods: by name.
    """
    shares: dict[str, list[float]] = {name: [] for name in layers}
    for method, strengths in methods.items():
        found = {
            name: effect.divergence
            for name, layer in layers.items()
            if (effect := layer.effect(method, strengths.middle)) is not None
        }
        greatest = max(filter(math.isfinite, found.values()), default=0.0) or 1.0
        for name, divergence in found.items():
            shares[name].append(divergence / greatest if math.isfinite(divergence) else 1.0)
    worth = {name: sum(own) / len(own) if own else 0.0 for name, own in shares.items()}
    return tuple(layers[name] for name in sorted(layers, key=worth.__getitem__, reverse=True))


def bearable(report: SensitivityReport, method: str, drop: float) -> dict[str, float]:
    """Return the greatest strength at which each layer alone costs no more than a drop.

    From the mildest strength on, until one costs more. Layers are measured one at a time: what is
    done to several of them costs more than each alone does.

    Args:
        report: of `edgeshrink sensitivity`.
        method: one of those in the report.
        drop: of the score, in points of a share (1 for one of a hundred samples), or in the
            metric's unit; without labels, in points of agreement.

    Returns:
        Strengths by layer, those that bear most first, among equals those whose answers move
        least; layers that bear not even the mildest strength are left out.

    Raises:
        UsageError: the method is not in the report, the drop is below 0, or there are neither
            labels nor classes to count it in.
    """
    if method not in report.methods:
        raise UsageError(
            f"{method!r} was not tried on {report.model}", hint=near(method, report.methods)
        )
    if not drop >= 0:
        raise UsageError(f"a drop must be a number, at least 0; received {drop!r}")
    share = report.score is None or report.score.share
    most = allowed(Drop(drop), 0.0, None, share=share)
    found: dict[str, Effect] = {}
    for layer in report.layers:
        for effect in layer.of(method):
            if not _lost(report, effect) <= most + ROUNDING:
                break
            found[layer.layer] = effect
    ranks = {value: place for place, value in enumerate(report.methods[method].values)}
    order = sorted(found, key=lambda n: (-ranks[found[n].strength], found[n].divergence))
    return {name: found[name].strength for name in order}


def _lost(report: SensitivityReport, effect: Effect) -> float:
    """Return how much worse the model is, in the unit of the score, or of agreement."""
    if not math.isfinite(effect.divergence):
        return math.inf
    if report.score is not None and effect.score is not None:
        lost = report.score.value - effect.score
        return lost if report.score.higher_is_better else -lost
    if effect.agreement is None:
        raise UsageError(
            f"nothing tells what {report.model} loses: it has no classes, and there are no labels",
            hint="measure with --data that has labels",
        )
    return 1 - effect.agreement
