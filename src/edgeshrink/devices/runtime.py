"""What runs a model on a target: a runtime opens a session, the session measures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from edgeshrink.devices.backend import Backend
from edgeshrink.devices.measurement import BenchPlan, DeviceInfo, Failure, Measurement
from edgeshrink.devices.target import Closing, Progress
from edgeshrink.errors import EdgeshrinkError, TargetError, UsageError
from edgeshrink.flag import NoOptions

if TYPE_CHECKING:
    import numpy as np

    from edgeshrink.devices.profile import DeviceProfile
    from edgeshrink.devices.target import Target


class Session(ABC, Closing):
    """A runtime at work on one device: it defines `measure`, or `time` where models take turns."""

    @abstractmethod
    def facts(self) -> DeviceInfo:
        """Return what the device and its runtime say of themselves."""

    def time(
        self, models: Sequence[Path], plan: BenchPlan, progress: Progress | None = None
    ) -> list[Measurement | Failure]:
        """Time all models, one result for each, in their order.

        Where times are the device's own, models take turns (interleaved); as it stands here, each
        is measured by itself.

        Args:
            models: .tflite files; packed ones too, where the runtime `unpacks`.
            plan: how long; `threads` is settled.
            progress: told the share done (0..1) and a note.

        Returns:
            A `Failure` for each model that could not be timed; its `lost` is set where the device
            was lost, which raises nothing here.
        """
        results: list[Measurement | Failure] = []
        for number, model in enumerate(models):
            if progress is not None:
                progress(number / len(models), model.name)
            try:
                results.append(self.measure(model, plan))
            except EdgeshrinkError as error:
                results.append(self.failure(model, error))
        return results

    def measure(self, model: Path, plan: BenchPlan) -> Measurement:
        """Return what was measured of one model by itself.

        Args:
            model: as for `time`.
            plan: how long; `threads` is settled.

        Raises:
            EdgeshrinkError: it was not measured; the message says why.
        """
        raise NotImplementedError(f"{type(self).__name__} defines neither measure nor time")

    def failure(self, model: Path, error: EdgeshrinkError) -> Failure:
        """Return the result of a model that could not be measured.

        Args:
            model: its file.
            error: why.
        """
        lost = isinstance(error, TargetError)
        return Failure(str(model), self.facts().name, str(error), lost)

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
            NotImplementedError: this runtime tells times only.
            DataError: names, shapes or counts of the inputs do not fit the model.
            ModelError: the file is no .tflite model.
            CommandFailed: the runtime refused the model or crashed on it.
            TargetError: the device was lost.
        """


class Runtime(ABC):
    """A way to run .tflite files on a target.

    Attributes:
        name: the name in device profiles.
        Options: a dataclass of `Annotated[T, Flag(...)]` fields: what the table `[options]` of
            a device profile may say.
        unpacks: its sessions take packed files as they are; others get them unpacked.
        others: all runtimes by name, as plugins add them; who makes an instance sets them.
    """

    name: ClassVar[str]
    Options: ClassVar[type] = NoOptions
    unpacks: ClassVar[bool] = False
    others: Mapping[str, type[Runtime]] = MappingProxyType({})

    def other(self, name: str) -> Runtime:
        """Return another plugin's runtime, for what this one leaves to it.

        Args:
            name: of the runtime.

        Raises:
            UsageError: no plugin has it.
        """
        if name not in self.others:
            raise UsageError(
                f"the runtime {self.name} needs the runtime {name}, which no plugin has",
                hint="`edgeshrink plugins` lists what is installed",
            )
        found = self.others[name]()
        found.others = self.others
        return found

    def setup(self, target: Target, profile: DeviceProfile, progress: Progress) -> list[str]:
        """Install what the runtime needs on the target; return what was installed, pinned.

        The target needs neither internet nor a package manager: files come from this machine.

        Args:
            target: a machine that is connected.
            profile: of the device.
            progress: told the share done (0..1) and a note.

        Raises:
            EdgeshrinkError: it cannot be installed; a subclass says why.
        """
        return []

    def open_backend(
        self, backend: Backend, target: Target, workdir: str, profile: DeviceProfile
    ) -> Session:
        """Return a session of this runtime's runner that runs models by another back end.

        So another runtime has its processes, its way of timing and its checks.

        Args:
            backend: what runs models.
            target: as for `open`.
            workdir: as for `open`.
            profile: as for `open`; its options are not this runtime's.

        Raises:
            NotImplementedError: this runtime has no runner that takes another back end.
            CommandFailed: the back end does not work there.
            TargetError: the machine was lost.
        """
        raise NotImplementedError(f"the runtime {self.name} runs models by itself alone")

    @abstractmethod
    def open(self, target: Target, workdir: str, profile: DeviceProfile) -> Session:
        """Prepare the runtime on a machine and return a session.

        Args:
            target: a machine that is connected.
            workdir: a folder there that nothing else uses.
            profile: of the device.

        Raises:
            CommandFailed: the runtime does not work there.
            ProfileError, UsageError: the profile asks for what the runtime does not have.
            TargetError: the machine was lost.
        """
