"""The command line: `main`, and the one place that turns exceptions into words and exit codes.

commands has a module for each command, display how things look; typer_flags makes flags of the
options that methods declare (their values are checked by `edgeshrink.flag`).
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command that was typed and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run a command line and return its exit code; nothing but `SystemExit` codes gets out."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that cannot write µ gets a ? instead
            stream.reconfigure(errors="replace")
    try:
        from edgeshrink.cli.app import app

        code = app(args=arguments or ["--help"], prog_name="edgeshrink", standalone_mode=False)
        sys.stdout.flush()
        if code == 130:  # newer versions of typer turn Ctrl-C into this
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(bool(leaving.code))
    except BaseException as error:
        from edgeshrink.cli.failures import tell

        return tell(error, arguments)
    finally:
        if "edgeshrink.cli.shared" in sys.modules:
            from edgeshrink.cli.shared import warn

            warn()
