"""What a device promises, checked one by one: files, commands, its runtime, right outputs.

The two models beside this file are made by tests/data/make_selftest.py.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgeshrink.devices import RULES, DeviceInfo, DeviceProfile, Failure, Session, Target
from edgeshrink.engine import host_session, session_options
from edgeshrink.errors import EdgeshrinkError, TargetError
from edgeshrink.plugins import Plugins

if TYPE_CHECKING:
    import numpy as np

# By what their kernels compute in, as a profile's `precisions` say it.
MODELS = {"float": "float32", "int8": "int8"}
HERE = Path(__file__).parent
SAMPLES = 16
PUSHED_BYTES = 1 << 20
COMMAND_SECONDS = 60.0
# Greatest difference of an output from this machine's; outputs lie between 0 and 1. Integer
# kernels may round otherwise: eight of 256 steps. A GPU may compute with half precision.
TOLERANCE = {"float": 1e-3, "int8": 8 / 256}
GPU_TOLERANCE = 1e-2


@dataclass(frozen=True)
class Check:
    """A promise, and whether the device kept it.

    Attributes:
        name: what was checked.
        good: whether it was as it should be.
        said: what was found, or what went wrong.
    """

    name: str
    good: bool
    said: str


def run(device: DeviceProfile, plugins: Plugins, before: Callable[[str], None]) -> Iterator[Check]:
    """Yield each check as it is done; what needs a check that failed is left out.

    Args:
        device: its profile.
        plugins: with its target and runtime.
        before: told the name of each check that is about to be done.

    Raises:
        TargetError: the device cannot be reached, or is lost.
        UsageError: the profile names a target or runtime that is not there.
    """
    options, _ = session_options(device, plugins)

    def done(name: str, check: Callable[[], str]) -> Check:
        before(name)
        return _done(name, check)

    before("reach")
    started = time.monotonic()
    with plugins.targets[device.target].connect(device.address, options) as target:
        yield Check("reach", True, f"connected in {time.monotonic() - started:.2f} s")
        yield done("cache folder", functools.partial(_cache, target))
        yield done("free space", functools.partial(_space, target))
        yield done("push and pull", functools.partial(_transfer, target))
        yield done("Python", functools.partial(_python, target, device))
        before("runtime")
        yield from _runtime(target, device, plugins, done)


def _done(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name, True, check())
    except TargetError:
        raise
    except EdgeshrinkError as error:
        return Check(name, False, str(error))


# ---- the machine


def _cache(target: Target) -> str:
    target.run("test", "-w", target.cache(), timeout=COMMAND_SECONDS).check()
    return "can be written"


def _space(target: Target) -> str:
    done = target.run("df", "-Pk", target.cache(), timeout=COMMAND_SECONDS).check()
    found = re.search(r"\s\d+\s+\d+\s+(-?\d+)\s+\d+%", done.stdout)
    if not found:
        raise EdgeshrinkError(f"df does not tell how much is free: {done.stdout[:200]!r}")
    return f"{int(found[1]) * 1024 / 1e6:,.0f} MB"


def _transfer(target: Target) -> str:
    content = os.urandom(PUSHED_BYTES)
    with tempfile.TemporaryDirectory() as scratch:
        here, back = Path(scratch, "sent"), Path(scratch, "back")
        here.write_bytes(content)
        there = f"{target.folder()}/selftest"
        started = time.monotonic()
        target.push(here, there)
        pushed = time.monotonic()
        target.pull(there, back, limit=PUSHED_BYTES)
        pulled = time.monotonic()
        if hashlib.sha256(back.read_bytes()).digest() != hashlib.sha256(content).digest():
            raise EdgeshrinkError("1 MB came back changed")
    there_s, back_s = pushed - started, pulled - pushed
    return f"1 MB there in {there_s:.2f} s and back in {back_s:.2f} s, unchanged"


def _python(target: Target, device: DeviceProfile) -> str:
    argv = (device.python,) if device.python else target.python()
    done = target.run(*argv, "--version", timeout=COMMAND_SECONDS)
    if done.returncode in (126, 127):
        raise EdgeshrinkError(f"{' '.join(argv)} cannot be started there")
    return (done.check().stdout or done.stderr).strip()[:100]


# ---- the runtime


def _runtime(
    target: Target,
    device: DeviceProfile,
    plugins: Plugins,
    done: Callable[[str, Callable[[], str]], Check],
) -> Iterator[Check]:
    runtime = plugins.runtime(device.runtime)
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(host_session(plugins))
        try:
            session = stack.enter_context(runtime.open(target, target.folder(), device))
            info = session.facts()
        except TargetError:
            raise
        except EdgeshrinkError as error:
            hint = error.hint or f"`edgeshrink devices setup {device.name}` installs what it needs"
            yield Check("runtime", False, f"{error} ({hint})")
            return
        yield from _facts(info)
        inputs = stack.enter_context(samples())
        for name in (name for name, kernels in MODELS.items() if kernels in device.precisions):
            same = functools.partial(compare, session, host, device, inputs, name)
            yield done(f"{name} model", same)
            yield done(f"{name} timing", functools.partial(_timing, session, device, name))


def _facts(info: DeviceInfo) -> Iterator[Check]:
    runtime = f"{info.runtime} {info.runtime_version}".strip()
    yield Check("runtime", True, f"{runtime}, numpy {info.numpy}" if info.numpy else runtime)
    memory = f", {info.memory_bytes / 1e9:.1f} GB memory" if info.memory_bytes else ""
    processor = f"{info.cpu or 'unnamed'}, {info.machine}, {info.cores} cores{memory}"
    yield Check("processor", True, f"{processor}, {info.system}")
    if info.adapter:
        yield Check("accelerator", True, info.adapter)
    if info.emulated:
        yield Check("emulated", True, f"{info.emulated}; times say nothing of the hardware")
    told = "; ".join(
        f"{key.replace('_', ' ')}: {value}" for key, value in _flat(info.extra) if value != ""
    )
    yield Check("conditions", True, told[:500] or "the device tells none")


def _flat(values: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value)
        else:
            yield key, value


@contextlib.contextmanager
def samples() -> Iterator[Path]:
    """Yield a file of samples, the same ones everywhere."""
    import numpy as np

    values = np.random.default_rng(7).uniform(-1, 1, (SAMPLES, 8, 8, 1)).astype(np.float32)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "image.npy")
        np.save(path, values)
        yield path


def compare(
    session: Session,
    host: Callable[[], Session],
    device: DeviceProfile,
    inputs: Path,
    name: str,
) -> str:
    """Run a model on a device and here, and return how well the outputs agree.

    Args:
        session: on the device.
        host: gives a session on this machine.
        device: tells what runs the model there.
        inputs: samples, as a .npy file.
        name: of one of `MODELS`.

    Raises:
        EdgeshrinkError: they differ by more than kernels may.
    """
    import numpy as np

    model = HERE / f"{name}.tflite"
    try:
        found = _only(session.predict(model, {"image": inputs}))
    except NotImplementedError:
        return "not compared: this runtime tells times only"
    wanted = _only(host().predict(model, {"image": inputs}))
    if found.shape != wanted.shape or not np.isfinite(found).all():
        raise EdgeshrinkError(
            f"its outputs are not numbers of the shape {wanted.shape}: {found.ravel()[:3]} …"
        )
    difference = float(np.abs(found - wanted).max())
    allowed = max(TOLERANCE[name], GPU_TOLERANCE if device.accelerator != "cpu" else 0.0)
    if difference > allowed:
        raise EdgeshrinkError(
            f"its outputs differ from this machine's by up to {difference:.2g}; {allowed:.2g} "
            "is allowed"
        )
    how = f"within {difference:.1g}" if difference else "exactly"
    return f"{SAMPLES} samples as on this machine, {how}"


def _only(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    (found,) = outputs.values()
    return found


def _timing(session: Session, device: DeviceProfile, name: str) -> str:
    plan = replace(RULES["smoke"], threads=device.threads)
    (found,) = session.time([HERE / f"{name}.tflite"], plan)
    if isinstance(found, Failure):
        raise TargetError(found.reason) if found.lost else EdgeshrinkError(found.reason)
    if found.estimate:
        return str(found.estimate)
    if found.device.emulated:
        return f"{found.runs} runs; emulated, so that their time says nothing"
    return f"{found.runs} runs, median {found.median_ms:.4f} ms; too few for a result"
