"""Why ssh failed: its exit code is always 255, so its words are told apart."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgeshrink.api import TargetError
from edgeshrink_targets.shell.connection import printable


@dataclass(frozen=True)
class Trouble:
    """One way to fail.

    Attributes:
        words: a pattern of what ssh says then.
        fact: the end of a sentence that begins with the address.
        hint: what to do; `{to}` is the machine in ssh's own words.
    """

    words: str
    fact: str
    hint: str


# The first that fits is told.
TROUBLES = (
    Trouble(
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "has another host key than before: it was set up anew, or somebody is in between",
        "if it was set up anew, remove the old key with `ssh-keygen -R` and run `ssh {to}` once",
    ),
    Trouble(
        "Host key verification failed|host key is known for",
        "has a host key that is not known here",
        "run `ssh {to}` once by hand, look at the key and accept it",
    ),
    Trouble(
        r"Permission denied \(|Too many authentication failures|No supported authentication",
        "accepts none of your keys",
        "`ssh-copy-id` puts your key on it; a key with a passphrase must be in the agent",
    ),
    Trouble(
        "Could not resolve hostname",
        "has a name that is not known",
        "check the spelling, or give its number; `ping` it from here",
    ),
    Trouble(
        "Connection refused",
        "refuses connections: nothing listens at its ssh port",
        "start the ssh server there, and check the port",
    ),
    Trouble(
        "during banner exchange|banner exchange: .*timed out",
        "accepts connections but does not speak ssh",
        "check the port; a machine that is overloaded may need a longer connect_timeout",
    ),
    Trouble(
        "Timeout, server .*not responding",
        "was lost: it gave no sign of life",
        "look whether it is still running and in reach, and connect again",
    ),
    Trouble(
        "No route to host|Network is unreachable|Host is down",
        "is not in this network",
        "check that it is switched on and in reach of this machine",
    ),
    Trouble(
        "timed out",
        "does not answer",
        "check that it is switched on and in reach, or allow a longer connect_timeout",
    ),
    Trouble(
        "reset by peer|Connection reset|closed by|Broken pipe|read from master failed|"
        "Connection to .* closed|kex_exchange_identification",
        "was lost: the connection was cut",
        "look whether it is still running, and connect again",
    ),
)


def explain(where: str, to: str, words: str, code: int) -> TargetError:
    """Return the error that says why ssh failed.

    Args:
        where: the address, for the message.
        to: the machine in ssh's own words, for the hint.
        words: what ssh said on its standard error.
        code: its exit code.
    """
    lines = [line for line in words.splitlines() if line.strip()]
    last = printable(lines[-1]) if lines else ""
    for trouble in TROUBLES:
        if re.search(trouble.words, words):
            hint = trouble.hint.format(to=to)
            return TargetError(f"{where} {trouble.fact} ({last})", hint=hint)
    if last:
        return TargetError(f"{where} cannot be used: {last}", hint=f"try `ssh {to}` by hand")
    return TargetError(
        f"{where} was lost: its answer ended early, and ssh with {code}",
        hint="look whether it is still running, and connect again",
    )
