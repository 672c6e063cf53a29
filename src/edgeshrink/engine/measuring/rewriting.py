"""Sessions that are given files in another form: unpacked, or with look-up tables spelled out."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgeshrink.devices import BenchPlan, DeviceInfo, Failure, Measurement, Progress, Session
from edgeshrink.models import write_bytes

if TYPE_CHECKING:
    import numpy as np


def plain(data: bytes, path: Path) -> bytes:
    """Return the .tflite of a packed file; another file as it is."""
    from edgeshrink.tflite import is_packed, unpacked

    return unpacked(data) if is_packed(data, path) else data


def spelled_out(data: bytes, path: Path) -> bytes:
    """Return a .tflite, packed or not, with constants in place of look-up tables.

    LiteRT, which judges on this machine, has no kernel for them; what is computed is the same.
    """
    from edgeshrink.tflite import decoded

    return decoded(plain(data, path))


class Rewriting(Session):
    """A session that is given every file rewritten.

    Args:
        session: that runs what comes of it.
        rewrite: gives a file's bytes in their new form, or as they are, of the bytes and the path.
    """

    def __init__(self, session: Session, rewrite: Callable[[bytes, Path], bytes]) -> None:
        self._session, self._rewrite = session, rewrite
        self._folder = tempfile.TemporaryDirectory(prefix="edgeshrink-")

    def facts(self) -> DeviceInfo:
        """Return what the device says of itself."""
        return self._session.facts()

    def close(self) -> None:
        """Remove the rewritten files; the session is closed by who opened it."""
        self._folder.cleanup()

    def time(
        self, models: Sequence[Path], plan: BenchPlan, progress: Progress | None = None
    ) -> list[Measurement | Failure]:
        """Time all models in turns; see `Session.time`."""
        found = self._session.time([self._rewritten(path) for path in models], plan, progress)
        return [replace(one, model=str(m)) for one, m in zip(found, models, strict=True)]

    def predict(
        self, model: Path, inputs: Mapping[str, Path], progress: Progress | None = None
    ) -> dict[str, np.ndarray]:
        """Run every sample through the model; see `Session.predict`."""
        return self._session.predict(self._rewritten(model), inputs, progress)

    def _rewritten(self, model: Path) -> Path:
        data = model.read_bytes()
        made = self._rewrite(data, model)
        if made is data:
            return model
        digest = hashlib.sha256(data).hexdigest()[:16]
        path = Path(self._folder.name, f"{model.stem}-{digest}.tflite")
        write_bytes(path, made)
        return path
