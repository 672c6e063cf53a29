"""What compressing pays on a device: which technique makes a file smaller there, or faster."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from edgeshrink.errors import ProfileError, near

# What can be gained.
GAINS = ("download", "disk", "flash", "ms")
# In words, where the device stores and runs the file as it is.
PLAIN = {"download": "smaller to download", "disk": "smaller on disk", "ms": "faster"}
# Where it stores and runs what is compiled of the file. How much sooner that is done depends on its
# memories too: fewer bytes are also less waiting for them.
COMPILED = {
    "download": "smaller to download",
    "flash": "smaller in flash",
    "ms": "less to compute",
}
# What each technique gains where a profile says nothing else.
PAYS: Mapping[str, tuple[str, ...]] = {
    "zeros": ("download",),
    "patterns": ("download",),
    "float_zeros": ("download",),
    "shared_values": ("download",),
    "channels": ("download", "disk", "flash", "ms"),
    "rank": ("download", "disk", "flash", "ms"),
    "depth": ("download", "disk", "flash", "ms"),
}
NAMES = {
    "zeros": "zeros in integer kernels",
    "patterns": "zeros in two of each four weights",
    "float_zeros": "zeros in float kernels",
    "shared_values": "shared values",
    "channels": "fewer channels",
    "rank": "layers of lower rank",
    "depth": "fewer layers",
}


def lacking(technique: str, gained: Collection[str], device: str, *, compiled: bool = False) -> str:
    """Return in words what a technique does not gain.

    Empty where it gains all; but what is gained in a compiled file is always said, since the sizes
    of the file do not show it.

    Args:
        technique: a key of `PAYS`.
        gained: keys of `GAINS`.
        device: name of the profile.
        compiled: the device stores and runs what is compiled of the file.

    Example:
        >>> lacking("channels", ["download", "ms"], "pi")
        'on pi, fewer channels make the file smaller to download and faster, not smaller on disk'
    """
    counted = COMPILED if compiled else PLAIN
    without = [f"not {said}" for gain, said in counted.items() if gain not in gained]
    if not without and not compiled:
        return ""
    within = [said for gain, said in counted.items() if gain in gained]
    if not within:
        return f"on {device}, {NAMES[technique]} gain nothing"
    unmade = f", {' and '.join(without)}" if without else ""
    return f"on {device}, {NAMES[technique]} make the file {' and '.join(within)}{unmade}"


def checked_pays(profile: str, table: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the table `[pays]` of a profile.

    Raises:
        ProfileError: it names a technique or a gain that is none.
    """
    for technique, gains in table.items():
        if technique not in PAYS:
            raise ProfileError(
                f"device profile {profile!r}: [pays] has no technique {technique!r}",
                hint=near(technique, PAYS),
            )
        for gain in _texts(profile, "pays", technique, gains):
            if gain not in GAINS:
                raise ProfileError(
                    f"device profile {profile!r}: [pays] {technique} must be of "
                    f"{', '.join(GAINS)}; received {gain!r}",
                    hint=near(gain, GAINS),
                )
    return {technique: tuple(gains) for technique, gains in table.items()}


def checked_layers(
    profile: str, table: Mapping[str, Any], precisions: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Return the table `[slow_layers]` of a profile.

    Raises:
        ProfileError: it names a precision that is none, or lists something else than text.
    """
    for precision, layers in table.items():
        if precision not in precisions:
            raise ProfileError(
                f"device profile {profile!r}: [slow_layers] must be of {', '.join(precisions)}; "
                f"received {precision!r}",
                hint=near(precision, precisions),
            )
        _texts(profile, "slow_layers", precision, layers)
    return {precision: tuple(layers) for precision, layers in table.items()}


def _texts(profile: str, table: str, key: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ProfileError(
            f"device profile {profile!r}: [{table}] {key} lists text; received {value!r}"
        )
    return value
