"""The machines that edgeshrink reaches: this one, by ssh, by adb, and an emulated one."""

from __future__ import annotations

from edgeshrink.api import Target, hookimpl


@hookimpl
def edgeshrink_targets() -> list[type[Target]]:
    """Return the targets of this plugin."""
    from edgeshrink_targets.adb.target import Adb
    from edgeshrink_targets.emulator.target import Emulator
    from edgeshrink_targets.local import Local
    from edgeshrink_targets.ssh.target import Ssh

    return [Adb, Emulator, Local, Ssh]
