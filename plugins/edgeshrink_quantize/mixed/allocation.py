"""How many bits each layer gets: the least loss within a budget of bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Objectives are scaled to this, so that the solver's absolute tolerances do not matter.
SCALE = 1e4


@dataclass(frozen=True)
class Choice:
    """One width that a layer could have: its bytes in the file, and what it alone would lose."""

    bits: int
    bytes: int
    loss: float


def allocated(choices: Mapping[str, Sequence[Choice]], budget: int) -> dict[str, Choice] | None:
    """Return one choice for each layer: the least sum of losses within a budget of bytes.

    An integer programme over one binary variable for each layer and width, as in Hubara et al.,
    "Accurate Post Training Quantization With Small Calibration Sets", ICML 2021 (their
    integer programming for bit allocation). It assumes that losses add up, which holds to second
    order (Dong et al., "HAWQ-V2", NeurIPS 2020): what comes of it is to be verified.

    Args:
        choices: for each layer at least one.
        budget: bytes that all layers may take together.

    Returns:
        The choices, or None where even the smallest of each layer take more.
    """
    found = [(layer, choice) for layer, own in choices.items() for choice in worthwhile(own)]
    limit = budget
    while (chosen := _solved(found, limit)) is not None:
        # the solver's whole numbers are whole within a tolerance
        excess = sum(choice.bytes for choice in chosen.values()) - budget
        if excess <= 0:
            return chosen
        limit -= excess
    return None


def worthwhile(choices: Sequence[Choice]) -> list[Choice]:
    """Return the choices that no other beats, fewest bytes first: more bytes, then less loss."""
    found: list[Choice] = []
    for choice in sorted(choices, key=lambda c: (c.bytes, c.loss, c.bits)):
        if not found or choice.loss < found[-1].loss:
            found.append(choice)
    return found


def _solved(found: Sequence[tuple[str, Choice]], budget: int) -> dict[str, Choice] | None:
    import numpy as np
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    rows: dict[str, int] = {}
    of_layer = np.array([rows.setdefault(layer, len(rows)) for layer, _ in found], int)
    sizes = np.array([choice.bytes for _, choice in found], float)
    losses = np.array([choice.loss for _, choice in found], float)
    least = np.full(len(rows), np.inf)
    np.minimum.at(least, of_layer, sizes)
    left = budget - least.sum()
    if left < 0:
        return None
    # bytes beyond the least of each layer, in shares of what is left, for the solver's tolerances
    beyond = (sizes - least[of_layer]) / max(left, 1.0)
    room = float(left > 0)
    one = csr_array((np.ones(len(found)), (of_layer, np.arange(len(found)))))
    solved = milp(
        SCALE * losses / (losses.max(initial=0.0) or 1.0),
        integrality=np.ones(len(found)),
        bounds=Bounds(0, beyond <= room),
        constraints=[LinearConstraint(one, 1, 1), LinearConstraint(beyond[None], -np.inf, room)],
        options={"mip_rel_gap": 0.0},
    )
    if solved.x is None:
        return None
    chosen = zip(found, solved.x, strict=True)
    return {layer: choice for (layer, choice), taken in chosen if taken > 0.5}
