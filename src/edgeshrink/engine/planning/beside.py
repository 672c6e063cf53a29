"""Two results of one name: `small.tflite` and `small.esz` would share what lies beside them."""

from __future__ import annotations

from pathlib import Path

from edgeshrink.errors import EdgeshrinkError
from edgeshrink.models import Kind
from edgeshrink.texts import from_json, read_text

OUTPUTS = frozenset({Kind.TFLITE.suffix, Kind.PACKED.suffix, Kind.KERAS.suffix})


def told_beside(out: Path) -> Path | None:
    """Return the other result, still there, that the report beside `out` tells of, if any is."""
    place = out.with_suffix(".report.json")
    try:
        said = from_json(read_text(place, "report"), str(place))["output"]
        other = out.with_name(Path(said).name)
    except (EdgeshrinkError, KeyError, TypeError, ValueError):
        return None  # none is there, or it is no report of ours
    ours = other.name == out.name or other.stem != out.stem or other.suffix not in OUTPUTS
    return None if ours or not other.is_file() else other
