"""What is printed: every line of ours passes here, and nothing in it can steer the terminal."""

from __future__ import annotations

import sys
from typing import TextIO

from edgeshrink.texts import shown


def say(text: str, *, err: bool = False, to: TextIO | None = None) -> None:
    """Print lines.

    Args:
        text: whatever is told; names and messages in it may come from strangers' files.
        err: to standard error.
        to: another stream.
    """
    print(shown(text), file=to or (sys.stderr if err else sys.stdout), flush=err or to is not None)
