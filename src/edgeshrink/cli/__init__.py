"""The command line: `main`, and the one place that turns exceptions into words and exit codes.

commands has a module for each command, table what is known of them before they are imported,
display how things look; typer_flags makes flags of the options that methods declare (their values
are checked by `edgeshrink.flag`). Commands that may import TensorFlow work in a process of their
own: supervisor starts it, worker is what it runs.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command that was typed and exit with its code."""
    from edgeshrink.cli.streams import make_whole
    from edgeshrink.cli.table import works_apart

    arguments = sys.argv[1:]
    make_whole()
    if os.name == "posix" and works_apart(arguments):
        from edgeshrink.cli.supervisor import supervise

        sys.exit(supervise(arguments))
    sys.exit(run(arguments))


def run(arguments: list[str]) -> int:
    """Run a command line in this process and return its exit code; nothing is raised."""
    try:
        code = _code(arguments)
    except BaseException as error:
        code = _told(error, arguments)
    try:
        if "edgeshrink.cli.shared" in sys.modules:
            from edgeshrink.cli.shared import warn

            warn()
    except OSError as error:
        code = _told(error, arguments)
    return code


def _code(arguments: list[str]) -> int:
    from edgeshrink.cli.app import app

    code = app(args=arguments or ["--help"], prog_name="edgeshrink", standalone_mode=False)
    sys.stdout.flush()
    if code == 130:  # newer versions of typer turn Ctrl-C into this
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0


def _told(error: BaseException, arguments: list[str]) -> int:
    from edgeshrink.cli.failures import tell

    return tell(error, arguments)
