"""Who holds a machine: one user of one device at a time."""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import socket
import time
import uuid
from dataclasses import dataclass

# The tokens of the locks that this process holds: one that is not among them was lost.
_held: set[str] = set()


@dataclass(frozen=True)
class Owner:
    """Who holds a machine, and since when.

    Attributes:
        token: of the connection.
        who: user and host.
        host: what tells two hosts of one name apart.
        pid: of the process.
        since: seconds since 1970, by the owner's clock.
    """

    token: str
    who: str
    host: str
    pid: int
    since: int

    @classmethod
    def me(cls, token: str) -> Owner:
        """Return this process as an owner."""
        user = "somebody"
        # There may be no name for the number of the user, as in a container.
        with contextlib.suppress(KeyError, OSError, ImportError):
            user = getpass.getuser()
        who = re.sub(r"[^\w.@-]", "_", f"{user}@{socket.gethostname()}", flags=re.ASCII)[:80]
        return cls(token, who, f"{uuid.getnode():012x}", os.getpid(), int(time.time()))

    @classmethod
    def parse(cls, line: str) -> Owner | None:
        """Return the owner that a lock's line names; None if it is no such line."""
        found = re.fullmatch(r"([0-9a-f]+) ([\w.@-]{1,80}) ([0-9a-f]+) (\d{1,9}) (\d{1,11})", line)
        if not found:
            return None
        token, who, host, pid, since = found.groups()
        return cls(token, who, host, int(pid), int(since))

    @property
    def line(self) -> str:
        """The owner in one line, for the lock."""
        return f"{self.token} {self.who} {self.host} {self.pid} {self.since}"

    def __str__(self) -> str:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"{self.who} (process {self.pid}) since {since}"

    def is_gone(self) -> bool:
        """Return whether the owner was on this host and cannot come back."""
        me = Owner.me(self.token)
        if (self.who, self.host) != (me.who, me.host):
            return False
        if self.pid == os.getpid():
            return self.token not in _held
        return not _is_alive(self.pid)

    def hold(self) -> None:
        """Note that this process holds the lock."""
        _held.add(self.token)

    def drop(self) -> None:
        """Note that it no longer does."""
        _held.discard(self.token)


def _is_alive(pid: int) -> bool:
    if os.name == "nt":
        return True  # to ask by os.kill would end the process there
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
