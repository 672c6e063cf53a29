"""What starts Python on a device, with the runtime that was installed there."""

from __future__ import annotations

from edgeshrink.api import DeviceProfile, Target


def launch(target: Target, profile: DeviceProfile) -> tuple[str, ...]:
    """Return the command, without its script, that starts Python with a runtime on the target."""
    return (profile.python,) if profile.python else target.python()
