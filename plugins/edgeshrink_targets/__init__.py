"""The machines that edgeshrink reaches: this one, by ssh, by adb, and an emulated one."""

from __future__ import annotations

from edgeshrink.api import Part, Target, hookimpl


@hookimpl
def edgeshrink_targets() -> list[type[Target]]:
    """Return the targets of this plugin."""
    from edgeshrink_targets.adb.target import Adb
    from edgeshrink_targets.emulator.target import Emulator
    from edgeshrink_targets.local import Local
    from edgeshrink_targets.ssh.target import Ssh

    return [Adb, Emulator, Local, Ssh]


@hookimpl
def edgeshrink_parts() -> list[Part]:
    """Return the programs that reach machines, or make them."""
    from edgeshrink_targets.adb.client import ADB
    from edgeshrink_targets.debian import APT, DPKG
    from edgeshrink_targets.emulator.image import KEYGEN, MKFS
    from edgeshrink_targets.emulator.target import QEMU
    from edgeshrink_targets.ssh.target import SSH

    return [SSH, ADB, QEMU, KEYGEN, MKFS, APT, DPKG]
