"""Numbers as people read them: three significant digits, never rounded to nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

NONE = "–"
MEMORY = (
    "memory: what the process grew by once it loaded and ran the model; the rest of the process "
    "is the runtime, and Python where it runs in Python"
)


class Scored(Protocol):
    """A metric's value with its 95 % interval."""

    @property
    def metric(self) -> str:
        """Its name."""
        ...

    @property
    def value(self) -> float:
        """Over all samples; shares are 0..1."""
        ...

    @property
    def low(self) -> float:
        """The lower end of the interval."""
        ...

    @property
    def high(self) -> float:
        """The upper end of the interval."""
        ...


def digits(value: float, count: int = 3) -> str:
    """Return a number with at least `count` significant digits, without exponent.

    Example:
        >>> digits(0.012345), digits(1234.5), digits(0)
        ('0.0123', '1,234', '0')
    """
    if not math.isfinite(value):
        return NONE
    if value == 0:
        return "0"
    places = max(0, count - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{places}f}"
    # rounding may carry into a further digit: 9.999 is 10.0, not 10.00
    extra = math.floor(math.log10(abs(float(text.replace(",", ""))))) > math.floor(
        math.log10(abs(value))
    )
    return f"{value:,.{max(0, places - 1)}f}" if extra and places else text


def told_apart(one: float, other: float, tell: Callable[[float, int], str]) -> tuple[str, str]:
    """Return two numbers with as many digits, 3 to 9, as it takes to tell them apart.

    Args:
        one: the first.
        other: the second.
        tell: gives a number in words, with so many significant digits.

    Example:
        >>> told_apart(25.01, 25, digits)
        ('25.01', '25.00')
    """
    count = next((n for n in range(3, 10) if tell(one, n) != tell(other, n)), 3)
    return tell(one, count), tell(other, count)


def milliseconds(value: float, count: int = 3) -> str:
    """Return a time with its unit, of `count` digits: below a tenth of one, the next smaller.

    Example:
        >>> milliseconds(0.0123), milliseconds(12.345), milliseconds(0.00001)
        ('12.3 µs', '12.3 ms', '10.0 ns')
    """
    if not math.isfinite(value):
        return NONE
    for unit, scale in (("ms", 1.0), ("µs", 1e3)):
        if abs(value) * scale >= 0.1:
            return f"{digits(value * scale, count)} {unit}"
    return f"{digits(value * 1e6, count)} ns" if value else "0 ms"


def size(count: float | None) -> str:
    """Return bytes in the unit that fits.

    Example:
        >>> size(812), size(61_706), size(None)
        ('812 B', '61.7 kB', '–')
    """
    if count is None:
        return NONE
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{digits(count / scale)} {unit}"
    return f"{count:,.0f} B"


def amount(count: float) -> str:
    """Return a count in thousands, millions or billions.

    Example:
        >>> amount(430_500), amount(812)
        ('430k', '812')
    """
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= scale:
            return digits(count / scale) + unit
    return f"{count:,}"


def percent(share: float, places: int = 1) -> str:
    """Return a share as a percentage; only what is whole or nothing says 100 or 0.

    Example:
        >>> percent(0.8), percent(0.99999), percent(1)
        ('80.0 %', '>99.9 %', '100 %')
    """
    if share in (0, 1):
        return f"{share:.0%}".replace("%", " %")
    text = f"{100 * share:.{places}f}"
    if float(text) >= 100 > 100 * share:
        return f">{100 - 10**-places:.{places}f} %"
    if float(text) == 0 < share:
        return f"<{10**-places:.{places}f} %"
    return f"{text} %"


def score(found: Scored) -> str:
    """Return a score's value: a share as a percentage, anything else as a number."""
    return value_of(found.metric, found.value)


def value_of(metric: str, value: float) -> str:
    """Return a metric's value: a share as a percentage, anything else as a number."""
    return percent(value, 2) if is_share(metric) else digits(value, 4)


def change_of(metric: str, change: float) -> str:
    """Return by how much a metric's value changed, with its sign; shares in percentage points.

    Example:
        >>> change_of("top1", -0.0123), change_of("mae", 0.25), change_of("top1", 0)
        ('-1.23', '+0.2500', '0')
    """
    if not change:
        return "0"
    if is_share(metric):
        return f"{100 * change:+.2f}"
    return f"{'+' if change > 0 else ''}{digits(change, 4)}"


def interval(found: Scored) -> str:
    """Return a score's 95 % interval."""
    if is_share(found.metric):
        return f"{100 * found.low:.2f}–{100 * found.high:.2f}"
    return f"{digits(found.low, 4)}–{digits(found.high, 4)}"


def is_share(metric: str) -> bool:
    """Return whether a metric's values are shares, 0..1."""
    return metric.startswith("top") or metric in ("accuracy", "miou")


def duration(seconds: float) -> str:
    """Return how long something took.

    Example:
        >>> duration(0.42), duration(75.3), duration(1200)
        ('0.42 s', '75 s', '20 min')
    """
    return f"{digits(seconds, 2)} s" if seconds < 1000 else f"{seconds / 60:,.0f} min"
