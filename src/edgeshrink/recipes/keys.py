"""What a result depends on, as keys: digests of values and of source."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def digest_of(values: Mapping[str, Any]) -> str:
    """Return the SHA-256 of JSON values, in hex; the order of keys does not count."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def source_digest(module: str) -> str:
    """Return the SHA-256 of a package's Python source, so that a change of code is a new key."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return ""
    origin = Path(spec.origin)
    files = sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()
