"""What is done with a device itself: finding out what it is, setting it up, cleaning it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeshrink.devices import (
    DeviceProfile,
    Progress,
    address_scheme,
    available_profiles,
    find_profile,
)
from edgeshrink.engine.measuring.sessions import session_options
from edgeshrink.errors import ProfileError, UsageError, near
from edgeshrink.plugins import Plugins

# Android's own word for the model, else the board's name in its device tree.
MODEL = "getprop ro.product.model 2>/dev/null || cat /proc/device-tree/model 2>/dev/null"
MODEL_SECONDS = 30.0


def identify_device(address: str, connection: Mapping[str, Any], plugins: Plugins) -> str:
    """Return what the device at an address calls itself; empty where it does not tell.

    Raises:
        UsageError: the address is of no target's kind.
        TargetError: the device is unreachable, or in use.
    """
    name = address_scheme(address)
    if name not in plugins.targets:
        schemes = [f"{known}:" for known in plugins.targets]
        raise UsageError(
            f"an address begins with the target's name, as in ssh://pi@raspberrypi.local; "
            f"received {address!r}",
            hint=near(f"{name}:", schemes),
        )
    # Which runtime it has is not known yet, nor asked for.
    new = DeviceProfile("the new device", target=name, address=address, connection=connection)
    options, _ = session_options(new, plugins)
    with plugins.targets[name].connect(address, options) as target:
        said = target.run("sh", "-c", MODEL, timeout=MODEL_SECONDS).stdout[:200]
    return "".join(c for c in said if c.isprintable()).strip()


def known_devices(plugins: Plugins) -> list[DeviceProfile]:
    """Return all device profiles, but those that are wrong inside."""
    found = []
    for name in sorted(available_profiles(plugins.profile_folders)):
        try:
            found.append(find_profile(name, plugins.profile_folders))
        except (ProfileError, UsageError):
            continue
    return found


def setup_device(device: DeviceProfile, plugins: Plugins, progress: Progress) -> list[str]:
    """Make the machine, where that is possible, and install the runtime on it.

    Returns:
        What was made and installed, as sentences.

    Raises:
        TargetError: the device is unreachable or was lost.
        CommandFailed: there is no runtime for it, or it does not work there.
    """
    options, _ = session_options(device, plugins)
    kind, runtime = plugins.targets[device.target], plugins.runtime(device.runtime)
    said = kind.setup(device.address, options, lambda share, note: progress(share / 2, note))
    with kind.connect(device.address, options) as target:
        installed = runtime.setup(
            target, device, lambda share, note: progress(0.5 + share / 2, note)
        )
    return [*said, *installed]


def clean_device(device: DeviceProfile, plugins: Plugins) -> int:
    """Remove all that is kept on a device; return how many bytes that freed.

    Raises:
        TargetError: the device is unreachable or was lost.
    """
    options, _ = session_options(device, plugins)
    with plugins.targets[device.target].connect(device.address, options) as target:
        return target.clean()
