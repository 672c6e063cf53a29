"""What the runtime writes to standard error, where it tells its reasons and nowhere else."""

import os
import re
import sys
import tempfile
from contextlib import contextmanager

MOST_BYTES = 1 << 20
# `ERROR: [model_load.cc:316] Variable tensors not yet supported.`
ERROR = re.compile(r"^ERROR: (?:\[[^\]]*\] )?(.+)$", re.MULTILINE)


@contextmanager
def captured():
    """Yield a list that has, after the block, what was written to standard error in it."""
    said = []
    sys.stderr.flush()
    with tempfile.TemporaryFile() as file:
        saved = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            file.seek(0)
            said.append(file.read(MOST_BYTES).decode("utf-8", "replace"))
            sys.stderr.write(said[0])
            sys.stderr.flush()


def reasons(text):
    """Return the errors in what a runtime wrote, in one line, or an empty text."""
    return "; ".join(dict.fromkeys(line.strip() for line in ERROR.findall(text)))
