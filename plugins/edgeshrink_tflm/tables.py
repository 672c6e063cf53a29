"""Constants with few values: how each would be stored as a look-up table, and what that saves."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeshrink.tflite import FlatModel, FlatTensor

MOST_BITS = 7  # of an index, in the operator's format
MOST_VALUES = 128  # of a table
HEAD = 16  # bytes before the tables
TYPES = ("int8", "int16", "int32", "float32")  # that the operator's kernel makes


@dataclass(frozen=True)
class Table:
    """How a tensor is looked up.

    Attributes:
        tensor: it.
        bits: of an index, 1..7.
        axis: slices along it have tables of their own; None where the tensor has one table.
    """

    tensor: FlatTensor
    bits: int
    axis: int | None

    def asked(self) -> dict[str, Any]:
        """Return it as the compressor's specification spells it."""
        how = {"per_tensor": None} if self.axis is None else {"per_channel": {"axis": self.axis}}
        return {
            "subgraph": self.tensor.subgraph,
            "tensor": self.tensor.index,
            "compression": [{"lut": {"index_bitwidth": self.bits, **how}}],
        }


# Tensors that are looked up together or not at all, since they share their bytes.
Group = tuple[Table, ...]


def tables(data: bytes, flat: FlatModel) -> list[Group]:
    """Return what may be looked up: constants that operators read, in fewer bytes so.

    Args:
        data: the bytes of a .tflite.
        flat: what it holds.
    """
    read = {(o.subgraph, i) for o in flat.operators for i in o.inputs}
    sharing: dict[int, list[FlatTensor]] = defaultdict(list)
    for tensor in flat.tensors:
        if tensor.constant and (tensor.subgraph, tensor.index) in read:
            sharing[tensor.buffer].append(tensor)
    found = []
    for tensors in sharing.values():
        group = tuple(filter(None, (_table(data, tensor) for tensor in tensors)))
        if len(group) == len(tensors):
            found.append(group)
    return found


def _table(data: bytes, tensor: FlatTensor) -> Table | None:
    """Return how a tensor is looked up, None where that takes no less than it is.

    The operator's kernel has a table for each scale of the tensor, whatever the file says: of
    another form it makes other values, without a word.
    """
    import numpy as np

    from edgeshrink.tflite import constant_values

    if tensor.dtype not in TYPES or tensor.sparse or not tensor.shape or not tensor.elements:
        return None
    values = constant_values(data, tensor)
    axis = tensor.axis if len(tensor.scales) > 1 else None
    if axis not in (None, 0, values.ndim - 1):
        return None
    slices = [values] if axis is None else list(np.moveaxis(values, axis, 0))
    most = max(len(np.unique(one)) for one in slices)
    if most > MOST_VALUES:
        return None
    bits = max(1, (most - 1).bit_length())
    taken = (values.size * bits + 7) // 8 + HEAD + len(slices) * most * values.itemsize
    return Table(tensor, bits, axis) if taken < values.nbytes else None
