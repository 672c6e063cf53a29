"""Text from outside made safe to show: nothing in it steers a terminal or turns its direction."""

from __future__ import annotations

import re

# C0 but for tab and line feed, DEL and C1, which terminals obey; marks that turn the direction of
# what is read, or are not seen; and halves of characters, which no file can hold.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff"
    "\ud800-\udfff]"
)


def shown(text: str) -> str:
    r"""Return a text in which what steers a terminal is spelled out, as Python spells it.

    Args:
        text: any text; tabs and ends of lines stay.

    Example:
        >>> shown("red\x1b[31m \u202egnp.exe")
        'red\\x1b[31m \\u202egnp.exe'
    """
    return _UNSAFE.sub(lambda found: _spelled(found[0]), text)


def shown_json(text: str) -> str:
    """Return a JSON document with the same characters spelled as JSON does; its values stay."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _spelled(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"
