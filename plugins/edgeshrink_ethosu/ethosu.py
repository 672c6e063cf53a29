"""Ethos-U NPUs: what Vela makes of a model, and its outputs by LiteRT's reference kernels."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgeshrink.api import (
    BenchPlan,
    CommandFailed,
    DeviceInfo,
    DeviceProfile,
    EdgeshrinkError,
    Estimate,
    Failure,
    Measurement,
    ModelError,
    ProfileError,
    Progress,
    Runtime,
    Session,
    Target,
    TargetError,
    build,
)
from edgeshrink_ethosu import vela
from edgeshrink_ethosu.compiling import compiled
from edgeshrink_ethosu.options import Options
from edgeshrink_ethosu.reference import Reference

if TYPE_CHECKING:
    import numpy as np

UNRUN = (
    "nothing was run on an NPU: figures are the compiler's, outputs are those of LiteRT's "
    "reference kernels on this machine"
)
KERNELS = "reference kernels"


class EthosU(Runtime):
    """Arm's Ethos-U NPUs, by their compiler Vela and LiteRT's reference kernels."""

    name, Options = "ethosu", Options

    def open(self, target: Target, workdir: str, profile: DeviceProfile) -> EthosUSession:
        """Ask Vela for its version.

        Raises:
            ProfileError: the profile names another machine than this one.
            UsageError: Vela is not installed, or the profile asks for what it does not have.
            CommandFailed: Vela does not start.
        """
        if not target.here:
            raise ProfileError(
                f"device profile {profile.name!r}: the runtime ethosu compiles on this machine; "
                f"received the target {target.name!r}",
                hint='target = "local"',
            )
        options = build(Options, profile.options, f"[options] of {profile.name}")
        return EthosUSession(target, Path(workdir), profile, options)


class EthosUSession(Session):
    """Vela and the reference kernels at work for one NPU.

    Args:
        target: this machine.
        folder: nothing else uses it.
        profile: tells how much flash (`storage_bytes`) and SRAM (`memory_bytes`) there is.
        options: what Vela compiles for.
    """

    def __init__(
        self, target: Target, folder: Path, profile: DeviceProfile, options: Options
    ) -> None:
        self.profile, self.options = profile, options
        self.reference = Reference(target, folder)
        with _room():
            version = vela.version()
        self._facts = DeviceInfo(
            profile.name,
            machine=platform.machine(),
            system=platform.platform(terse=True),
            runtime="Vela",
            runtime_version=version,
            adapter=", ".join((options.accelerator, options.system, options.memory)),
            emulated=UNRUN,
        )

    def facts(self) -> DeviceInfo:
        """Return the NPU that is compiled for, and by what."""
        return self._facts

    def time(
        self, models: Sequence[Path], plan: BenchPlan, progress: Progress | None = None
    ) -> list[Measurement | Failure]:
        """Compile each model, and run it a few times on the reference kernels.

        A model of which nothing runs on the NPU, or that does not fit the profile's flash or SRAM,
        is a failure.
        """
        results: list[Measurement | Failure] = []
        for number, model in enumerate(models):
            if progress is not None:
                progress(number / len(models), f"compiling {model.name}")
            try:
                results.append(self._measured(model, plan))
            except EdgeshrinkError as error:
                lost = isinstance(error, TargetError)
                results.append(Failure(str(model), self.profile.name, str(error), lost))
        return results

    def predict(
        self, model: Path, inputs: Mapping[str, Path], progress: Progress | None = None
    ) -> dict[str, np.ndarray]:
        """Run every sample through the reference kernels, one by one; see `Session.predict`.

        Raises:
            DataError: names, shapes or counts of the inputs do not fit the model.
            ModelError: the file is no .tflite model.
            CommandFailed: the kernels refused the model or crashed on it.
        """
        with _room():
            return self.reference.outputs(model, inputs, progress)

    def _measured(self, model: Path, plan: BenchPlan) -> Measurement:
        """Return what one model needs.

        Raises:
            CommandFailed: it does not compile, does not run, or does not fit.
        """
        try:
            data = model.read_bytes()
        except OSError as error:
            raise ModelError(f"{model} cannot be read: {error.strerror}") from error
        with _room():
            made = compiled(data, self.options)
            self._check_room(made.estimate)
            times = self.reference.times(model)
        return Measurement(
            model=str(model),
            digest=times.sha256,
            device=self._facts,
            plan=plan,
            samples_ns=times.samples_ns,
            load_ms=times.load_ns / 1e6,
            first_ms=times.first_ns / 1e6,
            threads=1,
            delegate=KERNELS,
            notes=made.sentences(),
            estimate=made.estimate,
        )

    def _check_room(self, made: Estimate) -> None:
        """Refuse what does not fit the device.

        Raises:
            CommandFailed: it does not; with all numbers.
        """
        excess = [
            f"{what} takes {used:,} bytes, and there are {most:,} of {where}"
            for what, used, most, where in (
                ("the compiled file", made.stored_bytes, self.profile.storage_bytes, "flash"),
                ("its work", made.sram_bytes, self.profile.memory_bytes, "SRAM"),
            )
            if most is not None and used > most
        ]
        if excess:
            raise CommandFailed(f"it does not fit {self.profile.name}: {'; '.join(excess)}")


@contextlib.contextmanager
def _room() -> Iterator[None]:
    """Raise `CommandFailed` where there is no room for temporary files, or no right to them."""
    try:
        yield
    except OSError as error:
        raise CommandFailed(
            f"temporary files cannot be written: {error.strerror or error}"
        ) from error
