"""Pack one .tflite file by the method that makes packed files, outside of a run."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from edgeshrink.engine.measuring.sessions import host_profile
from edgeshrink.errors import UsageError
from edgeshrink.models import Kind
from edgeshrink.plugins import Plugins
from edgeshrink.recipes import Context, Training


def pack(model: Path, plugins: Plugins) -> tuple[bytes, dict[str, Any]]:
    """Return a .tflite file packed, and the facts that the method left.

    Raises:
        UsageError: no plugin packs.
        ModelError: the file is no .tflite file.
    """
    method = next((m for m in plugins.methods.values() if m.produces is Kind.PACKED), None)
    if method is None:
        raise UsageError("no plugin packs", hint="`edgeshrink plugins` lists what is installed")
    with tempfile.TemporaryDirectory(prefix="edgeshrink-") as folder:
        context = Context(
            data=None,
            profile=host_profile(),
            folder=Path(folder),
            seed=0,
            training=Training(),
            progress=lambda share, note: plugins.hook.edgeshrink_step_progress(
                step=None, fraction=share, note=note
            ),
            original=_nothing,
            evaluate=_nothing,
            agreement=_nothing,
            measure=_nothing,
            log=Path(folder, "log"),
        )
        packed = method().apply(model.read_bytes(), context)
    return packed, context.facts


def _nothing(*_: Any) -> Any:
    raise AssertionError("outside of a run there is a file and nothing else")
