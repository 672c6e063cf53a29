"""An Android device that is reached by the user's own adb client."""

from __future__ import annotations

import os
import re
import secrets
import shlex
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from edgeshrink.api import Flag, Progress, TargetError
from edgeshrink_targets.adb.address import AdbAddress
from edgeshrink_targets.adb.client import AdbClient
from edgeshrink_targets.adb.trouble import explain
from edgeshrink_targets.shell.connection import printable
from edgeshrink_targets.shell.remote import Remote, start_client

# What any app and any user of adb may write to, and where files may be executed.
CACHE = "/data/local/tmp/edgeshrink"
BUNDLE_ABI = "arm64-v8a"
# A slow wireless connection; a push that is slower has stalled.
SLOW_BYTES = 500_000
# Devices before Android 7 take no more than 4,096 bytes with which to start a service, and adb's
# server dies of more. Others take 65,535, and Windows starts no program with more than 32,767.
LONGEST_OLD, LONGEST = 3_500, 30_000


@dataclass(frozen=True)
class Options:
    """How the adb client is started."""

    adb: Annotated[str, Flag("The adb client; by default the one in PATH or ANDROID_HOME.")] = ""
    connect_timeout: Annotated[float, Flag("Seconds to wait for the device.", above=0)] = 10.0


class Adb(Remote):
    """An Android device, over a cable or the network, through the user's adb server.

    Args:
        client: the adb client.
        serial: the device's serial number, or its host and port.
    """

    name = "adb"
    Options = Options
    cache_word = CACHE
    feeds = False

    def __init__(self, client: AdbClient, serial: str) -> None:
        super().__init__(f"adb:{printable(serial)}")
        self._client = client
        self._serial = serial
        # The shell protocol hangs up a command whose client is gone. The shell of older devices
        # is a terminal, which changes line ends; `exec-out` is not.
        self._modern = "shell_v2" in client.features(serial)

    @classmethod
    def connect(cls, address: str, options: Any) -> Self:
        """Return the device.

        Args:
            address: `adb:SERIAL`, or `adb:HOST:PORT`, which is connected to first; empty or
                `adb:` for the only one that is attached, or the one in ANDROID_SERIAL.
            options: an instance of `Options`.

        Raises:
            UsageError: the address is none of adb's.
            TargetError: adb is missing, or the device is not attached, does not answer, does
                not trust this machine, or is in use by somebody else.
        """
        place = AdbAddress.parse(address)
        if not place.serial:
            place = AdbAddress.parse(f"adb:{os.environ.get('ANDROID_SERIAL', '')}")
        client = AdbClient.find(options.adb, options.connect_timeout)
        target = cls(client, client.choose(place))
        target._open()
        return target

    @classmethod
    def setup(cls, address: str, options: Any, progress: Progress) -> list[str]:
        """Put a Python into the device's cache folder; return what was put there.

        Raises:
            TargetError: there is no such device, or it has another processor than ARM64.
            CommandFailed: the Python does not run there.
        """
        from edgeshrink_targets.adb.python_bundle import install

        with cls.connect(address, options) as device:
            abi = device.run("getprop", "ro.product.cpu.abi").stdout.strip()
            if abi != BUNDLE_ABI:
                raise TargetError(
                    f"the Python for Android devices runs on {BUNDLE_ABI}; "
                    f"{device.where} has {abi[:40]!r}",
                    hint="choose a runtime that needs no Python there",
                )
            return install(device, progress)

    def python(self) -> tuple[str, ...]:
        """Return the command of the Python that `setup` puts there; 127 means that it is not."""
        from edgeshrink_targets.adb.python_bundle import launcher_in

        return ("sh", launcher_in(self.cache()))

    def _start(self, script: str, *, feed: bool) -> subprocess.Popen[bytes]:
        """Start a script; a long one is sent as a file, which removes itself."""
        if len(script.encode()) > (LONGEST if self._modern else LONGEST_OLD):
            script = self._sent(script)
        service = "shell" if self._modern else "exec-out"
        return start_client([self._client.program, "-s", self._serial, service, script])

    def _sent(self, script: str) -> str:
        """Return a short script that runs a long one, which is sent first."""
        name = f"{self._held.own}/{secrets.token_hex(8)}.sh"
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder, "script")
            local.write_bytes(f"rm -f {shlex.quote(name)}\n{script}".encode())
            self._send(local, name)
        return f"exec sh {shlex.quote(name)}"

    def _send(self, local: Path, remote: str) -> None:
        seconds = self.patience + local.stat().st_size / SLOW_BYTES
        argv = ("-s", self._serial, "push", str(local.resolve()), remote)
        said = self._client.call(*argv, timeout=seconds)
        refused = re.search(r": remote (.+)", said.text)
        if said.returncode and refused:
            raise TargetError(
                f"{remote} cannot be written on {self.where}: {printable(refused[1])}",
                hint="see what room is left on the device",
            )
        if said.returncode:
            raise explain(said.text, self._serial)

    def _why(self, words: str, code: int) -> TargetError:
        """Return why a script's output has no end.

        The client may have said nothing, and even have ended with 0, when the device went away;
        its server knows better.
        """
        if not words:
            said = self._client.call("-s", self._serial, "get-state")
            words = said.text if said.returncode else ""
        return explain(words, self._serial)
