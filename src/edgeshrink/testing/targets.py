"""The check that a target keeps its promises, on a machine with a POSIX shell."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgeshrink.devices import Completed, Target
from edgeshrink.errors import EdgeshrinkError

# Spaces, quotes, a dollar, a star, umlauts, a newline: what a shell in between would change.
WORDS = ("two words", "ümläut €", "$HOME", 'it\'s "so"', "*", "back\\slash", "a\nb", "-n", "")
NAME = "grüße & a space.bin"


def check_target(
    cls: type[Target], address: str = "", options: Any = None, *, timeout: float = 2.0
) -> None:
    """Check that a target runs commands, holds files, keeps time and cleans up.

    What the target had kept before is still there afterwards.

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
        _check_limit(target, folder)
        _check_place(target)
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
    _raises(lambda: target.run("echo", "one", watch=_refuse), "an error in watch", Refusal)
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


def _check_limit(target: Target, folder: str) -> None:
    with tempfile.TemporaryDirectory() as here:
        sent, got = Path(here, "sent"), Path(here, "got")
        sent.write_bytes(bytes(1000))
        target.push(sent, f"{folder}/limited")
        _raises(
            lambda: target.pull(f"{folder}/limited", got, limit=999),
            "pulling a file that is larger than the limit",
        )
        _hold(not list(Path(here).glob("*got*")), "a pull that is refused must leave no file")
        target.pull(f"{folder}/limited", got, limit=1000)
        _hold(got.stat().st_size == 1000, "pull must copy a file that is as large as the limit")


def _check_place(target: Target) -> None:
    cache = target.cache()
    _hold(target.run("test", "-d", cache).returncode == 0, f"cache must be a folder: {cache}")
    with tempfile.TemporaryDirectory() as here:
        one, two, got = Path(here, "one.bin"), Path(here, "two.bin"), Path(here, "got")
        one.write_bytes(b"one")
        two.write_bytes(b"two")
        remote = target.place(one)
        _hold(remote.endswith(".bin"), f"place must keep the end of the name: {remote}")
        _hold(target.place(one) == remote, "place must say the same of a file that is there")
        _hold(target.place(two) != remote, "place must keep files of other content apart")
        for source in (one, two):
            target.pull(target.place(source), got)
            _hold(got.read_bytes() == source.read_bytes(), f"{remote} must hold what was placed")


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


class Refusal(Exception):
    """What a caller's own function raises."""


def _refuse(line: str) -> None:
    raise Refusal(line)


def _raises(act: Callable[[], Any], what: str, wanted: type[Exception] = EdgeshrinkError) -> None:
    article = "an" if wanted is EdgeshrinkError else "the caller's own"
    try:
        act()
    except wanted:
        return
    except Exception as error:
        raise AssertionError(
            f"{what} must raise {article} {wanted.__name__}, not {type(error).__name__}"
        ) from error
    raise AssertionError(f"{what} must raise {article} {wanted.__name__}")
