"""An ARM64 machine that is emulated here by qemu, and reached by ssh like any other."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from typing import Annotated, Any, Self

from edgeshrink.api import EdgeshrinkError, Flag, Program, Progress, TargetError, UsageError, near
from edgeshrink_targets import debian
from edgeshrink_targets.emulator import image
from edgeshrink_targets.emulator.machine import Machine
from edgeshrink_targets.ssh import target as ssh
from edgeshrink_targets.ssh.address import Address

# Those whose instructions qemu emulates rightly; its `max` gives wrong results in int8 kernels.
CPUS = ("cortex-a53", "cortex-a72", "cortex-a76")
QEMU = Program("qemu-system-aarch64", "emulated ARM64 machines", "apt-get install qemu-system-arm")
POWER_OFF_SECONDS = 10.0
# The link is lost some moments before the emulator is known to have ended.
ENDING_SECONDS = 1.0
POWER_OFF = """\
busybox sync
say synced
busybox poweroff -f
"""


@dataclass(frozen=True)
class Options:
    """What the emulated machine is made of."""

    memory_mb: Annotated[int, Flag("Memory of the machine, in MiB.", min=256)] = 1024
    cores: Annotated[int, Flag("Number of processors.", min=1, max=8)] = 2
    qemu: Annotated[str, Flag("The emulator.")] = QEMU.name
    boot_timeout: Annotated[float, Flag("Seconds to start in.", above=0)] = 120.0


class Emulator(ssh.Ssh):
    """A machine that starts when it is connected to and stops when it is closed.

    It runs Debian on the processor that its address names. It has no network. What is kept on it
    stays from one start to the next, for each processor by itself.
    """

    name = "emulator"
    Options = Options  # type: ignore[assignment]  # other options than those of ssh

    _machine: Machine

    @classmethod
    def setup(cls, address: str, options: Any, progress: Progress) -> list[str]:
        """Build what the machine starts from, unless it is there; takes about 20 seconds.

        Raises:
            UsageError: the address names no processor that can be emulated.
            EdgeshrinkError: a program is missing, or Debian's packages cannot be fetched.
        """
        _cpu(address)
        if not shutil.which(options.qemu):
            raise EdgeshrinkError(
                f"{options.qemu} must be installed on this machine", hint=QEMU.install
            )
        there = image.find() is not None
        found = image.build(progress)
        progress(1.0, "the machine is built")
        how = "is there already" if there else "was built"
        return [
            f"an ARM64 machine with Debian {debian.SUITE} {how}, in {found.folder}; "
            f"{found.manifest.name} lists its packages"
        ]

    @classmethod
    def connect(cls, address: str, options: Any) -> Self:
        """Start the machine and return it; takes some seconds.

        Args:
            address: the processor, as `emulator:cortex-a72` or `cortex-a72`.
            options: an instance of `Options`.

        Raises:
            UsageError: the address names no processor that can be emulated.
            TargetError: it was not set up, does not start, or is in use.
        """
        cpu = _cpu(address)
        found = image.find()
        if found is None:
            raise TargetError(
                f"the machine that emulates a {cpu} was not set up",
                hint="edgeshrink devices setup emulated-rpi4",
            )
        if not shutil.which(options.qemu):
            raise TargetError(
                f"{options.qemu}, which emulates a {cpu}, is not installed", hint=QEMU.install
            )
        machine = Machine(
            found,
            cpu,
            memory_mb=options.memory_mb,
            cores=options.cores,
            qemu=options.qemu,
            timeout=options.boot_timeout,
        )
        try:
            here = ssh.Options(config=str(machine.ssh_config()))
            target = cls(Address(cpu), here)
            target._machine = machine
            target.where = f"emulator:{cpu}"
            target._dial()
            target._open()
        except BaseException:
            machine.close()
            raise
        return target

    def _why(self, words: str, code: int) -> TargetError:
        if self._machine.wait(ENDING_SECONDS):
            return TargetError(
                f"{self.where} was lost: its emulator ended",
                hint="look whether this machine has enough free memory, and connect again",
            )
        return super()._why(words, code)

    def _hang_up(self) -> None:
        """Switch the machine off, so that what it holds is on its disk, and stop it."""
        try:
            if self._machine.alive():
                with contextlib.suppress(TargetError):
                    self._ask(POWER_OFF, patience=POWER_OFF_SECONDS)
                    self._machine.wait(POWER_OFF_SECONDS)
            super()._hang_up()
        finally:
            self._machine.close()


def _cpu(address: str) -> str:
    """Return the processor that an address names.

    Raises:
        UsageError: it is none of `CPUS`.
    """
    cpu = address.removeprefix("emulator:")
    if cpu not in CPUS:
        raise UsageError(
            f"the emulator has the processors {', '.join(CPUS)}; received {address!r}",
            hint=near(cpu, CPUS),
        )
    return cpu
