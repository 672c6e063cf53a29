"""Times as people write them."""

from __future__ import annotations

import math
import re

from edgeshrink.errors import UsageError


def seconds(text: str) -> float:
    """Return a time in seconds.

    Raises:
        UsageError: it is none, or not above 0.

    Example:
        >>> seconds("90s"), seconds("1.5h"), seconds("20m")
        (90.0, 5400.0, 1200.0)
    """
    units = {"s": 1, "m": 60, "h": 3600}
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    value = float(found[1]) * units[found[2]] if found else 0.0
    if not 0 < value < math.inf:
        raise UsageError(
            f"--time must be a number with s, m or h behind it; received {text!r}",
            hint="as in --time 20m",
        )
    return value
