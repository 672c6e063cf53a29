"""What runs a model on a target: a runtime opens a session, the session measures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from edgeshrink.measure import BenchPlan, DeviceInfo, Failure, Measurement
from edgeshrink.target import Closing

if TYPE_CHECKING:
    import numpy as np

    from edgeshrink.profile import DeviceProfile
    from edgeshrink.target import Target

Progress = Callable[[float, str], None]


class Session(ABC, Closing):
    """A runtime at work on one device."""

    @abstractmethod
    def facts(self) -> DeviceInfo:
        """Return what the device and its runtime say of themselves."""

    @abstractmethod
    def time(self, models: Sequence[Path], plan: BenchPlan) -> list[Measurement | Failure]:
        """Time all models in turns (interleaved), one result for each, in their order."""

    @abstractmethod
    def predict(
        self, model: Path, inputs: Mapping[str, Path], progress: Progress | None = None
    ) -> dict[str, np.ndarray]:
        """Run every sample through the model.

        Args:
            model: a .tflite file.
            inputs: for each input's name a .npy file of shape `(samples, ...)` with real
                values; the session quantizes them where the model takes integers.
            progress: told the share done (0..1) and a note.

        Returns:
            For each output's name an array of shape `(samples, ...)`, dequantized float32.

        Raises:
            CommandFailed: the runtime refused the model or crashed on it.
            TargetError: the device was lost.
        """


class Runtime(ABC):
    """A way to run .tflite files on a target."""

    name: ClassVar[str]

    @abstractmethod
    def open(self, target: Target, workdir: str, profile: DeviceProfile) -> Session:
        """Prepare the runtime in `workdir` on `target` and return a session."""
