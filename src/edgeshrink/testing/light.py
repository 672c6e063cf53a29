"""The check that a plugin is light: what it imports, every start of the tool pays for."""

from __future__ import annotations

import os
import subprocess
import sys

from edgeshrink.plugins import HEAVY

PROGRAM = """
import importlib, sys
importlib.import_module(sys.argv[1])
print(*[name for name in sys.argv[2:] if name in sys.modules])
"""


def check_light(module: str) -> None:
    """Check that importing a plugin's module imports none of TensorFlow, Keras, NumPy and so on.

    Args:
        module: as in the entry point, without an attribute.

    Raises:
        AssertionError: it does, or it cannot be imported at all.
    """
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, module, *HEAVY],
        capture_output=True,
        text=True,
        check=False,
        env=_with_path(),
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise AssertionError(f"{module} cannot be imported: {last}")
    if heavy := done.stdout.split():
        raise AssertionError(
            f"{module} imports {', '.join(heavy)}; import them in the function that needs them"
        )


def _with_path() -> dict[str, str]:
    """Return the environment with this process's module path, which tests may have extended."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
