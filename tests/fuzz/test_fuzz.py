"""A short run over every format; `make fuzz` is the long one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz import case

TESTS = Path(__file__).resolve().parents[1]


@pytest.mark.heavy
def test_a_short_run_finds_nothing() -> None:
    seconds, seed = os.environ.get("FUZZ_SECONDS", "5"), os.environ.get("FUZZ_SEED", "1")
    done = subprocess.run(
        [sys.executable, "-m", "fuzz", "--seconds", seconds, "--seed", seed],
        cwd=TESTS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-2000:]}"


def printed(text: str) -> int:
    print(text)
    return 0


def grown(count: int) -> int:
    held = bytearray(count)
    held[:: 1 << 12] = b"x" * len(held[:: 1 << 12])
    return 0


def killed(number: int) -> int:
    os.kill(os.getpid(), number)
    return 0


def raised() -> int:
    raise ValueError("x")


@pytest.mark.parametrize(
    ("work", "fault"),
    [
        (lambda: printed("error: a sentence"), ""),
        (lambda: printed("error: unexpected KeyError: 'x'"), "error: unexpected KeyError"),
        (lambda: printed("a \x1b[31mred name"), "raw control character '\\x1b'"),
        (lambda: printed("a \u202eeman"), "raw control character"),
        (lambda: grown(200 << 20), "MiB for 1,000 declared bytes"),
        (lambda: killed(9), "ended by SIGKILL"),
        (lambda: killed(24), "it did not end"),
        (lambda: raised(), "Traceback"),
        (lambda: 77, "exit code 77"),
    ],
)
def test_each_kind_of_fault_is_seen(work: object, fault: str, tmp_path: Path) -> None:
    """In a process of its own, since children are forked from it."""
    idle = case.run(lambda: printed(""), tmp_path / "idle.txt").peak_bytes
    ended = case.run(work, tmp_path / "told.txt")  # type: ignore[arg-type]
    said = ended.fault(idle, 1000)
    assert (fault in said) if fault else (said == "")
