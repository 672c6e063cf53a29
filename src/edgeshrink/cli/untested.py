"""What the tests were run on, told in one place, and what of this machine is not among it."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import sys
from pathlib import Path

from edgeshrink.part import version_of

SYSTEMS = {"Linux": "Linux", "Darwin": "macOS", "Windows": "Windows"}
TESTED_SYSTEMS = ("Linux",)
# the newest of each that the tests passed with; the oldest are in pyproject.toml
TESTED_VERSIONS = {"tensorflow": "2.21", "keras": "3.15"}
TESTED_PYTHONS = ((3, 11), (3, 13))


def untested() -> list[str]:
    """Return a sentence for each thing here that the tests were never run on."""
    found = []
    if platform.system() not in TESTED_SYSTEMS:
        name = SYSTEMS.get(platform.system(), platform.system())
        found.append(f"edgeshrink was not tested on {name}, only on {' and '.join(TESTED_SYSTEMS)}")
    if sys.version_info[:2] > TESTED_PYTHONS[1]:
        newest = ".".join(map(str, TESTED_PYTHONS[1]))
        found.append(
            f"edgeshrink was not tested with Python {platform.python_version()}, the newest tested "
            f"is {newest}"
        )
    for name, newest in TESTED_VERSIONS.items():
        if _numbers(version_of(name)) > _numbers(newest):
            found.append(
                f"edgeshrink was not tested with {name} {version_of(name)}, the newest tested "
                f"is {newest}"
            )
    return found


def untold() -> list[str]:
    """Return what of `untested` this user was not told before, and remember it as told.

    It is kept in the user's cache. Where that cannot be written, it is told again the next time.
    """
    said = untested()
    if not said:
        return []
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = cache / "edgeshrink" / "untested.json"
    try:
        known = set(map(str, json.loads(place.read_text(encoding="utf-8"))))
    except (OSError, ValueError, TypeError):
        known = set()
    new = [sentence for sentence in said if sentence not in known]
    if new:
        from edgeshrink.models import write_text

        with contextlib.suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            write_text(place, json.dumps(sorted(known | set(new)), indent=1) + "\n")
    return new


def _numbers(version: str) -> tuple[int, ...]:
    """Return the first two numbers of a version.

    Example:
        >>> _numbers("2.21.0"), _numbers("2.21rc1"), _numbers("")
        ((2, 21), (2, 21), ())
    """
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])
