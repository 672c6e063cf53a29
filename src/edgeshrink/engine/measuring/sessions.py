"""Sessions on devices, and TensorFlow imported without its noise."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeshrink.devices import (
    DeviceProfile,
    Reader,
    Session,
    Toolchain,
    find_profile,
    profile_at,
)
from edgeshrink.engine.measuring.rewriting import Rewriting, plain, spelled_out
from edgeshrink.errors import ProfileError, UsageError, near
from edgeshrink.flag import build, options_of
from edgeshrink.plugins import Plugins


def is_host(device: DeviceProfile) -> bool:
    """Return whether a device is this machine as `host_profile` runs it."""
    host = host_profile()
    keys = ("target", "runtime", "accelerator", "python", "connection", "options")
    return all(getattr(device, key) == getattr(host, key) for key in keys)


def host_profile() -> DeviceProfile:
    """Return this machine as a device: converted files are run here before they are believed."""
    return DeviceProfile("host", runtime="litert")


@contextlib.contextmanager
def open_session(device: DeviceProfile, plugins: Plugins) -> Iterator[Session]:
    """Yield a session of a device's runtime, ready to measure; then leave the device.

    Raises:
        UsageError: no plugin has the target or the runtime.
        TargetError: the device is unreachable.
    """
    options, _ = session_options(device, plugins)
    kind, runtime = plugins.targets[device.target], plugins.runtime(device.runtime)
    with (
        kind.connect(device.address, options) as target,
        runtime.open(target, target.folder(), device) as session,
    ):
        if runtime.unpacks:
            yield session
        else:
            with Rewriting(session, plain) as unpacking:
                yield unpacking


@contextlib.contextmanager
def host_session(plugins: Plugins) -> Iterator[Callable[[], Session]]:
    """Yield what gives the session that judges on this machine, opened when it is first asked for.

    It runs files of microcontrollers too, whose constants are looked up: spelled out.
    """
    with contextlib.ExitStack() as stack:

        @functools.cache
        def session() -> Session:
            opened = stack.enter_context(open_session(host_profile(), plugins))
            return stack.enter_context(Rewriting(opened, spelled_out))

        yield session


def chosen_devices(
    names: Sequence[str],
    at: str,
    connection: Mapping[str, Any],
    plugins: Plugins,
    options: Mapping[str, Any] | None = None,
    *,
    trust: bool = False,
    toolchains: Sequence[str] = (),
) -> tuple[DeviceProfile, ...]:
    """Return the devices of a request, checked as far as that goes without reaching them.

    Args:
        names: of profiles.
        at: the address of the one device, in place of its profile's.
        connection: options of targets, over those of the profiles.
        plugins: with the targets and runtimes.
        options: of runtimes, over those of the profiles.
        trust: whether a profile that is named by its path may name programs of this machine.
        toolchains: readers that files go through, beside those of the profiles: NAME, or
            NAME=PYTHON.

    Raises:
        UsageError: a name, a toolchain, an address, or an option is wrong.
        ProfileError: what is inside a profile is wrong.
    """
    if at and len(names) > 1:
        raise UsageError("--at goes with one --device")
    doubled = next((name for name in names if names.count(name) > 1), None)
    if doubled is not None:
        raise UsageError(f"--device {doubled} is there twice")
    named = [Toolchain.named(text).name for text in toolchains]
    for name in named:
        if name not in plugins.readers:
            raise UsageError(
                f"no toolchain {name!r}; there are {', '.join(plugins.readers)}",
                hint=near(name, plugins.readers),
            )
    found = []
    for name in names:
        device = find_profile(name, plugins.profile_folders, trust=trust)
        device = profile_at(device, at) if at else device
        device = replace(device, connection={**device.connection, **connection})
        for option in options or ():
            _check_option(device, option, plugins)
        device = replace(device, options={**device.options, **(options or {})})
        session_options(device, plugins)
        device = replace(device, toolchains=(*device.toolchains, *named))
        found.append(replace(device, reads=readers_of(device, plugins)))
    return tuple(found)


def _check_option(device: DeviceProfile, option: str, plugins: Plugins) -> None:
    """Refuse an option that a device's runtime does not have.

    Raises:
        UsageError: it does not; the hint names the runtimes that do.
    """

    def has(runtime: str) -> bool:
        kind: Any = plugins.runtimes[runtime].Options
        return any(one.name == option for one in options_of(kind))

    if device.runtime in plugins.runtimes and not has(device.runtime):
        able = ", ".join(sorted(filter(has, plugins.runtimes)))
        raise UsageError(
            f"the runtime of {device.name}, {device.runtime}, gives no choice of {option}",
            hint=f"these do: {able}" if able else "",
        )


def readers_of(device: DeviceProfile, plugins: Plugins) -> tuple[Reader, ...]:
    """Return what reads the files of a device: its runtime's reader, where one is known, first.

    Raises:
        ProfileError: the profile names a reader that no plugin has.
    """
    named = filter(None, (device.reader, *device.toolchains))
    if unknown := next((name for name in named if name not in plugins.readers), None):
        raise ProfileError(
            f"device profile {device.name!r} names a reader that no plugin has: {unknown!r}",
            hint=near(unknown, plugins.readers),
        )
    names = dict.fromkeys((device.reader or device.runtime, *device.toolchains))
    return tuple(plugins.readers[name] for name in names if name in plugins.readers)


def session_options(device: DeviceProfile, plugins: Plugins) -> tuple[Any, Any]:
    """Return the options of a device's target and runtime, as their classes take them.

    Raises:
        UsageError: no plugin has the target or the runtime, or they have no such option.
    """
    for part, name, known in (
        ("target", device.target, plugins.targets),
        ("runtime", device.runtime, plugins.runtimes),
    ):
        if name not in known:
            raise UsageError(
                f"device {device.name!r} needs the {part} {name!r}, which no plugin has",
                hint=near(name, known, otherwise="`edgeshrink plugins` lists what is installed"),
            )
    target: Any = plugins.targets[device.target].Options
    runtime: Any = plugins.runtimes[device.runtime].Options
    return (
        build(target, device.connection, f"[connection] of {device.name}"),
        build(runtime, device.options, f"[options] of {device.name}"),
    )


def import_tensorflow(log: Path) -> None:
    """Import TensorFlow with what it prints sent to the run's log.

    It writes to file descriptor 2 from C++, whatever the log level.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with _stderr_to(log):
        import tensorflow as tf

        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        tf.config.list_physical_devices()  # looks for CUDA, and complains, when first asked


@contextlib.contextmanager
def _stderr_to(log: Path) -> Iterator[None]:
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        with log.open("ab") as stream:
            os.dup2(stream.fileno(), 2)
            yield
    finally:
        sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)
