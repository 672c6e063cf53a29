"""Stripping: a smaller file that answers the same to the bit."""

from __future__ import annotations

import json

from edgeshrink.api import Context, write_text
from edgeshrink.tflite import Names, naming, strip as stripped

SIDE_TABLE = "names.json"


def strip(model: bytes, names: Names, context: Context) -> bytes:
    """Return the file without min/max, inner names and unused metadata, if it answers the same.

    Both files are run on the same inputs, and the smaller one is kept only if every output is
    equal. Names that are lost go to a side file, so that profiles can still be told by layer.
    """
    smaller, had = stripped(model, names)
    if len(smaller) >= len(model):
        context.notes.append("stripping would not make the file smaller: it is as it was")
        return model
    if context.agreement(smaller).max_error:
        context.notes.append("the stripped file answered otherwise, and was not kept")
        return model
    if names != "keep" and naming(model) == "keep":
        write_text(context.folder / SIDE_TABLE, json.dumps(had))
        context.companions.append(SIDE_TABLE)
    return smaller
