"""How finely integers tell the numbers that a model puts out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from edgeshrink import words
from edgeshrink.results import Outputs
from edgeshrink.samples import Task

if TYPE_CHECKING:
    from edgeshrink.tflite import FlatModel

FEW_STEPS = 16  # over the range of a column: less is told
TOLD = 3  # columns by name, at most


def coarse_columns(flat: FlatModel, base: Outputs, tasks: Mapping[str, Task]) -> list[str]:
    """Return a sentence for each output whose columns integers hardly tell apart.

    An output has one scale for all its columns. Where one holds pixels and another a probability,
    the step that fits the pixels may be larger than all that the probability can be.

    Args:
        flat: the file.
        base: what the uncompressed model says, `(samples, ..., columns)` for each output.
        tasks: what these outputs answer; classes are left out, of which only the order counts.
    """
    said = []
    named = flat.signatures[0].outputs if flat.signatures else {}
    if set(named) == set(base):
        tensors = [flat.tensor(flat.signatures[0].subgraph, named[name]) for name in base]
    else:
        tensors = list(flat.outputs)
    for (name, values), tensor in zip(base.items(), tensors, strict=True):
        stored, _ = flat.origin(tensor)
        if len(stored.scales) != 1 or not tasks[name].numeric or values.ndim < 2:
            continue
        step, columns = stored.scales[0], values.reshape(-1, values.shape[-1])
        low, high = columns.min(axis=0), columns.max(axis=0)
        steps = (high - low) / step
        coarse = [int(c) for c in steps.argsort() if 0 < steps[c] < FEW_STEPS]
        if not coarse:
            continue
        of = ", ".join(
            f"column {c} spans {words.digits(float(low[c]))} to {words.digits(float(high[c]))}, "
            f"{words.digits(float(steps[c]), 2)} steps"
            for c in coarse[:TOLD]
        )
        more = f", and {len(coarse) - TOLD} more" if len(coarse) > TOLD else ""
        said.append(
            f"{stored.dtype} tells output {name!r} in steps of {words.digits(step)}, too coarse "
            f"for {len(coarse)} of its {len(steps)} columns: {of}{more}; an output of its own for "
            "each unit, or columns of like ranges, have finer steps"
        )
    return said
