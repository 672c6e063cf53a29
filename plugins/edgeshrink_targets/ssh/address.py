"""Where an ssh machine is: `ssh://[user@]host[:port]`, or `ssh:NAME` of a configuration."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgeshrink.api import UsageError
from edgeshrink_targets.shell.connection import printable

USAGE = "write ssh://[user@]host[:port], or ssh:NAME for a Host of your ssh configuration"
# A host or user may end in a ProxyCommand's shell, so it holds nothing that a shell would read.
HOST = r"\[(?P<ipv6>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?P<name>[\w.-]+)"
PLACE = re.compile(rf"(?:{HOST})(?::(?P<port>\d+))?")
USER = re.compile(r"[\w.+][\w.+-]*")


@dataclass(frozen=True)
class Address:
    """Where a machine is.

    Attributes:
        host: a name, a number, or a `Host` of the user's configuration.
        user: empty for what the configuration says.
        port: None for what the configuration says.
    """

    host: str
    user: str = ""
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """Return the address that a text names.

        Raises:
            UsageError: it is no address of an ssh machine.

        Example:
            >>> Address.parse("ssh://pi@10.0.0.7:2222")
            Address(host='10.0.0.7', user='pi', port=2222)
        """
        shown = printable(text)
        if not text.startswith("ssh:"):
            raise UsageError(f"an ssh address begins with ssh:; received {shown!r}", hint=USAGE)
        if shown != text:
            raise UsageError(
                f"an ssh address is short and has no control characters; received {shown!r}",
                hint=USAGE,
            )
        user, at, place = text.removeprefix("ssh:").removeprefix("//").rpartition("@")
        if ":" in user:
            raise UsageError(
                "an ssh address holds no password: it would be kept in profiles and reports",
                hint="use a key or an agent; `ssh-copy-id` puts your key on the machine",
            )
        found = PLACE.fullmatch(place)
        if not found or (at and not USER.fullmatch(user)):
            raise UsageError(
                f"an ssh address names a host, maybe a user and a port, and no more; "
                f"received {shown!r}",
                hint=USAGE,
            )
        host = found["ipv6"] or found["name"]
        if host.startswith("-"):
            raise UsageError(f"a host does not begin with '-'; received {host!r}", hint=USAGE)
        port = int(found["port"][:6]) if found["port"] else None
        if port is not None and not 0 < port < 65536:
            raise UsageError(
                f"a port is a number from 1 to 65535; received {found['port']}", hint=USAGE
            )
        return cls(host, user, port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = f"{self.user}@" if self.user else ""
        return f"ssh://{user}{host}{f':{self.port}' if self.port else ''}"

    @property
    def words(self) -> list[str]:
        """The address as the arguments of ssh."""
        port = ["-p", str(self.port)] if self.port else []
        user = ["-l", self.user] if self.user else []
        return [*port, *user, "--", self.host]
