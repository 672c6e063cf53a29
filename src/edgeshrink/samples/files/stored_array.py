"""An array that lies in a file as it is, read row by row when its values are wanted.

Not mapped into memory: where a file shrinks under a map, the process is ended (SIGBUS). A read
that comes too short is an error that can be told.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.errors import DataError

if TYPE_CHECKING:
    import numpy as np

# Arrays up to this are read at once, and held: rows of a few bytes are slow to fetch one by one.
HELD_BYTES = 64 << 20


@dataclass(frozen=True)
class StoredArray:
    """An array in a file.

    Attributes:
        path: the file.
        offset: where its values begin, in bytes.
        shape: of the array, at least one dimension.
        dtype: of its values.
        fortran: the first dimension varies fastest; such an array is read whole.
    """

    path: Path
    offset: int
    shape: tuple[int, ...]
    dtype: Any
    fortran: bool = False

    def __getitem__(self, rows: Any) -> np.ndarray[Any, Any]:
        """Return rows: by a number, a slice, or an array of numbers.

        Raises:
            DataError: the file has become shorter, or cannot be read.
        """
        import numpy as np

        if self._size <= HELD_BYTES or self.fortran:
            return np.asarray(self._whole[rows])
        if isinstance(rows, slice):
            numbers = np.arange(*rows.indices(len(self)))
        else:
            numbers = np.asarray(rows)
        if numbers.dtype.kind not in "iu" or not self._has(numbers):
            raise IndexError(f"rows must be numbers below {len(self)}")
        found = self._rows(np.where(numbers < 0, numbers + len(self), numbers).reshape(-1))
        return found.reshape(*numbers.shape, *self.shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def _has(self, numbers: np.ndarray[Any, Any]) -> bool:
        return not numbers.size or -len(self) <= numbers.min() <= numbers.max() < len(self)

    @property
    def _row_bytes(self) -> int:
        return math.prod(self.shape[1:]) * int(self.dtype.itemsize)

    @property
    def _size(self) -> int:
        return self.shape[0] * self._row_bytes

    @cached_property
    def _whole(self) -> np.ndarray[Any, Any]:
        import numpy as np

        values = np.empty(math.prod(self.shape), self.dtype)
        with self.path.open("rb", buffering=0) as stream:
            self._read(stream, 0, _bytes(values))
        return values.reshape(self.shape, order="F" if self.fortran else "C")

    def _rows(self, numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return rows `(rows, ...)`; those that follow each other in the file in one read."""
        import numpy as np

        found = np.empty((len(numbers), *self.shape[1:]), self.dtype)
        size, into = self._row_bytes, _bytes(found)
        breaks = (np.flatnonzero(np.diff(numbers) != 1) + 1).tolist()
        places, starts = numbers.tolist(), [0, *breaks]
        with self.path.open("rb", buffering=0) as stream:
            for start, end in zip(starts, [*breaks, len(places)], strict=True):
                if start < end:
                    self._read(stream, size * places[start], into[size * start : size * end])
        return found

    def _read(self, stream: Any, place: int, left: memoryview) -> None:
        """Fill memory with what lies at a place of the stored values."""
        try:
            stream.seek(self.offset + place)
            while left:
                count = stream.readinto(left)
                if not count:
                    raise DataError(
                        f"{self.path.name} has become shorter while it was read",
                        hint="copy it to where nothing writes to it, and run the command again",
                    )
                left = left[count:]
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error.strerror or error}") from error


def _bytes(values: np.ndarray[Any, Any]) -> memoryview:
    return values.reshape(-1).view("uint8").data if values.size else memoryview(b"")
