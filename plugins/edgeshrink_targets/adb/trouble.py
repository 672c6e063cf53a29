"""What is wrong with an Android device, told from what adb says of it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from edgeshrink.api import TargetError
from edgeshrink_targets.shell.connection import printable

ATTACHED = "device"  # adb's word for a device that is there and answers


def explain(text: str, serial: str) -> TargetError:
    """Return what was wrong when adb said `text` of a device."""
    if re.search(r"device (still )?(unauthorized|authorizing)", text):
        return unready(serial, "unauthorized")
    if re.search(r"device (offline|still connecting)", text):
        return unready(serial, "offline")
    if re.search(r"device ('.*' )?not found|no devices/emulators", text):
        return gone(serial, {})
    if re.search(r"error: (connect failed: )?closed", text):
        return TargetError(
            f"{serial} refuses the service, or the connection broke at its start",
            hint="attach it again; if it goes on, restart the device's debugging",
        )
    return TargetError(
        f"the connection to {serial} broke: {last_line(text)}" if text else f"{serial} was lost",
        hint="see whether its cable or network is well, and `adb devices` shows it",
    )


def unready(serial: str, state: str) -> TargetError:
    """Return what is wrong with a device in a state that is not `ATTACHED`."""
    if state in ("unauthorized", "authorizing"):
        return TargetError(
            f"{serial} does not trust this machine yet: it is {state}",
            hint="unlock the device, and tap Allow when it asks about USB debugging",
        )
    if state in ("offline", "connecting"):
        return TargetError(
            f"{serial} is attached but does not answer: it is {state}",
            hint="attach it again, or run `adb reconnect offline`",
        )
    if state.startswith("no permissions"):
        return TargetError(
            f"this user has no permission to use {serial}: {state}",
            hint="let udev give it: https://developer.android.com/tools/device",
        )
    if not state:
        return gone(serial, {})
    return TargetError(
        f"{serial} is in the state {state!r}, in which it runs no commands",
        hint="start the device's system, and turn on USB debugging",
    )


def gone(serial: str, found: Mapping[str, str]) -> TargetError:
    """Return that a device is not attached, and which ones are."""
    return TargetError(
        f"{serial} is not attached",
        hint=f"attached: {_names(found)}" if found else "`adb devices` lists none",
    )


def silent(address: str, text: str = "") -> TargetError:
    """Return that a device over the network takes no connection, and what adb says of that."""
    return TargetError(
        f"{address} takes no connection: {last_line(text)}" if text else f"{address} is silent",
        hint="the device must be on, in this network, and listen: its wireless debugging, or "
        "`adb tcpip 5555` over a cable, tells it to",
    )


def only(found: Mapping[str, str]) -> str:
    """Return the only device that is attached.

    Raises:
        TargetError: there is none, or more than one.
    """
    if len(found) == 1:
        return next(iter(found))
    if found:
        raise TargetError(
            f"{len(found)} Android devices are attached and none was named: {_names(found)}",
            hint="name one, as adb:SERIAL, or set ANDROID_SERIAL",
        )
    raise TargetError(
        "no Android device is attached",
        hint="attach one, unlock it, and turn on USB debugging in its developer options",
    )


def _names(found: Mapping[str, str]) -> str:
    return printable(", ".join(sorted(found)), most=400)


def last_line(text: str) -> str:
    """Return the last line that says something, without adb's own prefix."""
    lines = [line.strip() for line in text.splitlines() if line.strip(" *")]
    return printable(re.sub(r"^(adb: )?(error: )?", "", lines[-1])) if lines else "it said nothing"
