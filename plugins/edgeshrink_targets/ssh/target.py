"""A machine that is reached by the user's own OpenSSH client."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from edgeshrink.api import Flag, Program, TargetError
from edgeshrink_targets.shell.channel import Channel
from edgeshrink_targets.shell.remote import Remote, start_client
from edgeshrink_targets.ssh.address import Address
from edgeshrink_targets.ssh.trouble import explain

# The path of a Unix socket has at most 103 characters on some systems; ssh first makes it with
# 17 more.
MOST_SOCKET_PATH = 103 - 17
# What a pipe takes at once on every system.
PIPE_BYTES = 4096

SSH = Program(
    "ssh",
    "machines that are reached by ssh, and emulated ones",
    "install OpenSSH's client (apt-get install openssh-client)",
    asked=("-V",),
)


@dataclass(frozen=True)
class Options:
    """How the ssh client is started."""

    config: Annotated[str, Flag("An ssh configuration file to use instead of your own.")] = ""
    connect_timeout: Annotated[int, Flag("Seconds to connect in.", min=1, max=3600)] = 10
    alive_interval: Annotated[int, Flag("Seconds between signs of life.", min=1, max=3600)] = 5
    alive_count: Annotated[int, Flag("Signs of life that may be missed.", min=1, max=100)] = 3
    ssh: Annotated[str, Flag("The OpenSSH client.")] = SSH.name


class Ssh(Remote):
    """A machine that `ssh` reaches.

    The user's configuration, keys, agent, jump hosts and known hosts apply. Nothing is asked: an
    unknown host key is refused, a password cannot be given.
    """

    name = "ssh"
    Options = Options

    def __init__(self, address: Address, options: Any) -> None:
        super().__init__(str(address))
        self._address = address
        self._options: Any = options
        self._shared: Shared | None = None

    @classmethod
    def connect(cls, address: str, options: Any) -> Self:
        """Return the machine; one connection to it carries all that is done there.

        Raises:
            UsageError: the address is no ssh address.
            TargetError: the machine is unreachable, or in use by somebody else.
        """
        target = cls(Address.parse(address), options)
        target._dial()
        target._open()
        return target

    def _dial(self) -> None:
        """Make the connection that all clients share, where the client can do that."""
        if os.name == "nt":
            return
        shared = Shared(self._spawn)
        try:
            shared.wait(3 * self._options.connect_timeout)
        except TimeoutError:
            shared.close()
            raise TargetError(
                f"{self.where} does not answer: no login in {3 * self._options.connect_timeout} s",
                hint="look whether it is overloaded, or allow a longer connect_timeout",
            ) from None
        except EOFError:
            error = self._why(*shared.last_words())
            shared.close()
            raise error from None
        except BaseException:
            shared.close()
            raise
        self._shared = shared

    def _spawn(self, command: str, *settings: str) -> subprocess.Popen[bytes]:
        """Start a client that runs a command in the login shell, whichever that is.

        Args:
            command: words that mean the same in every shell.
            *settings: `Key=value`, as in the configuration.
        """
        chosen = self._options
        config = ["-F", str(Path(chosen.config).expanduser())] if chosen.config else []
        settings = (
            "BatchMode=yes",
            f"ConnectTimeout={chosen.connect_timeout}",
            f"ServerAliveInterval={chosen.alive_interval}",
            f"ServerAliveCountMax={chosen.alive_count}",
            "LogLevel=INFO",  # its words tell why it failed
            # What a configuration may say for people at a keyboard.
            "ClearAllForwardings=yes",
            "RemoteCommand=none",
            "PermitLocalCommand=no",
            *settings,
        )
        said = [word for setting in settings for word in ("-o", setting)]
        # The client of a jump host is not told BatchMode: it could ask in a window.
        env = {**os.environ, "SSH_ASKPASS_REQUIRE": "never"}
        try:
            return start_client(
                [chosen.ssh, "-T", *config, *said, *self._address.words, command],
                feed=True,
                env=env,
            )
        except OSError as error:
            raise TargetError(
                f"the ssh client {chosen.ssh!r} cannot be started: {error.strerror or error}",
                hint=f"{SSH.install}, or give its path as `ssh` in [connection]",
            ) from error

    def _start(self, script: str, *, feed: bool) -> subprocess.Popen[bytes]:
        text = script.encode()
        # The script goes by standard input: no login shell changes it, and it may be long. Where
        # a file follows, just its own bytes are read.
        reader = f"""exec sh -c 'eval "$(dd bs=1 count={len(text)} 2>/dev/null)"'"""
        path = self._shared.setting if self._shared else "ControlPath=none"
        process = self._spawn(reader if feed else "exec sh", "ControlMaster=no", path)
        if len(text) <= PIPE_BYTES:
            _give(process, text, last=not feed)
        else:
            threading.Thread(target=_give, args=(process, text), kwargs={"last": not feed}).start()
        return process

    def _why(self, words: str, code: int) -> TargetError:
        shared = self._shared
        if shared is not None and shared.ends_soon():
            # It held the connection, so it knows better than the client that rode on it. From
            # now on each client makes a connection of its own.
            self._shared = None
            words, code = shared.last_words()
            shared.close()
        port = f"-p {self._address.port} " if self._address.port else ""
        user = f"{self._address.user}@" if self._address.user else ""
        return explain(self.where, f"{port}{user}{self._address.host}", words, code)

    def _hang_up(self) -> None:
        shared, self._shared = self._shared, None
        if shared is not None:
            shared.close()


class Shared:
    """The connection that clients share: a client of its own, and the socket it listens at.

    It runs `cat` over there, which ends when its standard input does: should this process be
    killed, nothing stays connected.
    """

    def __init__(self, spawn: Callable[..., subprocess.Popen[bytes]]) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="edgeshrink-"))
        if len(str(self._folder)) + 2 > MOST_SOCKET_PATH:
            self._folder.rmdir()
            self._folder = Path(tempfile.mkdtemp(prefix="edgeshrink-", dir="/tmp"))
        self._socket = self._folder / "s"
        try:
            self._channel = Channel(spawn("exec cat", "ControlMaster=yes", self.setting), "")
        except BaseException:
            self._folder.rmdir()
            raise

    @property
    def setting(self) -> str:
        """Where the socket is, as a line of the configuration."""
        return f'ControlPath="{str(self._socket).replace("%", "%%")}"'

    def wait(self, seconds: float) -> None:
        """Wait until the connection is there.

        Raises:
            EOFError: the client ended.
            TimeoutError: the time is over.
        """
        until = time.monotonic() + seconds
        while not self._socket.exists():
            if self._channel.has_ended():
                raise EOFError
            if time.monotonic() > until:
                raise TimeoutError
            time.sleep(0.005)

    def ends_soon(self) -> bool:
        """Return whether the client ended, or does in the next moment."""
        return self._channel.has_ended(within=0.5)

    def last_words(self) -> tuple[str, int]:
        """Return what the client said on its standard error, and its exit code."""
        return self._channel.last_words()

    def close(self) -> None:
        """End the connection, and remove the socket."""
        self._channel.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _give(process: subprocess.Popen[bytes], text: bytes, *, last: bool) -> None:
    """Write to a client; one that ended meanwhile tells why by itself."""
    assert process.stdin is not None  # for the type checker: it is a pipe
    with contextlib.suppress(OSError, ValueError):
        process.stdin.write(text)
        process.stdin.flush()
        if last:
            process.stdin.close()
