"""Which device profiles are believed: the user's and those that are installed, not any file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from edgeshrink.errors import ProfileError

# Where a project keeps profiles of its own: whoever wrote the project wrote them.
HERE = Path("device_profiles")


def programs(values: Mapping[str, Any]) -> list[str]:
    """Return the keys of a profile whose values may name a program or a file of this machine.

    That is what is not a number in [connection] and [options], such as `ssh`, `adb`, `qemu`,
    `config` and `library`; and `python`.
    """
    found = ["python"] if "python" in values else []
    for table in ("connection", "options"):
        held = values.get(table)
        given: Iterable[tuple[str, Any]] = held.items() if isinstance(held, Mapping) else ()
        found += [f"{table}.{key}" for key, said in given if type(said) not in (int, float, bool)]
    return found


def check_harmless(values: Mapping[str, Any], path: Path) -> None:
    """Refuse a profile of a stranger's that names programs.

    Args:
        values: what the profile says.
        path: its file.

    Raises:
        ProfileError: it names some.
    """
    if found := programs(values):
        raise ProfileError(
            f"a device profile from outside must not name programs; {path} says {', '.join(found)}",
            hint=f"--device {path} --trust-profile believes it; what lies in "
            "~/.config/edgeshrink/device_profiles is believed always",
        )
