"""Which runtime packages a device gets: pinned versions, chosen by what its Python says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgeshrink.api import CommandFailed, EdgeshrinkError, typed

LITERT = "ai-edge-litert==2.3.0"
# The last release of LiteRT's predecessor: for Python 3.8 and 3.9, and for 32-bit ARM.
TFLITE = "tflite-runtime==2.14.0"
# What LiteRT's interface to accelerators imports beside numpy.
ML_DTYPES = "ml-dtypes==0.5.4"
LITERT_PYTHONS = range(10, 15)
TFLITE_PYTHONS = range(8, 12)
MACHINES = {"arm64": "aarch64", "amd64": "x86_64", "armv8l": "armv7l"}
# The oldest glibc that the files of a package work with.
LITERT_GLIBC = (2, 27)
TFLITE_GLIBC = {"aarch64": (2, 34), "armv7l": (2, 34), "x86_64": (2, 29)}
# tflite-runtime was built for numpy 1, but does not tell pip so.
NUMPY_2 = {14: "numpy==2.3.5"}
NUMPY_1 = {8: "numpy==1.24.4"}
# With numpy and the Python interpreter's library, and with LiteRT's C library alone.
FULL_BYTES, BARE_BYTES = 90_000_000, 15_000_000
NEWER = "put a Python of 3.10 or newer on the device, and name it in its profile: python = ..."


@dataclass(frozen=True)
class Probed:
    """A probe's answer, as it is."""

    system: str
    implementation: str
    version: tuple[int, int]
    machine: str
    bits: int
    libc: str
    free: int
    numpy: str
    complete: bool
    own: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Machine:
    """What a device's Python says of it.

    Attributes:
        python: minor version of its Python 3.
        name: the instruction set that its Python uses: aarch64, armv7l, x86_64.
        glibc: version of its C library; None where that is another one.
        free_bytes: room where packages are kept.
        numpy: version of the numpy that it has by itself; empty if none.
        complete: whether it has the parts of the standard library that numpy needs.
        own: versions of the runtimes that it has by itself, by distribution.
    """

    python: int
    name: str
    glibc: tuple[int, int] | None
    free_bytes: int
    numpy: str = ""
    complete: bool = True
    own: Mapping[str, str] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """Python's version and the machine, for sentences."""
        return f"Python 3.{self.python} on {self.name}"


@dataclass(frozen=True)
class Choice:
    """What is installed.

    Attributes:
        requirements: distributions with their versions, as pip takes them.
        module: what is imported to see that it works.
        platforms: tags of wheels that work there, for pip.
        python: minor version of Python 3.
        numpy: whether the module needs numpy.
        gpu: whether the accelerator for graphics processors is kept.
    """

    requirements: tuple[str, ...]
    module: str
    platforms: tuple[str, ...]
    python: int
    numpy: bool = True
    gpu: bool = False


def machine(said: Mapping[str, Any]) -> Machine:
    """Return what a probe's answer means.

    Raises:
        CommandFailed: it is no Linux, no CPython 3, or its answer is not understood.
    """
    try:
        found = typed(Probed, said, "it")
    except EdgeshrinkError as error:
        raise not_understood(error) from error
    if found.system != "linux" or found.implementation != "cpython":
        raise CommandFailed(
            f"runtime packages are installed on Linux and Android, under CPython; the device has "
            f"{found.implementation[:40]} on {found.system[:40]}"
        )
    major, minor = found.version
    if major != 3:
        raise CommandFailed(f"the device's Python is {major}.{minor}, too old", hint=NEWER)
    name = MACHINES.get(found.machine, found.machine[:40])
    if found.bits == 32:  # perhaps a 32-bit system under a 64-bit kernel
        name = {"aarch64": "armv7l", "x86_64": "i686"}.get(name, name)
    libc = re.fullmatch(r"glibc (\d{1,3})\.(\d{1,3})\b.*", found.libc)
    glibc = (int(libc[1]), int(libc[2])) if libc else None
    return Machine(
        minor, name, glibc, found.free, found.numpy[:40], found.complete, dict(found.own)
    )


def not_understood(error: EdgeshrinkError) -> CommandFailed:
    """Return the failure for an answer of a device's Python that is none of the probes'."""
    return CommandFailed(f"the device's Python gave an answer that is not understood: {error}")


def choose(device: Machine, *, gpu: bool = False) -> Choice:
    """Return the packages for a device.

    ai-edge-litert wherever it has a package, tflite-runtime where only that has one. A Python
    that cannot run numpy, or too little room for it, gets LiteRT's C library alone.

    Raises:
        CommandFailed: there are no packages for it; the hint says what would change that.
    """
    if device.glibc is None:
        raise CommandFailed(
            "the runtime packages need the GNU C library, which the device's Python does not use",
            hint="on Android `edgeshrink devices setup` brings a Python that does; elsewhere use "
            "a distribution with glibc",
        )
    litert = device.name in ("aarch64", "x86_64") and device.python in LITERT_PYTHONS
    tflite = device.name in TFLITE_GLIBC and device.python in TFLITE_PYTHONS
    if litert and device.glibc >= LITERT_GLIBC:
        bare = not device.complete or device.free_bytes < FULL_BYTES
        room(device, BARE_BYTES)
        if bare and not gpu:
            return Choice((LITERT,), "ai_edge_litert", platforms(device), device.python, False)
        wanted = (
            LITERT,
            NUMPY_2.get(device.python, "numpy==2.2.6"),
            *((ML_DTYPES,) if gpu else ()),
        )
        module = "ai_edge_litert.compiled_model" if gpu else "ai_edge_litert.interpreter"
        return Choice(wanted, module, platforms(device), device.python, gpu=gpu)
    if gpu:
        raise CommandFailed(f"there is no package with the GPU accelerator for {device.words}")
    if tflite and device.glibc >= TFLITE_GLIBC[device.name]:
        room(device, FULL_BYTES)
        numpy: tuple[str, ...] = (NUMPY_1.get(device.python, "numpy==1.26.4"),)
        if device.name == "armv7l":
            _check_own_numpy(device)
            numpy = ()
        module = "tflite_runtime.interpreter"
        return Choice((TFLITE, *numpy), module, platforms(device), device.python)
    needs = [
        f"ai-edge-litert needs Python 3.10 or newer, a 64-bit processor and {_dotted((2, 27))}"
    ]
    if device.name in TFLITE_GLIBC:
        needs.append(
            f"tflite-runtime needs Python 3.8 to 3.11 and {_dotted(TFLITE_GLIBC[device.name])} on "
            f"{device.name}"
        )
    raise CommandFailed(
        f"there is no runtime package for {device.words} with {_dotted(device.glibc)}: "
        + "; ".join(needs),
        hint=NEWER if device.name in ("aarch64", "x86_64") else "",
    )


def platforms(device: Machine) -> tuple[str, ...]:
    """Return the tags of wheels that work on a device, best first."""
    newest = min(device.glibc[1], 99) if device.glibc else 17
    tags = [f"manylinux_2_{minor}_{device.name}" for minor in range(newest, 16, -1)]
    return (*tags, f"manylinux2014_{device.name}")


def room(device: Machine, needed: int) -> None:
    """Raise `CommandFailed` where a device has not the room for so many bytes."""
    if device.free_bytes < needed:
        raise CommandFailed(
            f"the runtime needs {needed:,} bytes on the device, which has {device.free_bytes:,} "
            "left",
            hint="`edgeshrink devices clean` removes what was put there before",
        )


def _check_own_numpy(device: Machine) -> None:
    hint = "on the device: sudo apt install python3-numpy"
    if not device.numpy:
        raise CommandFailed(
            f"tflite-runtime needs numpy, which has no packages for {device.name} to bring along",
            hint=hint,
        )
    if not device.numpy.startswith("1."):
        raise CommandFailed(
            f"tflite-runtime works with numpy 1; the device has {device.numpy}", hint=hint
        )


def _dotted(glibc: tuple[int, int]) -> str:
    return f"glibc {glibc[0]}.{glibc[1]}"
