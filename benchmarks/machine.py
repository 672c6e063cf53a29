"""What a result must say of where and with what it was obtained."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

PACKAGES = ("edgeshrink", "tensorflow", "keras", "ai-edge-litert", "numpy", "pillow")


def described() -> dict[str, Any]:
    """Return the machine and the versions, as they are written into every result."""
    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        named = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = named[0].partition(":")[2].strip() if named else cpu
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
    }
