"""LiteRT on a device: times and predictions, by the runner there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.api import (
    Backend,
    BenchPlan,
    CommandFailed,
    DeviceInfo,
    DeviceProfile,
    EdgeshrinkError,
    Failure,
    Measurement,
    OperatorTime,
    Progress,
    Session,
    Target,
)
from edgeshrink.tflite import tensor_names
from edgeshrink_litert import layers, measured, prediction, probe, tensors
from edgeshrink_litert.answers import Answer
from edgeshrink_litert.conversation import Conversation

if TYPE_CHECKING:
    import numpy as np

    from edgeshrink_litert.options import Options

# Beside the time that is counted: loading, warming up, and the same again after a crash.
SPARE_SECONDS = 120.0
# Of one model's energy: idle, then at least ten seconds of runs.
ENERGY_SECONDS = 15.0


class LiteRTSession(Session):
    """LiteRT at work on one device.

    Args:
        target: the device.
        workdir: a folder there that nothing else uses.
        profile: tells its interpreter, threads and accelerator.
        options: what the profile says of LiteRT.
        backend: what runs models in place of LiteRT, in the same runner.

    Raises:
        CommandFailed: the device has no Python, or no runtime for it.
    """

    def __init__(
        self,
        target: Target,
        workdir: str,
        profile: DeviceProfile,
        options: Options,
        backend: Backend | None = None,
    ) -> None:
        self.target, self.profile = target, profile
        self.workdir = workdir
        self.kernels = options.kernels if profile.accelerator == "cpu" else profile.accelerator
        always = {"accelerator": profile.accelerator, "library": options.library}
        if backend is not None:
            self.kernels = backend.package.name
            always |= {"backend": backend.package.name, "settings": dict(backend.settings)}
        always["kernels"] = self.kernels
        self.runner = Conversation(target, workdir, profile, always, backend)
        try:
            self._facts = self._ask_facts()
            self.runner.unpacks = bool(self._facts.numpy)
        except BaseException:
            self.runner.close()
            raise

    def _ask_facts(self) -> DeviceInfo:
        what = "the device's runtime cannot be used"
        job: dict[str, Any] = {"kind": "facts"}
        if self.profile.accelerator == "gpu" and self.runner.backend is None:
            path = Path(self.runner.folder.name, "probe.tflite")
            path.write_bytes(probe.model())
            job.update(probe=self._described(path), threads=1)
        answer = self.runner.run(job, what, timeout=SPARE_SECONDS)
        return measured.device_info(answer, self.profile)

    def facts(self) -> DeviceInfo:
        """Return what the device said of itself when the session was opened."""
        return self._facts

    def close(self) -> None:
        """Remove the files of jobs; what is pushed once stays in the device's cache."""
        self.runner.close()

    def time(
        self, models: Sequence[Path], plan: BenchPlan, progress: Progress | None = None
    ) -> list[Measurement | Failure]:
        """Time all models in turns, one result for each, in their order.

        Memory, loading and the first run are measured in a process of each model's own, latency
        in one process with the others; after a crash there, in processes of their own too.
        """
        described: dict[int, dict[str, Any]] = {}
        results: dict[int, Measurement | Failure] = {}
        for number, path in enumerate(models):
            try:
                described[number] = self._described(path)
            except EdgeshrinkError as error:
                results[number] = self.failure(path, error)
        job = {
            "kind": "time",
            "models": list(described.values()),
            "threads": plan.threads or self.profile.threads,
            "plan": asdict(plan),
        }
        if described:
            try:
                answer = self.runner.run(
                    job,
                    "timing failed",
                    timeout=_limit(plan, len(described)),
                    progress=progress,
                )
                timed = answer.members("models", len(described))
                for number, one in zip(described, timed, strict=True):
                    results[number] = self._measurement(models[number], one, plan, job)
            except EdgeshrinkError as error:
                for number in described:
                    results[number] = self.failure(models[number], error)
        if plan.profile:
            for number, entry in described.items():
                one_result = results[number]
                if isinstance(one_result, Measurement):
                    results[number] = self._with_operators(models[number], one_result, entry, job)
        return [results[number] for number in range(len(models))]

    def predict(
        self, model: Path, inputs: Mapping[str, Path], progress: Progress | None = None
    ) -> dict[str, np.ndarray]:
        """Run every sample through the model; see `Session.predict`.

        Batches and all cores are used where the outputs stay the same: the device compares up
        to 1,000 samples (one in 40) with the untouched file, integers bit for bit, floats
        within 1e-5 of the sample's largest output. On a GPU, and without numpy on the device,
        samples are run one by one.

        Raises:
            DataError: names, shapes or counts of the inputs do not fit the model.
            ModelError: the file is no .tflite model.
            CommandFailed: the runtime refused the model or crashed on it, or the outputs are
                not what the model gives.
            TargetError: the device was lost.
        """
        return self.predict_with_facts(model, inputs, progress)[0]

    def predict_with_facts(
        self,
        model: Path,
        inputs: Mapping[str, Path],
        progress: Progress | None = None,
        workers: int = 0,
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the outputs, and how the runner came to them.

        Args:
            model: a .tflite file.
            inputs: .npy files by input name.
            progress: told the share done and a note.
            workers: how many cores to use at most; 0 for all.

        Returns:
            The outputs, and a mapping with `seconds` on the device (loading the model and
            checking batches included, starting Python not), `how`, `note`, `checked`,
            `workers`.
        """
        return prediction.run(self.runner, model, inputs, progress, workers)

    def _described(self, path: Path) -> dict[str, Any]:
        """Return what the runner has to know of a model that is timed, and put it there."""
        _, flat = tensors.read_model(path)
        inputs, results = tensor_names(flat)
        return {
            **tensors.placed(self.runner, path),
            "stateful": flat.stateful,
            "inputs": tensors.described(flat, inputs),
            "outputs": tensors.described(flat, results),
        }

    def _measurement(
        self, path: Path, answer: Answer, plan: BenchPlan, job: dict[str, Any]
    ) -> Measurement | Failure:
        try:
            kernels = answer.text("kernels") if "kernels" in answer else self.kernels
            return measured.measurement(
                path, answer, self._facts, plan, threads=job["threads"], kernels=kernels
            )
        except CommandFailed as error:
            return self.failure(path, error)

    def _with_operators(
        self, path: Path, found: Measurement, entry: dict[str, Any], job: dict[str, Any]
    ) -> Measurement:
        """Add the time of each operator and its layer, or a note why there is none."""
        try:
            only = {**job, "kind": "operators", "models": [entry]}
            answer = self.runner.run(only, "no time by operator", timeout=SPARE_SECONDS)
            rows = [
                OperatorTime(
                    row.text("name"), row.number("milliseconds"), 0.0, row.whole("calls", 1)
                )
                for row in answer.members("operators")
            ]
        except EdgeshrinkError as error:
            return replace(found, notes=(*found.notes, str(error)))
        total = math.fsum(row.milliseconds for row in rows)
        if not total:
            note = "no time by operator: each is faster than the profiler's microsecond"
            return replace(found, notes=(*found.notes, note))
        told = layers.of_rows(rows, path)
        times = tuple(
            replace(row, share=row.milliseconds / total, layer=layer)
            for row, layer in zip(rows, told, strict=True)
        )
        return replace(found, operators=times, notes=(*found.notes, *layers.notes(times)))


def _limit(plan: BenchPlan, models: int) -> float:
    """Return the seconds after which timing so many models hangs."""
    each = 2 * (plan.max_seconds + plan.warmup_seconds) + SPARE_SECONDS
    return plan.cool_down + models * (each + (ENERGY_SECONDS if plan.energy else 0.0))
