"""Say in one sentence why Vela did not compile a model."""

from __future__ import annotations

import re
import signal

LONGEST = 300
_PATTERNS = (
    (r"Section (?:Memory_Mode|System_Config)\.(\w+) not found", "its configuration has no {0}"),
    (r"Error: Incorrect argument to CLI option --config=(\S+): (.+)", "{1}"),
    (r"Error: Invalid configuration of (.+)", "the memory mode does not suit the system: {0}"),
    (r"Compilation failed: (.+)", "{0}"),
    (r"ModuleNotFoundError: (.+)", "it is not installed whole: {0}"),
)


def ended(returncode: int, stderr: str) -> str:
    """Return why Vela ended as it did, as a sentence.

    Args:
        returncode: not 0; negative: the signal that killed it.
        stderr: what it wrote there.

    Example:
        >>> ended(-8, "")
        'Vela crashed on this model (SIGFPE)'
        >>> ended(1, "ethosu.vela.errors.CliOptionError: 'Section Memory_Mode.X not found'")
        'Vela refused: its configuration has no X'
    """
    if returncode < 0:
        try:
            name = signal.Signals(-returncode).name
        except ValueError:
            name = f"signal {-returncode}"
        if name == "SIGKILL":
            return "Vela was killed, as happens when memory runs out (SIGKILL)"
        return f"Vela crashed on this model ({name})"
    last = (stderr.strip().splitlines() or ["it said nothing"])[-1]
    for pattern, sentence in _PATTERNS:
        if found := re.search(pattern, last):
            return f"Vela refused: {one_line(sentence.format(*found.groups()))}"
    return f"Vela failed: {one_line(last)} (exit code {returncode})"


def one_line(text: str) -> str:
    r"""Return a text in one bounded line, without what could steer a terminal.

    Example:
        >>> one_line("red \x1b[31m\n text' ")
        'red [31m text'
    """
    words = " ".join(text[: 4 * LONGEST].split())
    return "".join(c for c in words if c.isprintable())[:LONGEST].rstrip(" '\"")
