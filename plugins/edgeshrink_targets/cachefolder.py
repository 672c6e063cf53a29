"""Where edgeshrink keeps what can be built or fetched again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return `$XDG_CACHE_HOME/edgeshrink`, by default `~/.cache/edgeshrink`; it may not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "edgeshrink")
