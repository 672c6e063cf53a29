"""Which Android device is meant: `adb:`, `adb:SERIAL` or `adb:HOST:PORT`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgeshrink.api import UsageError

# adb itself goes on where a device has such a serial number, and takes 5555 for a lone host.
_SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_NETWORK = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9][A-Za-z0-9.-]{0,252}):(\d{1,5})")
_LONE_HOST = re.compile(r"\d{1,3}(\.\d{1,3}){3}")


@dataclass(frozen=True)
class AdbAddress:
    """An Android device, as adb names it.

    Attributes:
        serial: its serial number, or host and port; empty for the only one that is attached.
        network: whether it is reached over the network, so that adb has to connect first.
    """

    serial: str = ""
    network: bool = False

    @classmethod
    def parse(cls, address: str) -> AdbAddress:
        """Return the device that an address names.

        Raises:
            UsageError: the address is none of adb's.

        Example:
            >>> AdbAddress.parse("adb:192.168.1.7:5555")
            AdbAddress(serial='192.168.1.7:5555', network=True)
        """
        serial = address.removeprefix("adb:").removeprefix("//")
        if not serial or _SERIAL.fullmatch(serial):
            if _LONE_HOST.fullmatch(serial):
                return cls(f"{serial}:5555", network=True)
            return cls(serial)
        found = _NETWORK.fullmatch(serial)
        if found and 0 < int(found[2]) < 65536:
            return cls(serial, network=True)
        raise UsageError(
            f"an Android device is adb:, adb:SERIAL or adb:HOST:PORT; received {address!r}",
            hint="`adb devices` lists the serial numbers of those that are attached",
        )
