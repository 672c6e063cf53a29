"""Text from outside that Markdown shows as it is."""

from __future__ import annotations

import re

# an underscore that can begin or end emphasis; one within a word cannot
OUTER = r"(?<!\w)_|_(?!\w)"


def in_markdown(text: str) -> str:
    r"""Return a text in one line that Markdown shows as it is: no tags, links, code or cells.

    Args:
        text: whatever is told; names and messages in it may come from strangers' files.

    Example:
        >>> in_markdown("<b>|a_b|")
        '\\<b>\\|a_b\\|'
    """
    marked = re.sub(rf"([\\`*|<\[\]]|{OUTER})", r"\\\1", " ".join(text.splitlines()))
    return re.sub(r"&(?=#?\w+;)", "&amp;", marked)
