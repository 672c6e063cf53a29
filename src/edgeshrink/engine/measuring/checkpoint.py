"""What a sweep has measured so far, kept until it is whole, so that it can go on."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.devices import Measurement
from edgeshrink.engine.measuring.device_result import DeviceResult
from edgeshrink.engine.measuring.sessions import is_host
from edgeshrink.errors import EdgeshrinkError
from edgeshrink.models import cache_folder, make_ours, mend, read_sealed, remove, write_sealed
from edgeshrink.recipes import digest_of

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
    @contextlib.contextmanager
    def of(
        cls, sweep: Mapping[str, Any], *, resume: bool, told: Callable[[str], Any]
    ) -> Iterator[Kept]:
        """Yield a place for a sweep in the user's cache that no other process has meanwhile.

        Args:
            sweep: what decides its figures, as plain values.
            resume: wanted is what an earlier one left; else the place is empty.
            told: called with what was damaged of that, in a sentence.
        """
        import filelock

        sweeps, name = cache_folder("sweeps"), digest_of(sweep)[:24]
        make_ours(sweeps)
        left = sorted(sweeps.glob(f"{name}-*[0-9]")) if resume else []
        places = (sweeps / f"{name}-{number}" for number in itertools.count())
        for place in itertools.chain(left, places):
            lock = filelock.FileLock(place.with_suffix(".lock"), timeout=0)
            try:
                lock.acquire()
            except filelock.Timeout:
                continue
            try:
                kept = cls(place)
                if resume:
                    mend(place, lambda path: told(f"{path} was damaged, and is measured again"))
                else:
                    kept.forget()
                yield kept
                return
            finally:
                lock.release()

    def outputs(self, device: DeviceProfile) -> Path:
        """Return the folder for a device's outputs."""
        return self.host_outputs if is_host(device) else self._of(device) / "outputs"

    def find(self, device: DeviceProfile, model: Artifact) -> DeviceResult | None:
        """Return a measurement that is there whole, or None."""
        try:
            measurement = Measurement.from_dict(read_sealed(self._file(device, model)) or {})
        except EdgeshrinkError:
            return None
        return DeviceResult(model, device, measurement, notes=("measured in an earlier, cut run",))

    def keep(self, observed: DeviceResult) -> None:
        """Write a measurement down."""
        assert observed.measurement is not None
        file = self._file(observed.device, observed.model)
        if not file.parent.is_dir():
            remove(file.parent)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_sealed(file, asdict(observed.measurement))

    def forget(self) -> None:
        """Remove all of it."""
        remove(self.folder)

    def _of(self, device: DeviceProfile) -> Path:
        return self.folder / digest_of(asdict(device))[:16]

    def _file(self, device: DeviceProfile, model: Artifact) -> Path:
        return self._of(device) / f"{model.digest[:24]}.json"
