"""What a user's own preprocessing made of samples, kept so that each is made once.

A front end for sound takes longer than a training step, and training takes each sample many times.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from edgeshrink.samples.subset import Source

    Array = np.ndarray[Any, Any]

MOST_BYTES = 4 << 30  # of one source; of larger ones each batch is made anew
MOST_OF_FREE = 0.25  # of the disk


class Kept:
    """Made samples of several sources, in files that are gone with this process."""

    def __init__(self) -> None:
        self._of: dict[int, tuple[Source, _Rows]] = {}
        self._lock = threading.RLock()

    def take(self, source: Source, rows: Array, make: Callable[[Array], Array]) -> Array:
        """Return what is made of rows of a source; those that were made before are read back.

        Args:
            source: of stored samples.
            rows: their numbers.
            make: what is made of rows that are new: `(rows, ...)` of float32.

        Raises:
            DataError: what is made of one sample has another shape than of others.
        """
        import numpy as np

        rows = np.asarray(rows).reshape(-1)
        with self._lock:
            known = self._of.get(id(source))
            if known is None:
                new = np.unique(rows)
                first = make(new)
                known = source, _Rows(source.shape[0], first.shape[1:])  # the source stays alive
                known[1].keep(new, known[1].checked(first))
                self._of[id(source)] = known
            return known[1].take(rows, make)


class _Rows:
    """Made samples of one source."""

    def __init__(self, count: int, shape: tuple[int, ...]) -> None:
        import numpy as np

        self.shape = shape
        self.bytes = int(np.prod(shape, dtype=np.int64)) * 4
        most = min(MOST_BYTES, MOST_OF_FREE * shutil.disk_usage(tempfile.gettempdir()).free)
        self.made = np.zeros(count, bool)
        self.file: int | None = None
        if 0 < count * self.bytes <= most:
            self.file, name = tempfile.mkstemp(prefix="edgeshrink-")
            Path(name).unlink()  # so that it ends with this process, however that ends
            weakref.finalize(self, os.close, self.file)

    def take(self, rows: Array, make: Callable[[Array], Array]) -> Array:
        """Return what is made of rows, as `Kept` does."""
        import numpy as np

        if self.file is None:
            return self.checked(make(rows))
        new = np.unique(rows[~self.made[rows]])
        fresh: dict[int, Array] = {}
        if len(new):
            values = self.checked(make(new))
            if not self.keep(new, values):
                return self.checked(make(rows))
            fresh = dict(zip(new.tolist(), values, strict=True))
        out = np.empty((len(rows), *self.shape), np.float32)
        for place, row in enumerate(rows.tolist()):
            out[place] = fresh[row] if row in fresh else self._read(row)
        return out

    def keep(self, rows: Array, values: Array) -> bool:
        """Write what was made of rows; return whether there is room for it."""
        if self.file is None:
            return False
        try:
            for row, value in zip(rows.tolist(), values, strict=True):
                if os.pwrite(self.file, value.tobytes(), row * self.bytes) < self.bytes:
                    raise OSError(errno.ENOSPC, "the disk is full")
        except OSError:  # what was kept is given up
            self.file = None
            return False
        self.made[rows] = True
        return True

    def _read(self, row: int) -> Array:
        import numpy as np

        assert self.file is not None
        found = os.pread(self.file, self.bytes, row * self.bytes)
        return np.frombuffer(found, np.float32).reshape(self.shape)

    def checked(self, values: Array) -> Array:
        """Return what was made, after a look at its shape."""
        import numpy as np

        if values.shape[1:] != self.shape:
            raise DataError(
                "a preprocessing function must make samples of one shape; it made "
                f"{self.shape} of one and {values.shape[1:]} of another"
            )
        return np.ascontiguousarray(values, np.float32)
