"""JSON that every reader takes: numbers that are none become null."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def text(document: Any) -> str:
    """Return a document as indented JSON."""
    return json.dumps(plain(document), indent=2, ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """Return a value as JSON knows it; nan and infinity, which it does not know, become None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
