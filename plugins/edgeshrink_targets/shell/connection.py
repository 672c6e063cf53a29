"""A machine with a POSIX shell, reached by a client: scripts are run there, and it is held."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
import threading
import time
from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from edgeshrink.api import Target, TargetError
from edgeshrink_targets.shell import scripts
from edgeshrink_targets.shell.channel import Channel, Lost, Silent, TooMuch
from edgeshrink_targets.shell.lock import Owner

# How long a machine may take to stop a command; then it is taken for lost.
STOP_SECONDS = 10.0


class Connection(Target):
    """A machine with a POSIX shell, `sha256sum`, `setsid` and `/proc`.

    All that happens over there is done by the scripts of `scripts.py`. A subclass says how a
    script is started, and calls `_open` when it is ready for that.

    An answer ends with a mark that nobody can guess. Where the mark is missing the link was
    lost, whatever the exit code of the client was: ssh's 255 may be a command's own, and adb may
    end with 0 after half an answer.

    Args:
        where: the address, for messages.

    Attributes:
        cache_word: a word of shell that names the folder for what is kept, absolute.
        patience: seconds for which a machine may be silent while it is to answer at once.
        renewal: seconds after which the lock is renewed if no command runs; a lock that is not
            renewed for two minutes may be taken.
    """

    cache_word: ClassVar[str] = '"${XDG_CACHE_HOME:-$HOME/.cache}/edgeshrink-device"'
    patience: ClassVar[float] = 30.0
    renewal: ClassVar[float] = 45.0

    def __init__(self, where: str) -> None:
        self.where = where
        self._holder: scripts.Holder | None = None
        self._owner: Owner | None = None
        self._running = 0
        self._counting = threading.Lock()
        self._closing = threading.Event()
        self._renewing: threading.Thread | None = None

    # What a subclass says

    @abstractmethod
    def _start(self, script: str, *, feed: bool) -> subprocess.Popen[bytes]:
        """Start a script in the machine's `sh`.

        Standard output and standard error must be pipes (`start_client` makes them): the former
        is the script's own, byte for byte; the latter is only what the client says.

        Args:
            script: may have many lines; it sends its own standard error elsewhere.
            feed: whether the script reads its standard input, which must then be a pipe.
        """

    @abstractmethod
    def _why(self, words: str, code: int) -> TargetError:
        """Return the error that says why the link was lost.

        Args:
            words: what the client said on its standard error.
            code: its exit code.
        """

    def _hang_up(self) -> None:
        """Let go of the connection; called once, even if `_open` failed."""

    # Connecting

    def _open(self) -> None:
        """Make the cache folder and take the lock.

        Raises:
            TargetError: unreachable, in use by somebody else, or not what is needed.
        """
        try:
            owner = Owner.me(secrets.token_hex(8))
            kind, said = self._take(owner)
            if kind == "held":
                other = Owner.parse(said)
                if other is not None and other.is_gone():
                    kind, said = self._take(owner, dead=other.line)
            if kind == "taken" and said.startswith("/") and said == printable(said, most=4096):
                self._holder = scripts.Holder(said, owner.token, owner.line)
                self._owner = owner
                owner.hold()
                self._renewing = threading.Thread(
                    target=self._renew, args=(self._holder,), daemon=True
                )
                self._renewing.start()
                return
            raise self._refusal(kind, said)
        except BaseException:
            self._hang_up()
            raise

    def _take(self, owner: Owner, dead: str = "") -> tuple[str, str]:
        body = scripts.take(self.cache_word, owner.token, owner.line, dead)
        with self._channel(body) as channel:
            return self._answer(channel)

    def _refusal(self, kind: str, said: str) -> TargetError:
        said = printable(said)
        if kind == "held":
            other = Owner.parse(said)
            return TargetError(
                f"{self.where} is in use by {other or 'somebody who is just connecting'}",
                hint="one user at a time measures on a device; try again when they are done",
            )
        if kind == "missing":
            return TargetError(
                f"{self.where} lacks what every machine needs: {said.replace(' ', ', ')}",
                hint="a Linux with coreutils, busybox or toybox has these commands",
            )
        if kind == "unwritable":
            return TargetError(f"{self.where} has no folder to work in: {said}")
        return TargetError(f"{self.where} answered what nobody asked: {kind} {said}")

    def _renew(self, holder: scripts.Holder) -> None:
        """Say from time to time that the machine is still held, but never beside a command."""
        while not self._closing.wait(self.renewal):
            if not self._running:
                # What is wrong shows at the next command.
                with contextlib.suppress(TargetError, OSError):
                    self._ask(holder.renew(), patience=STOP_SECONDS)

    @property
    def _held(self) -> scripts.Holder:
        if self._holder is None:
            raise TargetError(f"{self.where} is not connected any more")
        return self._holder

    def close(self) -> None:
        """Remove what `folder` made, give the machine back, and hang up.

        A machine that cannot be reached any more is cleaned when the next connection is made.
        """
        holder, self._holder = self._holder, None
        if holder is None:
            return
        self._closing.set()
        if self._renewing is not None:
            self._renewing.join()
        try:
            with contextlib.suppress(TargetError):
                self._ask(holder.leave(), patience=STOP_SECONDS)
        finally:
            if self._owner is not None:
                self._owner.drop()
            self._hang_up()

    @contextlib.contextmanager
    def _command(self) -> Iterator[None]:
        """Note that a command runs, which shows by itself that the machine is held."""
        with self._counting:
            self._running += 1
        try:
            yield
        finally:
            with self._counting:
                self._running -= 1

    # Talking

    @contextlib.contextmanager
    def _channel(self, body: str, *, feed: bool = False) -> Iterator[Channel]:
        """Start a script; what goes wrong with the link is a `TargetError`."""
        nonce = secrets.token_hex(16)
        process = self._start(scripts.whole(nonce, body), feed=feed)
        channel = Channel(process, nonce)
        try:
            yield channel
        except Lost:
            raise self._why(*channel.last_words()) from None
        except Silent:
            raise TargetError(
                f"{self.where} does not answer any more",
                hint="look whether it is still there, and connect again; "
                "a start-up file that waits holds up every login over ssh",
            ) from None
        except TooMuch:
            raise TargetError(f"{self.where} answered what nobody asked") from None
        finally:
            channel.close()

    def _answer(self, channel: Channel, patience: float | None = None) -> tuple[str, str]:
        """Return the first word and the rest of a script's next answer."""
        words = channel.words(time.monotonic() + (patience or self.patience))
        kind, _, said = words.partition(" ")
        if kind == "lost":
            other = Owner.parse(said)
            raise TargetError(
                f"{self.where} was taken over by {other}"
                if other
                else f"{self.where} was given up: its lock is gone",
                hint="connect again; a machine that is silent for two minutes may be taken over",
            )
        return kind, said

    def _ask(self, body: str, patience: float | None = None) -> tuple[str, str]:
        """Run a script that only answers once."""
        with self._channel(body) as channel:
            return self._answer(channel, patience)


def printable(text: str, most: int = 300) -> str:
    """Return what a stranger said without control characters, cut to `most` characters."""
    clean = "".join(c if c.isprintable() else " " for c in text).strip()
    return clean if len(clean) <= most else f"{clean[: most - 1]}…"
