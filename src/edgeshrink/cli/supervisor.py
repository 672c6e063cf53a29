"""The command's own process, where another does the work: it waits, hands signals on, and says why.

It imports neither TensorFlow nor numpy nor typer, so that it is small, and outlives the worker.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from types import FrameType

from edgeshrink.cli.table import resumes
from edgeshrink.engine import Account, signal_name

SHOW_CURSOR = "\x1b[?25h"  # a bar that was drawn hid it
HANDED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def supervise(arguments: list[str]) -> int:
    """Let a worker run a command line; return its exit code, or 1 where it ended without one.

    A worker that crashes is started once more, without oneDNN's kernels.

    Args:
        arguments: the command line, without the program.
    """
    environ: Mapping[str, str] = os.environ
    while True:
        account = Account(environ)
        try:
            code = _Worker(arguments, environ, account).wait()
        except OSError as error:  # it could not be started
            from edgeshrink.cli.failures import tell

            return tell(error, arguments)
        if account.code is not None:  # whatever befell it later, the work was done by then
            return account.code
        if code == -signal.SIGINT:
            return 130
        if sys.stderr.isatty():
            _say(SHOW_CURSOR, end="")
        if (more := account.again(code)) is None:
            break
        _say(f"warning: {account.crashed(code)}; starting it again without oneDNN's kernels")
        environ = {**os.environ, **more}
    _say(f"error: {account.crashed(code)}")
    if advice := account.advice(code, resumes=resumes(arguments)):
        _say(f"hint:  {advice}")
    return 1


def _say(text: str, end: str = "\n") -> None:
    try:
        print(text, file=sys.stderr, end=end, flush=True)
    except OSError:  # nobody reads it
        from edgeshrink.cli.streams import silence_broken

        silence_broken()


class _Worker:
    """One worker, from its start to its end.

    Signals are held back while it is started: none is lost, and none meets it before it is ready.
    """

    def __init__(self, arguments: list[str], environ: Mapping[str, str], account: Account) -> None:
        self.account, self.received = account, 0
        told, tells = os.pipe()
        alive, self.alive = os.pipe()  # ends with this process, however that ends
        before = signal.pthread_sigmask(signal.SIG_BLOCK, HANDED_ON)
        try:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    *subprocess._args_from_interpreter_flags(),  # type: ignore[attr-defined]
                    "-P",  # no module in the working directory stands in for one of Python's
                    *("-m", "edgeshrink.cli.worker", str(tells), str(alive)),
                    *arguments,
                ],
                env=environ,
                pass_fds=(tells, alive),
            )
            self.told = told
            for number in HANDED_ON:
                if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                    signal.signal(number, self._hand_on)
        finally:
            os.close(tells)
            os.close(alive)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _hand_on(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self.process.send_signal(number)

    def wait(self) -> int:
        """Return the code that the worker's process ended with, as `subprocess` gives it.

        What ended it because this process was told to end, ends this one too.
        """
        text = b""
        while True:
            if select.select([self.told], [], [], 1.0)[0]:
                block = os.read(self.told, 65536)
                if not block:
                    break
                text += block
            elif self.process.poll() is not None:  # what it forked may still hold the pipe
                break
        code = self.process.wait()
        for number in HANDED_ON:
            if signal.getsignal(number) == self._hand_on:
                signal.signal(number, signal.SIG_DFL)
        os.close(self.told)
        os.close(self.alive)
        for line in text.decode(errors="replace").splitlines():
            self.account.take(line)
        if code == -self.received and signal_name(code) in ("SIGTERM", "SIGHUP"):
            os.kill(os.getpid(), self.received)
        return code
