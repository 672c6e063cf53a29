"""What a sweep has measured so far, kept until it is whole, so that it can go on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.devices import Measurement
from edgeshrink.engine.measuring.device_result import DeviceResult
from edgeshrink.engine.measuring.sessions import is_host
from edgeshrink.errors import EdgeshrinkError
from edgeshrink.models import write_text
from edgeshrink.recipes import digest_of
from edgeshrink.results import json_text
from edgeshrink.texts import from_json

if TYPE_CHECKING:
    from edgeshrink.devices import DeviceProfile
    from edgeshrink.models import Artifact


class Kept:
    """Measurements and outputs of one sweep, by device and model.

    Args:
        folder: a folder of its own.
        host_outputs: where outputs of this machine itself are kept.
    """

    def __init__(self, folder: Path, host_outputs: Path | None = None) -> None:
        self.folder = folder
        self.host_outputs = host_outputs or folder / "outputs"

    @classmethod
    def of(cls, sweep: Mapping[str, Any]) -> Kept:
        """Return the place for a sweep that is told by plain values, in the user's cache."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cls(cache / "edgeshrink" / "sweeps" / digest_of(sweep)[:24])

    def outputs(self, device: DeviceProfile) -> Path:
        """Return the folder for a device's outputs."""
        return self.host_outputs if is_host(device) else self._of(device) / "outputs"

    def find(self, device: DeviceProfile, model: Artifact) -> DeviceResult | None:
        """Return a measurement that is there whole, or None."""
        try:
            text = self._file(device, model).read_bytes()
            measurement = Measurement.from_dict(from_json(text, "the measurement"))
        except (OSError, EdgeshrinkError):
            return None
        return DeviceResult(model, device, measurement, notes=("measured in an earlier, cut run",))

    def keep(self, observed: DeviceResult) -> None:
        """Write a measurement down."""
        assert observed.measurement is not None
        file = self._file(observed.device, observed.model)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, json_text(asdict(observed.measurement)))

    def forget(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _of(self, device: DeviceProfile) -> Path:
        return self.folder / digest_of(asdict(device))[:16]

    def _file(self, device: DeviceProfile, model: Artifact) -> Path:
        return self._of(device) / f"{model.digest[:24]}.json"
