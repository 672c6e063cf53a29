"""The check that a target keeps its promises, on a machine with a POSIX shell."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgeshrink.errors import EdgeshrinkError
from edgeshrink.target import Completed, Target

# Spaces, quotes, a dollar, a star, umlauts, a newline: what a shell in between would change.
WORDS = ("two words", "ümläut €", "$HOME", 'it\'s "so"', "*", "back\\slash", "a\nb", "-n", "")
NAME = "grüße & a space.bin"


def check_target(
    cls: type[Target], address: str = "", options: Any = None, *, timeout: float = 2.0
) -> None:
    """Check that a target runs commands, holds files, keeps time and cleans up.

    Args:
        cls: the target.
        address: of a machine that is there, in the target's own words.
        options: how to reach it; None for what `Options` says without values.
        timeout: seconds after which a command that sleeps is to be stopped.

    Raises:
        AssertionError: a rule is broken; the message says which.
    """
    chosen = cls.Options() if options is None else options
    target = cls.connect(address, chosen)
    try:
        folder = target.folder()
        _check_commands(target)
        _check_files(target, folder)
        _check_time(target, timeout)
    finally:
        target.close()
    target.close()  # a second time is not an error
    with cls.connect(address, chosen) as again:
        left = again.run("test", "-e", folder).returncode
        _hold(left != 0, f"close must remove the folder it gave; {folder} is still there")


def _check_commands(target: Target) -> None:
    done = target.run("sh", "-c", "echo out; echo err >&2; exit 7")
    _hold(done.returncode == 7, f"a command's exit code must come back: 7, not {done.returncode}")
    _hold(done.stdout == "out\n", f"standard output must come back whole: {done.stdout!r}")
    _hold("err" in done.stderr, f"standard error must come back apart: {done.stderr!r}")
    argv = ("printf", "%s|", *WORDS)
    said = target.run(*argv).stdout
    wanted = "".join(f"{word}|" for word in WORDS)
    _hold(said == wanted, f"arguments must arrive as they are: {wanted!r}, not {said!r}")
    missing = _no_exception(lambda: target.run("edgeshrink-no-such-command"), "a missing command")
    _hold(missing.returncode != 0, "a missing command must end with an exit code other than 0")
    lines: list[str] = []
    target.run("sh", "-c", "echo one; echo two", watch=lines.append)
    _hold(lines == ["one", "two"], f"watch must get each line without its end; got {lines}")
    last = target.run("sh", "-c", "printf unended").stdout
    _hold(last == "unended", "a last line without an end must not be lost")


def _check_files(target: Target, folder: str) -> None:
    with tempfile.TemporaryDirectory() as here:
        for place, content in enumerate((b"", b"line\r\nline\n\x00\xff\x1a", bytes(1 << 20))):
            sent, got = Path(here, f"sent {place}"), Path(here, f"got ü {place}")
            sent.write_bytes(content)
            remote = f"{folder}/{place} {NAME}"
            target.push(sent, remote)
            target.pull(remote, got)
            _hold(got.read_bytes() == content, f"a file of {len(content)} bytes came back changed")
            size = target.run("wc", "-c", remote).stdout.split()[:1]
            _hold(size == [str(len(content))], f"{remote} has {size} bytes over there")
        target.push(Path(here, "sent 1"), f"{folder}/0 {NAME}")  # replaces what is there
        target.pull(f"{folder}/0 {NAME}", Path(here, "again"))
        replaced = Path(here, "again").read_bytes() == Path(here, "sent 1").read_bytes()
        _hold(replaced, "push must replace a file that is there")
        nowhere = Path(here, "nowhere")
        _raises(lambda: target.pull(f"{folder}/none", nowhere), "pulling a file that is not there")
        _hold(not nowhere.exists(), "a pull that fails must leave no file")
        _raises(lambda: target.push(Path(here, "none"), f"{folder}/x"), "pushing no file")


def _check_time(target: Target, timeout: float) -> None:
    started = time.monotonic()
    _raises(
        lambda: target.run("sleep", str(timeout * 15), timeout=timeout),
        "a command that outlives its timeout",
    )
    seconds = time.monotonic() - started
    _hold(
        seconds < timeout * 10,
        f"a timeout of {timeout:g} s must end a command; it took {seconds:.0f} s",
    )
    _hold(target.run("true").returncode == 0, "a target must still work after a timeout")


def _hold(kept: bool, rule: str) -> None:
    if not kept:
        raise AssertionError(rule)


def _no_exception(act: Callable[[], Completed], what: str) -> Completed:
    try:
        return act()
    except Exception as error:
        raise AssertionError(f"{what} must be a Completed, not {type(error).__name__}") from error


def _raises(act: Callable[[], Any], what: str) -> None:
    try:
        act()
    except EdgeshrinkError:
        return
    except Exception as error:
        raise AssertionError(
            f"{what} must raise an EdgeshrinkError, not {type(error).__name__}"
        ) from error
    raise AssertionError(f"{what} must raise an EdgeshrinkError")
