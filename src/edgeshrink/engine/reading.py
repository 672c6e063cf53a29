"""Which programs read a .tflite file: by their tables, and by running those that are installed."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from edgeshrink.devices import (
    PRECISIONS,
    RULES,
    DeviceProfile,
    Reader,
    available_profiles,
    find_profile,
)
from edgeshrink.engine.measuring.checkpoint import Kept
from edgeshrink.engine.measuring.device_farm import DeviceFarm
from edgeshrink.engine.measuring.sessions import host_session, open_session, readers_of
from edgeshrink.errors import EdgeshrinkError, UsageError
from edgeshrink.models import Artifact, Kind
from edgeshrink.plugins import Plugins
from edgeshrink.results import Judge
from edgeshrink.tflite import FlatModel, uses


@dataclass(frozen=True)
class Reading:
    """What a program makes of a file.

    Attributes:
        reader: the program.
        refuses: why it refuses the file by its table, as phrases; empty where it reads it.
        untried: what of the file it was never given, as phrases; the table says nothing of that.
        tried: what running it said; empty where it reads the file, None where it was not run.
        how: by which device profile it was run, or why it was not.
    """

    reader: Reader
    refuses: tuple[str, ...]
    untried: tuple[str, ...] = ()
    tried: str | None = None
    how: str = ""


def readings(model: FlatModel, plugins: Plugins) -> list[Reading]:
    """Return what the table of each program says of a file.

    Args:
        model: what the file holds.
        plugins: with the programs.
    """
    used = uses(model)
    return [
        Reading(one, tuple(one.problems(used)), tuple(one.doubts(used)))
        for one in plugins.readers.values()
    ]


def tried(path: Path, told: Reading, plugins: Plugins) -> Reading:
    """Return the reading with what running the program on this machine says.

    It runs as a runtime of `bench` does, in a process of its own, and its outputs are compared with
    LiteRT's: a program that answers otherwise reads the file no better than one that refuses it.

    Args:
        path: a .tflite file.
        told: what the program's table says.
        plugins: with runtimes and profiles.
    """
    device = _device(told.reader, plugins)
    if device is None:
        return replace(told, how="no device profile runs it on this machine")
    try:
        with open_session(device, plugins) as session:
            version = session.facts().runtime_version
    except UsageError as error:
        return replace(told, how=f"{error}; {error.hint}" if error.hint else str(error))
    except EdgeshrinkError as error:
        return replace(told, how=str(error))
    how = f"{version}, as on {device.name}"
    with _farm(device, plugins) as (farm, scratch):
        (found,) = farm.observe([Artifact(path, Kind.TFLITE)], None, scratch)[device.name]
    return replace(told, tried=found.failure.reason if found.failure else "", how=how)


@contextlib.contextmanager
def _farm(device: DeviceProfile, plugins: Plugins) -> Iterator[tuple[DeviceFarm, Path]]:
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeshrink-")))
        session = stack.enter_context(host_session(plugins))
        judge = Judge(session, scratch / "host", {}, progress=lambda fraction, note: None)
        kept = Kept(scratch / "kept")
        yield DeviceFarm([device], RULES["smoke"], plugins, lambda: judge, kept), scratch


def _device(reader: Reader, plugins: Plugins) -> DeviceProfile | None:
    """Return a device of this machine that has the reader: nothing that it refuses, no limits."""
    found = []
    for name in available_profiles(plugins.profile_folders):
        with contextlib.suppress(EdgeshrinkError):  # of a user's own; named, it says what is wrong
            device = find_profile(name, plugins.profile_folders)
            target = plugins.targets.get(device.target)
            if target and target.here and readers_of(device, plugins)[:1] == (reader,):
                found.append(device)
    if not found:
        return None

    def order(one: DeviceProfile) -> tuple[object, ...]:
        return one.name != reader.name, bool(one.storage_bytes), bool(one.memory_bytes), one.name

    return replace(
        min(found, key=order),
        storage_bytes=None,
        memory_bytes=None,
        precisions=PRECISIONS,
        least_bits=2,
        operators={},
    )
