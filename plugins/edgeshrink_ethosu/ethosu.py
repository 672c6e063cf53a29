"""Ethos-U NPUs: what Vela makes of a model, and its outputs by LiteRT's reference kernels."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgeshrink.api import (
    BenchPlan,
    CommandFailed,
    DeviceInfo,
    DeviceProfile,
    Estimate,
    Failure,
    Measurement,
    ModelError,
    ProfileError,
    Progress,
    Runtime,
    Session,
    Target,
    build,
)
from edgeshrink_ethosu import vela
from edgeshrink_ethosu.compiling import compiled
from edgeshrink_ethosu.options import Options

if TYPE_CHECKING:
    import numpy as np

UNRUN = (
    "nothing was run on an NPU: figures are the compiler's, outputs are those of LiteRT's "
    "reference kernels on this machine"
)
KERNELS = "reference"
# The times say nothing of an NPU: a handful shows that the model runs again and again.
FEW = {"runs": 5, "seconds": 0.01, "warmup_runs": 1, "warmup_seconds": 0.0, "max_seconds": 2.0}


class EthosU(Runtime):
    """Arm's Ethos-U NPUs, by their compiler Vela and LiteRT's reference kernels."""

    name, Options = "ethosu", Options

    def open(self, target: Target, workdir: str, profile: DeviceProfile) -> EthosUSession:
        """Ask Vela for its version.

        Raises:
            ProfileError: the profile names another machine than this one.
            UsageError: Vela is not installed, or the profile asks for what it does not have, or
                LiteRT's plugin is not there.
            CommandFailed: Vela or LiteRT does not start.
        """
        if not target.here:
            raise ProfileError(
                f"device profile {profile.name!r}: the runtime ethosu compiles on this machine; "
                f"received the target {target.name!r}",
                hint='target = "local"',
            )
        options = build(Options, profile.options, f"[options] of {profile.name}")
        with _room():
            version = vela.version()
        cpu = replace(profile, accelerator="cpu", options={"kernels": KERNELS})
        reference = self.other("litert").open(target, workdir, cpu)
        return EthosUSession(reference, profile, options, version)


class EthosUSession(Session):
    """Vela and the reference kernels at work for one NPU.

    Args:
        reference: LiteRT on this machine, with its reference kernels.
        profile: tells how much flash (`storage_bytes`) and SRAM (`memory_bytes`) there is.
        options: what Vela compiles for.
        version: Vela's.
    """

    def __init__(
        self, reference: Session, profile: DeviceProfile, options: Options, version: str
    ) -> None:
        self.reference, self.profile, self.options = reference, profile, options
        self._facts = replace(
            reference.facts(),
            runtime="Vela",
            runtime_version=version,
            adapter=", ".join((options.accelerator, options.system, options.memory)),
            emulated=UNRUN,
        )

    def facts(self) -> DeviceInfo:
        """Return the NPU that is compiled for, and by what."""
        return self._facts

    def close(self) -> None:
        """Close the reference kernels' session."""
        self.reference.close()

    def predict(
        self, model: Path, inputs: Mapping[str, Path], progress: Progress | None = None
    ) -> dict[str, np.ndarray]:
        """Run every sample through the reference kernels; see `Session.predict`.

        Raises:
            DataError: names, shapes or counts of the inputs do not fit the model.
            ModelError: the file is no .tflite model.
            CommandFailed: the kernels refused the model or crashed on it.
        """
        with _room():
            return self.reference.predict(model, inputs, progress)

    def measure(self, model: Path, plan: BenchPlan) -> Measurement:
        """Compile a model, and run it a few times on the reference kernels.

        Raises:
            CommandFailed: it does not compile, nothing of it runs on the NPU, it does not run, or
                it does not fit the profile's flash or SRAM.
            ModelError: its file cannot be read.
        """
        try:
            data = model.read_bytes()
        except OSError as error:
            raise ModelError(f"{model} cannot be read: {error.strerror}") from error
        with _room():
            made = compiled(data, self.options)
            self._check_room(made.estimate)
            few = replace(plan, cool_down=0.0, profile=False, energy=False, **FEW)
            (ran,) = self.reference.time([model], few)
        if isinstance(ran, Failure):
            raise CommandFailed(f"the reference kernels do not run the model: {ran.reason}")
        # Of the run on this machine nothing is told of the device: that it went well, and no more.
        return Measurement(
            model=str(model),
            digest=ran.digest,
            device=self._facts,
            plan=plan,
            samples_ns=ran.samples_ns,
            load_ms=ran.load_ms,
            first_ms=ran.first_ms,
            threads=ran.threads,
            kernels=ran.kernels,
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
