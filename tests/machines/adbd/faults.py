"""What goes wrong on purpose: a JSON object in a file, read anew whenever a service starts.

offline: true               says nothing when a client connects
unauthorized: true          nobody taps "Allow" on the screen
refuse: "sync:"             services whose names start so are closed at once
shell_delay: seconds        a command starts late
shell_cut: bytes            the cable is pulled out after so much output
push_cut: bytes             the cable is pulled out after so much of a file has come
push_stall: bytes           nothing is read any more after so much of a file has come
push_full: bytes            the disk is full after so much of a file has come
push_flip: true             the first byte of a file is stored wrong
programs: {name: script}    programs that answer otherwise, before all others in the PATH
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Faults:
    """The faults in a file; none while it is absent."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def read(self) -> dict[str, Any]:
        """Return the faults of this moment."""
        if self.path is None or not self.path.exists():
            return {}
        found: dict[str, Any] = json.loads(self.path.read_text())
        return found
