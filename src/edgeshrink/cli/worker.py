"""The process that a command works in: python -m edgeshrink.cli.worker TOLD ALIVE COMMAND….

TOLD and ALIVE are descriptors, as `edgeshrink.engine.serve` takes them; `supervisor` starts it.
"""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType

from edgeshrink.cli import run
from edgeshrink.cli.failures import tell
from edgeshrink.cli.say import say
from edgeshrink.cli.streams import make_whole
from edgeshrink.cli.untested import untold
from edgeshrink.engine import ends, serve

ONE_PRESS = 0.5  # seconds


class Interrupts:
    """Takes the two signals of one Ctrl-C for one: the terminal's, and that of the supervisor.

    Those that others send with `kill` reach the supervisor alone, which so must hand on all.
    """

    def __init__(self) -> None:
        self.last = -ONE_PRESS

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Interrupt what runs, unless that was done just now."""
        before, self.last = self.last, time.monotonic()
        if self.last - before > ONE_PRESS:
            raise KeyboardInterrupt


def main() -> None:
    """Run the command and exit with its code."""
    told, alive, *arguments = sys.argv[1:]
    sys.argv = ["edgeshrink", *arguments]
    make_whole()
    try:
        serve(int(told), int(alive))
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, Interrupts())
        # they were held back until now
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
        for sentence in untold():
            say(f"warning: {sentence}", err=True)
        code = run(arguments)
    except BaseException as error:
        code = tell(error, arguments)
    ends(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
