"""A device profile: a TOML file that says how a machine is reached and what it can run."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from edgeshrink.devices.payoff import PAYS, checked_layers, checked_pays
from edgeshrink.devices.reader import Reader
from edgeshrink.devices.trust import HERE, check_harmless
from edgeshrink.errors import ProfileError, UsageError, near
from edgeshrink.texts import from_toml, read_text, shortly, toml_value
from edgeshrink.tflite import Refusal, Use

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
        reader: the name of what reads the files there, where the runtime can be one of several.
        address: where the target is, in the target's own words; empty for this machine.
        connection: options of the target.
        options: options of the runtime.
        based_on: the profile that gives what this one does not say.
        python: the interpreter on the device; empty means the target's own choice.
        threads: default threads of the runtime.
        accelerator: what runs the model: `cpu`, `gpu` or `npu`.
        emulated: another processor stands for its own, so that times say nothing of the hardware.
        compiled: what it stores and runs is compiled of the file: only the runtime knows its size.
        operators: the newest version of an operator that its runtime has, where it is an older
            one than its reader's table is of.
        board: what the device calls itself, as patterns with `*`; `devices add` knows it by that.
        precisions: what its kernels run, of float32, float16, int8, int16x8, dynamic.
        least_bits: fewest bits of a stored weight that it reads: 2, 4 or 8.
        slow_precisions: those of `precisions` that run on unoptimised reference kernels.
        slow_layers: by precision, the layers whose kernels of it are slower than those of float.
        pays: by technique, what it gains here (`payoff.py`), where that is not as usual.
        tile: channels that its kernels compute together: fewer take the time of so many.
        memory_bytes: memory for a model at work, or None if it is not a limit.
        storage_bytes: room for the model file, or None.
        hardware: facts for people, as written in the file.
        sources: where the facts come from.
        toolchains: the names of readers that files go through on their way there.
        reads: the readers themselves, which no file says: plugins have them.
    """

    name: str
    title: str = ""
    target: str = "local"
    runtime: str = "litert"
    reader: str = ""
    address: str = ""
    connection: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    based_on: str = ""
    python: str = ""
    threads: int = 1
    accelerator: str = "cpu"
    emulated: bool = False
    compiled: bool = False
    operators: Mapping[str, int] = field(default_factory=dict)
    board: tuple[str, ...] = ()
    precisions: tuple[str, ...] = PRECISIONS
    least_bits: int = 2
    slow_precisions: tuple[str, ...] = ()
    slow_layers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pays: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tile: int = 16
    memory_bytes: int | None = None
    storage_bytes: int | None = None
    hardware: Mapping[str, str | int | float] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    toolchains: tuple[str, ...] = ()
    reads: tuple[Reader, ...] = ()

    def refused(self, uses: Iterable[Use]) -> list[str]:
        """Return who refuses a file on the device and why, in words; none where it can run.

        Args:
            uses: how the file uses its operators.
        """
        older = tuple(
            Refusal(f"versions above {newest}", (operator,), newest)
            for operator, newest in self.operators.items()
        )
        own = Reader("", "its runtime", older)
        used = list(uses)
        return [
            f"on {self.name}, {reader.title} refuses {why}"
            for reader in (own, *self.reads)
            for why in reader.problems(used)
        ]

    def untried(self, uses: Iterable[Use]) -> list[str]:
        """Return, in words, what of a file its readers were never given.

        Args:
            uses: how the file uses its operators.
        """
        used = list(uses)
        return [f"{r.title} was not tried with {why}" for r in self.reads for why in r.doubts(used)]

    def gains(self, technique: str) -> tuple[str, ...]:
        """Return what a technique gains here: of download, disk, flash and ms.

        Args:
            technique: a name of `PAYS`, such as `zeros` or `channels`.
        """
        return self.pays.get(technique, PAYS[technique])

    @classmethod
    def from_toml(
        cls, text: str, name: str, lookup: Callable[[str], DeviceProfile] | None = None
    ) -> DeviceProfile:
        """Return the profile written in `text`.

        Args:
            text: TOML.
            name: of the profile.
            lookup: gives the profile that this one may be based on, by name; its errors are passed
                on. None leaves `based_on` without effect.

        Raises:
            ProfileError: the text is not TOML, has an unknown key, or a value that is not allowed.
        """
        values = from_toml(text, f"device profile {name!r}", ProfileError)
        known = {f.name for f in fields(cls)} - {"name", "reads"}
        for key, value in values.items():
            if key not in known:
                raise ProfileError(
                    f"device profile {name!r} has an unknown key {key!r}", hint=near(key, known)
                )
            values[key] = _checked(name, key, value)
        base = lookup(values["based_on"]) if lookup and values.get("based_on") else None
        profile = _derived(base, name, values) if base else cls(name, **values)
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


def _derived(base: DeviceProfile, name: str, values: dict[str, Any]) -> DeviceProfile:
    """Return a profile that says what `values` say, and otherwise what its base says.

    Tables are merged. How another target is reached, and what another runtime is told, would
    mean nothing here.
    """
    told = {"board": (), **values}
    if values.get("target", base.target) != base.target:
        base = replace(base, address="", connection={}, python="")
    if values.get("runtime", base.runtime) != base.runtime:
        base = replace(base, options={}, reader="", operators={}, compiled=False)
    for table in ("connection", "options", "operators", "slow_layers", "pays", "hardware"):
        told[table] = {**getattr(base, table), **values.get(table, {})}
    return replace(base, name=name, **told)


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_OPERATOR = re.compile(r"[A-Z][A-Z0-9_]*")
_TYPES: dict[str, type] = {
    "threads": int,
    "tile": int,
    "memory_bytes": int,
    "storage_bytes": int,
    "emulated": bool,
    "compiled": bool,
    "least_bits": int,
    "precisions": list,
    "slow_precisions": list,
    "sources": list,
    "hardware": dict,
    "connection": dict,
    "options": dict,
    "operators": dict,
    "slow_layers": dict,
    "pays": dict,
    "board": list,
    "toolchains": list,
}
_LISTS_OF_TEXT = ("precisions", "slow_precisions", "sources", "board", "toolchains")


def _checked(profile: str, key: str, value: Any) -> Any:
    wanted: Any = _TYPES.get(key, str)
    if type(value) is not wanted or (isinstance(value, int) and wanted is int and value < 1):
        raise ProfileError(
            f"device profile {profile!r}: {key} must be a"
            f"{' positive' if wanted is int else ''} {wanted.__name__}; received {shortly(value)}"
        )
    if key in _LISTS_OF_TEXT and not all(isinstance(one, str) for one in value):
        raise ProfileError(
            f"device profile {profile!r}: {key} lists text; received {shortly(value)}"
        )
    if key == "hardware" and not all(type(one) in (str, int, float) for one in value.values()):
        raise ProfileError(
            f"device profile {profile!r}: [hardware] holds text and numbers; "
            f"received {shortly(value)}"
        )
    if key == "pays":
        return checked_pays(profile, value)
    if key == "slow_layers":
        return checked_layers(profile, value, PRECISIONS)
    if key == "operators":
        for operator, version in value.items():
            _check_operator(profile, operator, version)
    return tuple(value) if isinstance(value, list) else value


def _check_operator(profile: str, operator: str, version: Any) -> None:
    if not _OPERATOR.fullmatch(operator):
        right = re.sub(r"\W", "_", operator.upper())
        raise ProfileError(
            f"device profile {profile!r}: operators are written as in CONV_2D; "
            f"received {operator!r}",
            hint=f"did you mean {right!r}?" if _OPERATOR.fullmatch(right) else "",
        )
    if type(version) is not int or version < 1:
        raise ProfileError(
            f"device profile {profile!r}: the version of {operator} must be a positive int; "
            f"received {shortly(version)}"
        )


def profile_at(profile: DeviceProfile, address: str) -> DeviceProfile:
    """Return a profile with another address; an empty one leaves it as it is.

    Raises:
        UsageError: the address is none of the profile's target.
    """
    if not address:
        return profile
    if profile.target == "local":
        raise UsageError(
            f"{profile.name} is this machine, which takes no address; received {address!r}",
            hint="name a device that is reached by one: `edgeshrink devices` lists all",
        )
    if address_scheme(address) != profile.target:
        raise UsageError(
            f"{profile.name} is reached by {profile.target}; received the address {address!r}",
            hint=f"its addresses begin with {profile.target}:",
        )
    return replace(profile, address=address)


def address_scheme(address: str) -> str:
    """Return the name of the target that an address is for; empty where it names none.

    Example:
        >>> address_scheme("ssh://pi@raspberrypi.local"), address_scheme("pi@raspberrypi.local")
        ('ssh', '')
    """
    head, colon, _ = address.partition(":")
    return head if colon and re.fullmatch(r"[a-z][a-z0-9_]*", head) else ""


def recognise_profile(
    said: str, profiles: Iterable[DeviceProfile], target: str
) -> DeviceProfile | None:
    """Return the profile of the device that calls itself `said`, and is reached by `target`.

    Of several that know it, the one whose pattern says most.
    """
    matching = [
        (len(pattern), one)
        for one in profiles
        if one.target == target
        for pattern in one.board
        if fnmatch.fnmatchcase(said, pattern)
    ]
    return max(matching, key=lambda found: found[0])[1] if matching else None


def user_folder() -> Path:
    """Return where a user's own profiles are; it may not exist."""
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return config / "edgeshrink" / "device_profiles"


def check_profile_name(name: str) -> None:
    """Raise `UsageError` where a new profile cannot have a name, since no file could."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"a device's name has letters, digits, - and _, 64 at most; received {name!r}"
        )


def save_profile(name: str, values: Mapping[str, Any], *, force: bool = False) -> Path:
    """Write a profile that only this user can read, and return its file.

    Args:
        name: of the profile, and so of the file.
        values: what it says; tables come last in the file.
        force: whether it may replace the user's profile of that name.

    Raises:
        UsageError: the name cannot be one, or is taken, or a value is no Unicode text.
    """
    check_profile_name(name)
    folder = user_folder()
    path = folder / f"{name}.toml"
    tables = {key: table for key, table in values.items() if isinstance(table, Mapping) and table}
    plain = {key: said for key, said in values.items() if not isinstance(said, Mapping) and said}
    lines = [f"{key} = {toml_value(said)}" for key, said in plain.items()]
    for key, table in tables.items():
        lines += ["", f"[{key}]", *(f"{k} = {toml_value(v)}" for k, v in table.items())]
    try:
        content = ("\n".join(lines) + "\n").encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"a device profile is Unicode text; {error.object!r} is not") from error
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = folder / f".{name}.{os.getpid()}.partial"
        partial.unlink(missing_ok=True)
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:  # noqa: PTH123
            stream.write(content)
        try:
            if force:
                partial.replace(path)
            else:
                os.link(partial, path)  # unlike a rename, it never replaces what is there
        finally:
            partial.unlink(missing_ok=True)
    except FileExistsError as error:
        raise UsageError(f"{path} is there already", hint="--force replaces it") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def available_profiles(folders: Iterable[Path]) -> dict[str, Path]:
    """Return the profile files by name; the first folder that has a name wins."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.toml")) if folder.is_dir() else ():
            found.setdefault(path.stem, path)
    return found


def find_profile(name: str, folders: Sequence[Path], *, trust: bool = False) -> DeviceProfile:
    """Return the profile with this name, or in the file of this path.

    Args:
        name: of a profile, or a path that ends in .toml.
        folders: where names are looked for; the working directory's own comes last.
        trust: whether one that is named by its path may name programs of this machine.

    Raises:
        UsageError: there is none; the hint offers near matches.
        ProfileError: what is inside it is wrong, or names programs and is not believed.
    """
    return _find(name, folders, (), trust=trust)


def _find(
    name: str, folders: Sequence[Path], above: tuple[str, ...], *, trust: bool
) -> DeviceProfile:
    if name in above:
        raise ProfileError(f"device profile {name!r} is based on itself")
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise UsageError(f"no device profile file {name!r}")
    else:
        known = available_profiles(folders)
        if name not in known:
            raise UsageError(
                f"no device profile {name!r}",
                hint=near(name, known, otherwise="`edgeshrink devices` lists all"),
            )
        path = known[name]
    text = read_text(path, "device profile")
    if not trust if name.endswith(".toml") else path.parent == HERE:
        check_harmless(from_toml(text, f"device profile {name!r}", ProfileError), path)
    return DeviceProfile.from_toml(
        text,
        path.stem,
        lambda base: _find(base, folders, (*above, name), trust=trust),
    )
