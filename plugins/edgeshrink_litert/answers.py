"""What a device answers, believed only after a look: it is a stranger's JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edgeshrink.api import CommandFailed

# Longer texts are cut: a device does not fill the terminal.
LONGEST_TEXT = 1000
LARGEST = 2**63


class Answer:
    """A JSON object from a device.

    Every method raises `CommandFailed` for a value that is missing or of another kind.

    Args:
        values: the object.
        what: what went wrong if it makes no sense, as the beginning of a sentence.
    """

    def __init__(self, values: Any, what: str) -> None:
        self.what = what
        if not isinstance(values, dict):
            raise self.senseless("a part of it", "an object", values)
        self.values = values

    def __contains__(self, key: str) -> bool:
        """Tell whether the device said anything but null under this key."""
        return self.values.get(key) is not None

    def senseless(self, key: str, rule: str, value: Any) -> CommandFailed:
        """Return the error for a value that breaks a rule."""
        shown = clean(repr(value))[:60]
        return CommandFailed(
            f"{self.what}: the device's answer makes no sense: {key} must be {rule}; "
            f"received {shown}"
        )

    def text(self, key: str) -> str:
        """Return a text in one line, without control characters."""
        value = self.values.get(key)
        if not isinstance(value, str):
            raise self.senseless(key, "a text", value)
        return clean(value)

    def whole(self, key: str, least: int = 0) -> int:
        """Return a whole number."""
        return self._whole(key, self.values.get(key), least)

    def whole_or_none(self, key: str) -> int | None:
        """Return a whole number, or None where the device does not know it."""
        return self.whole(key) if key in self else None

    def number(self, key: str, least: float = 0.0) -> float:
        """Return a finite number."""
        value: Any = self.values.get(key)
        # Nan is neither smaller nor larger than anything.
        if type(value) in (int, float) and least <= value < LARGEST:
            return float(value)
        raise self.senseless(key, f"a number of at least {least:g}", value)

    def wholes(self, key: str, least: int) -> tuple[int, ...]:
        """Return a list of whole numbers, at least one."""
        return tuple(self._whole(key, value, least) for value in self._list(key, None))

    def texts(self, key: str, count: int | None = None) -> list[str]:
        """Return a list of texts, of this length if one is given."""
        if count is None and self.values.get(key) == []:
            return []
        items = self._list(key, count)
        for item in items:
            if not isinstance(item, str):
                raise self.senseless(key, "a list of texts", item)
        return [clean(item) for item in items]

    def member(self, key: str) -> Answer:
        """Return an object."""
        return Answer(self.values.get(key), self.what)

    def members(self, key: str, count: int | None = None) -> Iterator[Answer]:
        """Return a list of objects, of this length if one is given, at least one."""
        return iter([Answer(item, self.what) for item in self._list(key, count)])

    def _list(self, key: str, count: int | None) -> list[Any]:
        value = self.values.get(key)
        rule = "a list that is not empty" if count is None else f"a list of {count}"
        if not isinstance(value, list) or not value or count not in (None, len(value)):
            raise self.senseless(key, rule, value)
        return value

    def _whole(self, key: str, value: Any, least: int) -> int:
        if type(value) is not int or not least <= value < LARGEST:
            raise self.senseless(key, f"a whole number of at least {least}", value)
        return value


def clean(text: str) -> str:
    r"""Return a text in one line, bounded, without what could steer a terminal.

    Example:
        >>> clean("red \x1b[31m text\nnext")
        'red [31m text next'
    """
    words = " ".join(text[: 4 * LONGEST_TEXT].split())
    return "".join(c for c in words if c.isprintable())[:LONGEST_TEXT]
