"""Stripping: a smaller file that answers the same to the bit."""

from __future__ import annotations

import json

from edgeshrink.api import Context
from edgeshrink.nn.flat import strip as stripped

SIDE_TABLE = "names.json"


def strip(model: bytes, context: Context) -> bytes:
    """Return the file without min/max, inner names and unused metadata, if it answers the same.

    The names go to a side file, so that profiles can still be told by layer. The engine runs
    both files on the same inputs: this step declares that it keeps outputs, to the bit.
    """
    smaller, names = stripped(model)
    if len(smaller) >= len(model):
        context.notes.append("there was nothing to strip")
        return model
    (context.folder / SIDE_TABLE).write_text(json.dumps(names), encoding="utf-8")
    context.companions.append(SIDE_TABLE)
    return smaller
