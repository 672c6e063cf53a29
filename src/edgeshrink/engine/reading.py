"""Which programs read a .tflite file: by their tables, and by running those that are installed."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgeshrink.devices import RULES, Reader, Session, Toolchain
from edgeshrink.engine.measuring import parity
from edgeshrink.engine.measuring.checkpoint import Kept
from edgeshrink.engine.measuring.device_farm import DeviceFarm
from edgeshrink.engine.measuring.handing import own_device, toolchain_session
from edgeshrink.engine.measuring.sessions import host_session
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


def tried(path: Path, told: Reading, plugins: Plugins, named: Sequence[str] = ()) -> Reading:
    """Return the reading with what running the program on this machine says.

    It runs in a process of its own, as a runtime of `bench` does, and its outputs are compared with
    LiteRT's: a program that answers otherwise reads the file no better than one that refuses it.

    Args:
        path: a .tflite file.
        told: what the program's table says.
        plugins: with runtimes and profiles.
        named: toolchains with their interpreters, as NAME=PYTHON.
    """
    reader = told.reader
    toolchain = next((t for t in map(Toolchain.named, named) if t.name == reader.name), None)
    toolchain, device = toolchain or Toolchain(reader.name), own_device(reader, plugins)
    where = f", as on {device.name}" if device and reader.backend is None else ""
    try:
        with toolchain_session(reader, toolchain, plugins) as (session, version):
            how = f"{version}{where}"
            if device is None or reader.backend is not None:
                return replace(told, tried=_answers(path, session, plugins), how=how)
    except UsageError as error:
        return replace(told, how=f"{error}; {error.hint}" if error.hint else str(error))
    except EdgeshrinkError as error:
        return replace(told, how=str(error))
    device = replace(device, python=toolchain.python or device.python)
    with _judge(plugins) as (judge, scratch):
        farm = DeviceFarm([device], RULES["smoke"], plugins, lambda: judge, Kept(scratch / "kept"))
        (found,) = farm.observe([Artifact(path, Kind.TFLITE)], None, scratch)[device.name]
    return replace(told, tried=found.failure.reason if found.failure else "", how=how)


def _answers(path: Path, session: Session, plugins: Plugins) -> str:
    """Return why a toolchain refuses a file, or that it answers otherwise; empty where neither."""
    artifact = Artifact(path, Kind.TFLITE)
    with _judge(plugins) as (judge, scratch):
        asked = parity.made_up(artifact, scratch)
        try:
            expected = judge.run(path, asked)
        except EdgeshrinkError:
            expected = None  # there is nothing to compare with
        try:
            found = session.predict(path, asked.inputs)
            if expected is not None:
                parity.error(expected, found)
        except EdgeshrinkError as error:
            return str(error)
    return ""


@contextlib.contextmanager
def _judge(plugins: Plugins) -> Iterator[tuple[Judge, Path]]:
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeshrink-")))
        session = stack.enter_context(host_session(plugins))
        yield Judge(session, scratch / "host", {}, progress=lambda fraction, note: None), scratch
