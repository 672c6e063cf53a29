"""A .npy file of float32 that several threads fill in any order.

Each write can fail and be told. A memory map cannot: on a full disk a store into one ends the
process.
"""

import os
import threading

from .numbers import header
from .result import JobError

FLOAT_BYTES = 4


class Output:
    """The outputs of all samples.

    Args:
        path: the file.
        samples: how many.
        row: the shape of one sample's output.
    """

    def __init__(self, path, samples, row):
        self.row, self.lock = tuple(row), threading.Lock()
        self.row_bytes = FLOAT_BYTES
        for n in self.row:
            self.row_bytes *= n
        beginning = header([samples, *self.row])
        self.begin, self.size = len(beginning), len(beginning) + samples * self.row_bytes
        self.stream = open(path, "w+b", buffering=0)
        self._fill(0, memoryview(beginning))

    def write(self, start, values):
        """Write the outputs `(samples, ...)` of the samples from `start` on.

        Raises:
            ValueError: they have another shape than the first sample's.
            JobError: the disk does not take them.
        """
        import numpy as np

        data = np.ascontiguousarray(values, np.float32)
        if data.shape[1:] != self.row:
            raise ValueError("an output changed its shape")
        if data.size:
            self._fill(self.begin + start * self.row_bytes, memoryview(data).cast("B"))

    def read(self, index):
        """Return one sample's output as it was written."""
        import numpy as np

        with self.lock:
            self.stream.seek(self.begin + index * self.row_bytes)
            data = self.stream.read(self.row_bytes)
        if len(data) != self.row_bytes:
            raise JobError("an output could not be read back")
        return np.frombuffer(data, np.float32).reshape(self.row)

    def close(self):
        """End the file.

        Raises:
            OSError: the disk did not take it.
        """
        os.fsync(self.stream.fileno())
        self.stream.close()

    def _fill(self, place, left):
        try:
            with self.lock:
                self.stream.seek(place)
                while left:
                    left = left[self.stream.write(left) :]
        except OSError as error:
            raise JobError(
                "the outputs of all samples take %d bytes, which cannot be written to %s: %s"
                % (self.size, os.path.dirname(self.stream.name), error.strerror)
            ) from error
