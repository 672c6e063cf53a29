"""What fewer bits in one layer do to a model's answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Width:
    """One layer's weights rounded to so many bits, all else left in float.

    Attributes:
        bits: of each weight.
        bytes: that the weights then take.
        divergence: how far the outputs move, at least 0: Kullback-Leibler divergence (nats, the
            mean over samples) of outputs that are probabilities, else the squared distance in
            shares of their variance; the worst over outputs.
        agreement: share of samples whose first class stays; None where outputs are no classes.
        score: the score of record; None without labels.
    """

    bits: int
    bytes: int
    divergence: float
    agreement: float | None
    score: float | None


@dataclass(frozen=True)
class Sensitivity:
    """What a layer bears.

    Attributes:
        layer: its name.
        parameters: its weights that are stored as integers.
        widths: what was tried, most bits first.
    """

    layer: str
    parameters: int
    widths: tuple[Width, ...]
