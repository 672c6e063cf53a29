"""Files handed to toolchains: converted and run by them on this machine, and compared with LiteRT.

A toolchain works in a process of its own, in the interpreter that it is installed for, by the
runner that LiteRT has: a crash of it is a sentence, and it has so long and no longer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgeshrink import words
from edgeshrink.devices import (
    PRECISIONS,
    DeviceProfile,
    Reader,
    Session,
    Toolchain,
    available_profiles,
    find_profile,
)
from edgeshrink.engine.measuring import parity
from edgeshrink.engine.measuring.sessions import (
    host_profile,
    open_session,
    readers_of,
    session_options,
)
from edgeshrink.errors import EdgeshrinkError, UsageError
from edgeshrink.plugins import Plugins
from edgeshrink.results import Judge, Outputs, Samples


@dataclass(frozen=True)
class Handed:
    """What came of handing a file to a toolchain.

    Attributes:
        notes: sentences.
        failed: why the toolchain does not take the file as it is; empty where it does.
    """

    notes: tuple[str, ...] = ()
    failed: str = ""


def toolchains_of(devices: Sequence[DeviceProfile], named: Sequence[str]) -> list[Toolchain]:
    """Return the toolchains that a result goes through, each once.

    Args:
        devices: whose profiles name some.
        named: in the request: NAME, or NAME=PYTHON.
    """
    found = {name: Toolchain(name) for device in devices for name in device.toolchains}
    found |= {one.name: one for one in map(Toolchain.named, named) if one.python}
    return list(found.values())


@contextlib.contextmanager
def toolchain_session(
    reader: Reader, toolchain: Toolchain, plugins: Plugins
) -> Iterator[tuple[Session, str]]:
    """Yield a session that converts and runs files by a toolchain on this machine, and its name.

    Args:
        reader: the toolchain.
        toolchain: says in which interpreter it works.
        plugins: with runtimes and profiles.

    Raises:
        UsageError: it is not installed, or nothing runs it from here; the hint says what to do.
        CommandFailed: it does not start there.
    """
    with contextlib.ExitStack() as stack:
        if reader.backend is None:
            device = own_device(reader, plugins)
            if device is None:
                raise UsageError("no device profile runs it on this machine")
            device = replace(device, python=toolchain.python or device.python)
            session = stack.enter_context(open_session(device, plugins))
        else:
            package = reader.backend.package
            if not toolchain.python and not package.version():
                raise UsageError(
                    f"it needs {package.name}, which is not installed beside edgeshrink",
                    hint=f"{package.install}, in an environment of its own, and --toolchain "
                    f"{reader.name}=PYTHON, its interpreter",
                )
            here = replace(host_profile(), name=reader.name, python=toolchain.python)
            options, _ = session_options(here, plugins)
            target = stack.enter_context(plugins.targets[here.target].connect("", options))
            runtime = plugins.runtime(here.runtime)
            session = runtime.open_backend(reader.backend, target, target.folder(), here)
            stack.enter_context(session)
        facts = session.facts()
        yield session, f"{facts.runtime} {facts.runtime_version}"


def own_device(reader: Reader, plugins: Plugins) -> DeviceProfile | None:
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


def handed(
    path: Path,
    toolchain: Toolchain,
    plugins: Plugins,
    judge: Judge,
    samples: Samples,
    expected: Outputs,
) -> Handed:
    """Hand a file to a toolchain, and compare what it answers with LiteRT's answers.

    Args:
        path: a .tflite file.
        toolchain: which, and where it is installed.
        plugins: with the reader of that name.
        judge: knows what outputs answer.
        samples: to answer.
        expected: LiteRT's answers to them.
    """
    reader = plugins.readers[toolchain.name]
    if reader.backend is None and own_device(reader, plugins) is None:
        note = f"not handed to {reader.title}: nothing runs it from here; give it the file yourself"
        return Handed(notes=(note,))
    opened = ""
    try:
        with toolchain_session(reader, toolchain, plugins) as (session, opened):
            found = session.predict(path, samples.inputs)
        parity.error(expected, found)
    except EdgeshrinkError as error:
        if opened:
            return Handed(failed=f"handed to {opened}: {error}")
        return Handed(notes=(f"not handed to {reader.title}: {_whole(error)}",))
    agreed = judge.agreement(expected, found, samples)
    what = agreed.answers_to(f"{samples.count:,} samples")
    if agreed.top1 is not None:
        share = words.percent(agreed.top1)
        note = f"handed to {opened}: {share} of its labels for {what} are LiteRT's"
    else:
        far = words.percent(parity.apart(expected, found))
        note = f"handed to {opened}: on {what} its outputs are {far} of their range from LiteRT's"
    return Handed(notes=(note,))


def _whole(error: EdgeshrinkError) -> str:
    return f"{error}; {error.hint}" if error.hint else str(error)
