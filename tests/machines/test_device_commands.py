"""`edgeshrink devices` from the first address to the last clean, with a real ssh server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.device,
    pytest.mark.skipif(sys.platform != "linux", reason="the device is this machine: needs Linux"),
]
# The board's name comes from a file that is not on every machine.
CAT = """#!/bin/sh
[ "$1" = /proc/device-tree/model ] || exec /bin/cat "$@"
printf 'Raspberry Pi 4 Model B Rev 1.4\\0'
"""


@pytest.fixture
def devices(
    edgeshrink: Callable[..., subprocess.CompletedProcess[str]], server: Any, tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        return edgeshrink(
            "devices",
            *argv,
            XDG_CONFIG_HOME=str(tmp_path / "config"),
            XDG_CACHE_HOME=str(tmp_path / "here"),
        )

    return run


@pytest.fixture
def python(tmp_path: Path) -> str:
    """A Python without any package, pip included."""
    base = Path(sys.base_prefix, "bin", f"python3.{sys.version_info[1]}")
    subprocess.run([base, "-m", "venv", "--without-pip", tmp_path / "python"], check=True)
    return str(tmp_path / "python" / "bin" / "python")


def test_a_device_is_added_set_up_tested_and_cleaned(
    devices: Callable[..., subprocess.CompletedProcess[str]], server: Any, python: str
) -> None:
    server.shim("cat", CAT)
    added = devices(
        *("add", "mypi", "--at", "ssh:device", "--ssh-config", server.options().config),
        *("--python", python),
    )
    assert added.returncode == 0, added.stderr
    assert "which calls itself 'Raspberry Pi 4 Model B Rev 1.4'" in added.stdout
    assert "– based on rpi4\n" in added.stdout

    done = devices("setup", "mypi")
    if "out of reach" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    assert "– ai-edge-litert 2.3.0 (sha256 " in done.stdout
    assert "unpacking on the device\n" in done.stderr

    tested = devices("selftest", "mypi")
    assert tested.returncode == 0, tested.stdout
    assert "✓ runtime: ai-edge-litert 2.3.0, numpy 2." in tested.stdout
    assert "16 samples as on this machine" in tested.stdout
    pasted = tested.stdout[tested.stdout.index("```text") :]
    assert "(based on rpi4)" in pasted
    assert str(server.folder) not in pasted

    cleaned = devices("clean", "mypi")
    assert cleaned.returncode == 0
    assert int(cleaned.stdout.split()[0].replace(",", "")) > 50_000_000
    assert not list(server.cache.glob("runtime-*"))


def test_a_board_that_no_profile_knows_is_added_with_advice(
    devices: Callable[..., subprocess.CompletedProcess[str]], server: Any
) -> None:
    server.shim("cat", CAT.replace("Raspberry Pi 4", "Some\x1b[31m Board"))
    done = devices("add", "x", "--at", "ssh:device", "--ssh-config", server.options().config)
    assert done.returncode == 0, done.stderr
    assert "calls itself 'Some[31m Board Model B Rev 1.4'" in done.stdout
    assert "no profile knows that name: --like and --force take one of coral-dev-" in done.stdout


def test_a_key_that_is_not_allowed_ends_with_3(
    devices: Callable[..., subprocess.CompletedProcess[str]], server: Any
) -> None:
    config = server.options(key="other").config
    done = devices("add", "x", "--at", "ssh:device", "--ssh-config", config)
    assert (done.returncode, "Permission denied" in done.stderr) == (3, True), done.stderr
