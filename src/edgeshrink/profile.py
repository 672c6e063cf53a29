"""A device profile: a TOML file that says how a machine is reached and what it can run."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from edgeshrink.errors import ProfileError, UsageError, near

ACCELERATORS = ("cpu", "gpu", "npu")
PRECISIONS = ("float32", "float16", "int8", "int16x8", "dynamic")


@dataclass(frozen=True)
class DeviceProfile:
    """What a device is, how it is reached, and what its runtime has kernels for.

    Attributes:
        name: the name of the file, and of `--device`.
        title: one line for people.
        target: the name of a target plugin.
        runtime: the name of a runtime plugin.
        address: where the target is, in the target's own words; empty for this machine.
        connection: options of the target.
        options: options of the runtime.
        based_on: the profile that gives what this one does not say.
        python: the interpreter on the device; empty means the target's own choice.
        threads: default threads of the runtime.
        accelerator: what runs the model: `cpu`, `gpu` or `npu`.
        emulated: its instructions are emulated, so that its times say nothing of the hardware.
        operators: the newest version of an operator that its runtime has, where that is known.
        precisions: what its kernels run, of float32, float16, int8, int16x8, dynamic.
        slow_precisions: those of `precisions` that run on unoptimised reference kernels.
        sparse: whether its kernels can skip zeros in float models.
        memory_bytes: memory for a model at work, or None if it is not a limit.
        storage_bytes: room for the model file, or None.
        hardware: facts for people, as written in the file.
        sources: where the facts come from.
    """

    name: str
    title: str = ""
    target: str = "local"
    runtime: str = "litert"
    address: str = ""
    connection: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    based_on: str = ""
    python: str = ""
    threads: int = 1
    accelerator: str = "cpu"
    emulated: bool = False
    operators: Mapping[str, int] = field(default_factory=dict)
    precisions: tuple[str, ...] = PRECISIONS
    slow_precisions: tuple[str, ...] = ()
    sparse: bool = False
    memory_bytes: int | None = None
    storage_bytes: int | None = None
    hardware: Mapping[str, str | int | float] = field(default_factory=dict)
    sources: tuple[str, ...] = ()

    @classmethod
    def from_toml(
        cls, text: str, name: str, lookup: Callable[[str], DeviceProfile] | None = None
    ) -> DeviceProfile:
        """Return the profile written in `text`.

        Args:
            text: TOML.
            name: of the profile.
            lookup: gives the profile that this one may be based on.

        Raises:
            ProfileError: the text is not TOML, has an unknown key or a value of a wrong type.
        """
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ProfileError(f"device profile {name!r} is not TOML: {error}") from error
        known = {f.name for f in fields(cls)} - {"name"}
        for key, value in values.items():
            if key not in known:
                raise ProfileError(
                    f"device profile {name!r} has an unknown key {key!r}", hint=near(key, known)
                )
            values[key] = _checked(name, key, value)
        base = lookup(values["based_on"]) if lookup and values.get("based_on") else None
        profile = replace(base, name=name, **values) if base else cls(name, **values)
        if profile.accelerator not in ACCELERATORS:
            raise ProfileError(
                f"device profile {name!r}: accelerator must be one of {', '.join(ACCELERATORS)}; "
                f"received {profile.accelerator!r}"
            )
        for precision in (*profile.precisions, *profile.slow_precisions):
            if precision not in PRECISIONS:
                raise ProfileError(
                    f"device profile {name!r}: precisions must be of {', '.join(PRECISIONS)}; "
                    f"received {precision!r}",
                    hint=near(precision, PRECISIONS),
                )
        return profile


_TYPES: dict[str, type] = {
    "threads": int,
    "memory_bytes": int,
    "storage_bytes": int,
    "sparse": bool,
    "emulated": bool,
    "precisions": list,
    "slow_precisions": list,
    "sources": list,
    "hardware": dict,
    "connection": dict,
    "options": dict,
    "operators": dict,
}


def _checked(profile: str, key: str, value: Any) -> Any:
    wanted = _TYPES.get(key, str)
    if type(value) is not wanted or (isinstance(value, int) and wanted is int and value < 1):
        raise ProfileError(
            f"device profile {profile!r}: {key} must be a"
            f"{' positive' if wanted is int else ''} {wanted.__name__}; received {value!r}"
        )
    return tuple(value) if isinstance(value, list) else value


def available(folders: Iterable[Path]) -> dict[str, Path]:
    """Return the profile files by name; the first folder that has a name wins."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.toml")) if folder.is_dir() else ():
            found.setdefault(path.stem, path)
    return found


def find(name: str, folders: Sequence[Path]) -> DeviceProfile:
    """Return the profile with this name, or in the file of this path.

    Raises:
        UsageError: there is none; the hint offers near matches.
        ProfileError: what is inside it is wrong.
    """
    return _find(name, folders, ())


def _find(name: str, folders: Sequence[Path], above: tuple[str, ...]) -> DeviceProfile:
    if name in above:
        raise ProfileError(f"device profile {name!r} is based on itself")
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise UsageError(f"no device profile file {name!r}")
    else:
        known = available(folders)
        if name not in known:
            raise UsageError(
                f"no device profile {name!r}",
                hint=near(name, known, otherwise="`edgeshrink devices` lists all"),
            )
        path = known[name]
    return DeviceProfile.from_toml(
        path.read_text(encoding="utf-8"),
        path.stem,
        lambda base: _find(base, folders, (*above, name)),
    )
