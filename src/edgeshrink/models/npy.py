"""Samples in .npy files, written batch by batch.

Not by a memory map: on a full disk a store into one ends the process (SIGBUS), and a write is an
error that can be told. Nor by `numpy.save`, whose error does not say that the disk is full.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.models.writing import write_stream

if TYPE_CHECKING:
    import numpy as np


def write_npy(path: Path, batches: Iterable[np.ndarray[Any, Any]], count: int) -> None:
    """Write samples to one .npy file that goes with its process: it is not waited for the disk.

    Args:
        path: the file; one that is there is replaced.
        batches: `(samples, ...)` each, at least one, alike in type and in what follows.
        count: samples of all batches together.

    Raises:
        OSError: as `write_text` does.
        ValueError: a batch is unlike the first, or there are not as many samples.
    """
    import numpy as np

    rest = iter(batches)
    first = np.ascontiguousarray(next(rest))
    row, kind = first.shape[1:], first.dtype
    needed = count * math.prod(row) * kind.itemsize
    header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False}
    with write_stream(path, needed=needed, durable=False) as stream:
        np.lib.format.write_array_header_1_0(stream, {**header, "shape": (count, *row)})
        stream.write(first.data)
        written = len(first)
        for batch in rest:
            if batch.shape[1:] != row:
                raise ValueError(f"samples of {row} are followed by samples of {batch.shape[1:]}")
            stream.write(np.ascontiguousarray(batch, kind).data)
            written += len(batch)
        if written != count:
            raise ValueError(f"{count} samples were to come; {written} came")
