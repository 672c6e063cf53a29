"""The user's own adb client, and through it the user's adb server."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from edgeshrink.api import Program, TargetError
from edgeshrink_targets.adb.address import AdbAddress
from edgeshrink_targets.adb.trouble import ATTACHED, explain, gone, last_line, only, silent, unready

ADB = Program(
    "adb",
    "phones and boards with Android",
    "install Android's platform tools (apt-get install adb), or set ANDROID_HOME to the folder of "
    "the SDK",
    folders=("$ANDROID_HOME/platform-tools", "$ANDROID_SDK_ROOT/platform-tools"),
)
# The server takes half a second to start, and longer on a machine that is busy.
SERVER_SECONDS = 15.0


class NoAnswer(TargetError):
    """The client took longer than it may."""


@dataclass(frozen=True)
class Said:
    """What adb said; which of its outputs it said it on changes from version to version."""

    returncode: int
    text: str


class AdbClient:
    """An adb client.

    Args:
        program: its path.
        seconds: how long a device may take to answer.
    """

    def __init__(self, program: str, seconds: float) -> None:
        self.program, self.seconds = program, seconds

    @classmethod
    def find(cls, program: str, seconds: float) -> AdbClient:
        """Return the client at a path, or in PATH, or in Android's SDK.

        Raises:
            TargetError: there is none.
        """
        found = shutil.which(str(Path(program).expanduser())) if program else ADB.path()
        if not found:
            raise TargetError(
                f"{program or ADB.name} is not installed, or cannot be run",
                hint=f"{ADB.install}, or name the client in the profile: [connection] adb = 'path'",
            )
        return cls(found, seconds)

    def call(self, *argv: str, timeout: float | None = None) -> Said:
        """Run the client to its end.

        Args:
            *argv: its arguments.
            timeout: seconds; None: as long as a device may take.

        Raises:
            TargetError: it took longer, or it cannot reach its server.
        """
        seconds = self.seconds if timeout is None else timeout
        try:
            done = subprocess.run(
                [self.program, *argv],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired:
            command = argv[2] if argv[0] == "-s" else argv[0]
            raise NoAnswer(
                f"adb {command} gave no answer in {seconds:g} s",
                hint="see if `adb devices` answers; `adb kill-server` helps one that hangs",
            ) from None
        except OSError as error:
            raise TargetError(f"{self.program} cannot be run: {error.strerror}") from error
        text = (done.stderr + b"\n" + done.stdout).decode("utf-8", "replace").strip()
        if done.returncode:
            self._check_server(text)
        return Said(done.returncode, text)

    def attached(self) -> dict[str, str]:
        """Return the state of every device that adb knows, by serial number.

        Raises:
            TargetError: adb cannot start its server, or has none that answers.
        """
        said = self.call("devices", timeout=max(self.seconds, SERVER_SECONDS))
        if said.returncode:
            raise TargetError(f"adb cannot list devices: {last_line(said.text)}")
        _, _, listing = said.text.partition("List of devices attached")
        lines = (line.split("\t") for line in listing.splitlines())
        return {pair[0]: pair[1].strip() for pair in lines if len(pair) == 2}

    def choose(self, address: AdbAddress) -> str:
        """Return the serial number of a device that answers.

        A device over the network is connected to first.

        Raises:
            TargetError: it is not attached, does not answer or does not trust this machine;
                or none was named, and not exactly one is attached.
        """
        found = self.attached()  # this starts the server, which may take a while
        serial = address.serial or only(found)
        if serial not in found and not address.network:
            raise gone(serial, found)
        until = time.monotonic() + self.seconds
        state = found.get(serial, "")
        while True:
            if address.network and state in ("", "offline", ATTACHED):
                self._connect(serial, state)
                state = self.attached().get(serial, "")
            if state == ATTACHED:
                # The server may not have seen yet that the device is gone.
                said = self.call("-s", serial, "exec-out", "true")
                if not said.returncode:
                    return serial
                trouble = explain(said.text, serial)
            else:
                lost = address.network and not state
                trouble = silent(serial) if lost else unready(serial, state)
            # A device whose user is about to tap "Allow", or that was just connected, takes a
            # while.
            if time.monotonic() > until:
                raise trouble
            time.sleep(0.1)
            state = self.attached().get(serial, "")

    def features(self, serial: str) -> set[str]:
        """Return what a device and this client can both do.

        Raises:
            TargetError: the device is lost.
        """
        said = self.call("-s", serial, "features")
        if said.returncode:
            raise explain(said.text, serial)
        return set(said.text.split())

    def _connect(self, serial: str, state: str) -> None:
        """Connect to a device over the network; adb's exit code is 0 even if that fails."""
        if state == "offline":
            # adb says "already connected" of what went away, and does not connect again.
            self.call("disconnect", serial)
        with contextlib.suppress(NoAnswer):  # its state will tell more
            said = self.call("connect", serial)
            if re.search(r"(failed|unable) to (connect to|resolve) .*: \w|cannot ", said.text):
                raise silent(serial, said.text)

    def _check_server(self, text: str) -> None:
        broken = r"cannot connect to daemon|failed to (start|check) |protocol fault|ADB_SERVER"
        if not re.search(broken, text):
            return
        mismatch = re.search(r"adb server version .* doesn't match .*(?=;)", text)
        raise TargetError(
            f"adb cannot start or reach its server: {mismatch[0] if mismatch else last_line(text)}",
            hint="run `adb kill-server`, and use one version of adb for all"
            if mismatch
            else "another program may have its port (5037, or ANDROID_ADB_SERVER_PORT); "
            "`adb start-server` says more",
        )
