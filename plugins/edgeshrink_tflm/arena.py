"""What lies in the arena while each operator runs, and so what its greatest size is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeshrink.api import ArenaUse

if TYPE_CHECKING:
    from edgeshrink.tflite import FlatModel, FlatTensor

STEP = 16  # tensors begin at multiples of it
TOLD = 4  # tensors by name, at most


def arena_uses(flat: FlatModel) -> tuple[ArenaUse, ...]:
    """Return what is alive while each operator of the first subgraph runs.

    A tensor lives from the operator that makes it to the last that reads it; inputs from the
    first, outputs to the last. Constants are in flash, and states (variables) are kept apart.

    Args:
        flat: what a .tflite holds.
    """
    operators = [o for o in flat.operators if o.subgraph == 0]
    last = len(operators) - 1
    born: dict[int, int] = {t.index: 0 for t in flat.inputs}
    dies: dict[int, int] = {t.index: 0 for t in flat.inputs}
    names: dict[int, str] = {t.index: t.name or "input" for t in flat.inputs}
    for place, operator in enumerate(operators):
        for index in operator.inputs:
            dies[index] = place
        for index in operator.outputs:
            born.setdefault(index, place)
            dies.setdefault(index, place)
            made = f"output of {operator.index} ({operator.name})"
            names.setdefault(index, flat.tensor(0, index).name or made)
    dies |= {t.index: last for t in flat.outputs}
    found = []
    for place, operator in enumerate(operators):
        alive = [flat.tensor(0, i) for i in born if born[i] <= place <= dies[i]]
        sizes = [(names[t.index], _bytes(t)) for t in alive if not t.constant and not t.variable]
        sizes.sort(key=lambda one: -one[1])
        found.append(ArenaUse(operator.index, operator.name, sum(s for _, s in sizes), dict(sizes)))
    return tuple(found)


def told(uses: tuple[ArenaUse, ...], planned: int, kept: int) -> str:
    """Return what the arena is made of where it is greatest, as a sentence.

    Args:
        uses: of each operator.
        planned: bytes that tensors share, as the interpreter recorded them.
        kept: bytes that the interpreter keeps for itself.
    """
    peak = max(uses, key=lambda one: one.bytes)
    most = [f"{name}, {size:,}" for name, size in list(peak.tensors.items())[:TOLD]]
    more = len(peak.tensors) - len(most)
    rest = planned - peak.bytes
    return (
        f"of the arena {planned:,} bytes are shared by tensors and {kept:,} kept by the "
        f"interpreter; most is needed while operator {peak.index} ({peak.operator}) runs: "
        f"{'; '.join(most)}{f'; {more} more' if more else ''}"
        f"{f'; and {rest:,} of scratch memory and gaps' if rest > 0 else ''}"
    )


def _bytes(tensor: FlatTensor) -> int:
    import numpy as np

    try:
        width = np.dtype(tensor.dtype).itemsize
    except TypeError:  # of 4 bits, say, which are spread out at work
        width = 1
    return -(-tensor.elements * width // STEP) * STEP
