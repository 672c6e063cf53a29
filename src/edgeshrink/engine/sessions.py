"""Sessions on devices, and TensorFlow imported without its noise."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgeshrink.errors import UsageError, near
from edgeshrink.flag import build
from edgeshrink.plugins import Plugins
from edgeshrink.profile import DeviceProfile
from edgeshrink.runtime import Session


def host_profile(device: DeviceProfile) -> DeviceProfile:
    """Return this machine as a device: converted files are run here before they are believed."""
    return DeviceProfile("host", runtime="litert", threads=device.threads)


@contextlib.contextmanager
def open_session(device: DeviceProfile, plugins: Plugins) -> Iterator[Session]:
    """Yield a session of a device's runtime, ready to measure; then leave the device.

    Raises:
        UsageError: no plugin has the target or the runtime.
        TargetError: the device is unreachable.
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
    kind = plugins.targets[device.target]
    options: Any = build(kind.Options, device.connection, f"[connection] of {device.name}")
    runtime = plugins.runtimes[device.runtime]()
    with (
        kind.connect(device.address, options) as target,
        runtime.open(target, target.folder(), device) as session,
    ):
        yield session


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
