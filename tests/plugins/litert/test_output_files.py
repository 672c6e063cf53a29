"""The runner's output files: filled in any order, and a full disk is a sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgeshrink_litert.runner.outputs import Output


def test_what_is_written_in_any_order_is_the_array(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.float32).reshape(4, 3, 2)
    output = Output(str(tmp_path / "a.npy"), 4, (3, 2))
    output.write(2, values[2:])
    output.write(0, values[:2])
    assert np.array_equal(output.read(3), values[3])
    output.close()
    assert np.array_equal(np.load(tmp_path / "a.npy"), values)


def test_outputs_of_one_number_and_of_none(tmp_path: Path) -> None:
    for row in ((), (0,)):
        output = Output(str(tmp_path / "a.npy"), 3, row)
        output.write(0, np.ones((3, *row), np.float32))
        output.close()
        assert np.load(tmp_path / "a.npy").shape == (3, *row)


def test_another_shape_is_refused(tmp_path: Path) -> None:
    output = Output(str(tmp_path / "a.npy"), 4, (3, 2))
    with pytest.raises(ValueError, match="changed its shape"):
        output.write(0, np.ones((2, 2, 3), np.float32))
    output.close()


def test_a_full_disk_is_told_with_what_it_takes(tmp_path: Path) -> None:
    code = (
        "import resource, signal, numpy as np\n"
        "from edgeshrink_litert.runner.outputs import Output\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "output = Output('a.npy', 100, (100,))\n"
        "output.write(50, np.zeros((50, 100)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1  # and no signal
    assert "take 40128 bytes, which cannot be written to" in done.stderr
    assert "File too large" in done.stderr
