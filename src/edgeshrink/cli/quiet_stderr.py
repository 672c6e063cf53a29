"""Keep a library from writing to standard error past Python, unless something fails."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back what is written to descriptor 2 within the block.

    TensorFlow's C++ writes lines there at every log level. A crash would take them along, so
    they go to a file that is shown where the process dies, and thrown away otherwise.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
