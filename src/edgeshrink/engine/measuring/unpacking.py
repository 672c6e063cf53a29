"""Sessions of runtimes that take no packed files."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgeshrink.devices import BenchPlan, DeviceInfo, Failure, Measurement, Progress, Session
from edgeshrink.models import write_bytes

if TYPE_CHECKING:
    import numpy as np


class Unpacking(Session):
    """A session that is given every packed file unpacked.

    Args:
        session: of a runtime.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._folder = tempfile.TemporaryDirectory(prefix="edgeshrink-")

    def facts(self) -> DeviceInfo:
        """Return what the device says of itself."""
        return self._session.facts()

    def close(self) -> None:
        """Remove the unpacked files; the session is closed by who opened it."""
        self._folder.cleanup()

    def time(
        self, models: Sequence[Path], plan: BenchPlan, progress: Progress | None = None
    ) -> list[Measurement | Failure]:
        """Time all models in turns; see `Session.time`."""
        found = self._session.time([self._plain(path) for path in models], plan, progress)
        return [replace(one, model=str(m)) for one, m in zip(found, models, strict=True)]

    def predict(
        self, model: Path, inputs: Mapping[str, Path], progress: Progress | None = None
    ) -> dict[str, np.ndarray]:
        """Run every sample through the model; see `Session.predict`."""
        return self._session.predict(self._plain(model), inputs, progress)

    def _plain(self, model: Path) -> Path:
        from edgeshrink.tflite import is_packed, unpacked

        data = model.read_bytes()
        if not is_packed(data, model):
            return model
        digest = hashlib.sha256(data).hexdigest()[:16]
        path = Path(self._folder.name, f"{model.stem}-{digest}.tflite")
        write_bytes(path, unpacked(data))
        return path
