"""LiteRT on a device: the host's side, which pushes the runner and reads its answers."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import statistics
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.api import (
    BenchPlan,
    CommandFailed,
    DataError,
    DeviceInfo,
    DeviceProfile,
    EdgeshrinkError,
    Failure,
    Measurement,
    ModelError,
    OperatorTime,
    Progress,
    Runtime,
    Session,
    Target,
    TargetError,
    near,
)
from edgeshrink_litert import batching
from edgeshrink_litert.failures import explain, signal_sentence
from edgeshrink_litert.provision import launch
from edgeshrink_litert.runner import read_result

if TYPE_CHECKING:
    import numpy as np

    from edgeshrink.nn.flat import FlatModel

HERE = Path(__file__).parent
PUSHED = ("runner.py", "predictor.py", "operators.py")
# Beside the time that is counted: loading, warming up, and the same again after a crash.
SPARE_SECONDS = 120.0
# Above this share of the mean, a standard deviation says that something disturbed the runs.
NOISY = 0.1


class LiteRT(Runtime):
    """Google's LiteRT, once TensorFlow Lite, by the Python package that the device has."""

    name = "litert"

    def open(self, target: Target, workdir: str, profile: DeviceProfile) -> LiteRTSession:
        """Push the runner and ask the device for its facts.

        Raises:
            CommandFailed: the device has no Python, or no runtime for it.
        """
        return LiteRTSession(target, workdir, profile)


class LiteRTSession(Session):
    """LiteRT at work on one device.

    Args:
        target: the device.
        workdir: a folder there that nothing else uses.
        profile: tells its interpreter and threads.
    """

    def __init__(self, target: Target, workdir: str, profile: DeviceProfile) -> None:
        self.target, self.workdir, self.profile = target, workdir, profile
        self.launch = launch(target, profile)
        self.jobs: list[str] = []
        for name in PUSHED:
            target.push(HERE / name, self._remote(name))
        facts = self._run({"kind": "facts"}, "the device's runtime cannot be used")
        self._facts = DeviceInfo(
            name=profile.name,
            **{k: v for k, v in facts.items() if k in DeviceInfo.__dataclass_fields__},
        )

    def facts(self) -> DeviceInfo:
        """Return what the device said of itself when the session was opened."""
        return self._facts

    def close(self) -> None:
        """Remove the files that were pushed."""
        names = [self._remote(name) for name in (*PUSHED, *self.jobs)]
        with contextlib.suppress(EdgeshrinkError):
            self._remove(*names)
        self.jobs.clear()

    def time(self, models: Sequence[Path], plan: BenchPlan) -> list[Measurement | Failure]:
        """Time all models in turns, one result for each, in their order.

        Memory, loading and the first run are measured in a process of each model's own, latency
        in one process with the others; after a crash there, in processes of their own too.
        """
        entries: dict[int, dict[str, Any]] = {}
        results: dict[int, Measurement | Failure] = {}
        for number, path in enumerate(models):
            try:
                flat = self._read(path)[1]
                entries[number] = {"path": self.target.place(path), "stateful": flat.stateful}
            except EdgeshrinkError as error:
                lost = isinstance(error, TargetError)
                results[number] = self._failure(path, str(error), lost=lost)
        threads = plan.threads or self.profile.threads
        job = {
            "kind": "time",
            "models": list(entries.values()),
            "threads": threads,
            "delegate": plan.delegate,
            "plan": asdict(plan),
        }
        counted = 2 * len(entries) * (plan.max_seconds + plan.warmup_seconds)
        answers: list[dict[str, Any]] = []
        if entries:
            try:
                limit = counted + SPARE_SECONDS * len(entries)
                answers = self._run(job, "timing failed", timeout=limit)["models"]
            except EdgeshrinkError as error:
                lost = isinstance(error, TargetError)
                for number in entries:
                    results[number] = self._failure(models[number], str(error), lost=lost)
        for number, answer in zip(entries, answers, strict=False):
            results[number] = self._measurement(models[number], answer, plan, job)
        if plan.profile:
            for number, entry in entries.items():
                measured = results[number]
                if isinstance(measured, Measurement):
                    results[number] = self._with_operators(measured, entry, job)
        return [results[number] for number in range(len(models))]

    def predict(
        self, model: Path, inputs: Mapping[str, Path], progress: Progress | None = None
    ) -> dict[str, np.ndarray]:
        """Run every sample through the model; see `Session.predict`.

        Batches and all cores are used where the outputs stay the same: the device compares up
        to 1,000 samples (one in 40) with the untouched file, integers bit for bit, floats
        within 1e-5 of the sample's largest output.

        Raises:
            DataError: names, shapes or counts of the inputs do not fit the model.
            ModelError: the file is no .tflite model.
            CommandFailed: the runtime refused the model or crashed on it.
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
        import numpy as np

        data, flat = self._read(model)
        input_names, output_names = _names(flat)
        chosen = _matched(inputs, input_names)
        samples = _check_shapes(flat, chosen, input_names)
        patches, why = batching.patches(data, flat)
        job = {
            "kind": "predict",
            "model": self.target.place(model),
            "inputs": [
                {"tensor": input_names[name], "path": self.target.place(path)}
                for name, path in chosen.items()
            ],
            "outputs": [
                {"tensor": tensor, "path": self._remote(f"output-{uuid.uuid4().hex}.npy")}
                for tensor in output_names.values()
            ],
            "workers": workers,
            "stateful": flat.stateful,
            "patches": patches,
            "why_single": why,
            "activation_bytes": batching.activation_bytes(flat),
        }
        what = f"{model.name} cannot be run"
        try:
            try:
                result = self._run(job, what, progress=progress)
            except CommandFailed:
                if patches is None:
                    raise
                # A kernel may check less when its input is resized; the file as it is decides.
                plain = {**job, "patches": None, "why_single": "the runtime failed on batches"}
                result = self._run(plain, what, progress=progress)
            if result["count"] != samples or result["model_sha256"] != _sha256(data):
                raise CommandFailed(f"{what}: the device worked on other files than were sent")
            arrays = {}
            with tempfile.TemporaryDirectory() as folder:
                for number, (name, entry) in enumerate(
                    zip(output_names, job["outputs"], strict=True)
                ):
                    path = Path(folder, f"{number}.npy")
                    self.target.pull(entry["path"], path)
                    if _sha256(path.read_bytes()) != result["outputs"][number]:
                        raise CommandFailed(f"{what}: the output {name!r} arrived damaged")
                    arrays[name] = np.load(path, allow_pickle=False)
        finally:
            with contextlib.suppress(EdgeshrinkError):
                self._remove(*(entry["path"] for entry in job["outputs"]))
        return arrays, result

    # ---- talking to the runner

    def _run(
        self,
        job: dict[str, Any],
        what: str,
        *,
        timeout: float | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Run a job to its end and return its whole answer."""
        job_id = uuid.uuid4().hex[:12]
        self.jobs.append(f"job-{job_id}.json")
        remote = self._remote(self.jobs[-1])
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "job.json")
            path.write_text(json.dumps({**job, "id": job_id}), encoding="utf-8")
            self.target.push(path, remote)

        def watch(line: str) -> None:
            word, _, rest = line.partition(" ")
            if word == "progress" and progress is not None:
                share, _, note = rest.partition(" ")
                progress(float(share), note)

        done = self.target.run(
            *self.launch, "-B", self._remote("runner.py"), remote, timeout=timeout, watch=watch
        )
        result = read_result(done.stdout, job_id)
        if result is None:
            if done.returncode < 0:
                raise CommandFailed(f"{what}: {signal_sentence(-done.returncode)}")
            if done.returncode in (126, 127):
                raise CommandFailed(
                    f"{what}: {self.launch[-1]} cannot be started there",
                    hint="name the device's interpreter in its profile: python = ...",
                )
            last = (done.stderr.strip().splitlines() or ["the answer is not whole"])[-1]
            raise CommandFailed(f"{what}: {last} (exit code {done.returncode})")
        if "error" in result:
            hint = ""
            if result["error"].startswith("no runtime"):
                hint = f"on the device: {self.launch[-1]} -m pip install ai-edge-litert"
            raise CommandFailed(f"{what}: {explain(result['error'])}", hint=hint)
        return result

    def _remote(self, name: str) -> str:
        return f"{self.workdir}/{name}"

    def _remove(self, *paths: str) -> None:
        self.target.run("rm", "-f", "--", *paths, timeout=30)

    @staticmethod
    def _read(path: Path) -> tuple[bytes, FlatModel]:
        from edgeshrink.nn import flat

        try:
            data = path.read_bytes()
        except OSError as error:
            raise ModelError(f"{path} cannot be read: {error.strerror}") from error
        return data, flat.read(data)

    # ---- results

    def _failure(self, path: Path, reason: str, *, lost: bool = False) -> Failure:
        return Failure(str(path), self.profile.name, reason, lost)

    def _measurement(
        self, path: Path, answer: dict[str, Any], plan: BenchPlan, job: dict[str, Any]
    ) -> Measurement | Failure:
        if "error" in answer:
            return self._failure(path, explain(answer["error"]))
        digest = _sha256(path.read_bytes())
        if answer["sha256"] != digest:
            return self._failure(path, "the device timed another file than was sent")
        samples = tuple(answer["samples_ns"])
        notes = list(answer["notes"])
        spread = statistics.pstdev(samples) / statistics.fmean(samples)
        if spread > NOISY:
            load = answer["conditions"]["after"].get("load_average", "unknown")
            notes.append(
                f"noisy: the standard deviation is {spread:.0%} of the mean (load average {load})"
            )
        return Measurement(
            model=str(path),
            digest=digest,
            device=replace(self._facts, extra={**self._facts.extra, **answer["conditions"]}),
            plan=plan,
            samples_ns=samples,
            load_ms=answer["load_ns"] / 1e6,
            first_ms=answer["first_ns"] / 1e6,
            threads=job["threads"],
            delegate=plan.delegate,
            peak_memory_bytes=answer["peak_memory_bytes"],
            runtime_memory_bytes=answer["runtime_memory_bytes"],
            notes=tuple(notes),
        )

    def _with_operators(
        self, measured: Measurement, entry: dict[str, Any], job: dict[str, Any]
    ) -> Measurement:
        """Add the time of each operator, or a note why there is none."""
        try:
            only = {**job, "kind": "operators", "models": [entry]}
            rows = self._run(only, "no time by operator", timeout=SPARE_SECONDS)["operators"]
        except EdgeshrinkError as error:
            return replace(measured, notes=(*measured.notes, str(error)))
        total = math.fsum(row["milliseconds"] for row in rows)
        if not total:
            note = "no time by operator: each is faster than the profiler's microsecond"
            return replace(measured, notes=(*measured.notes, note))
        times = [OperatorTime(share=row["milliseconds"] / total, **row) for row in rows]
        return replace(measured, operators=tuple(times))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _names(flat: FlatModel) -> tuple[dict[str, int], dict[str, int]]:
    """Return the tensors of inputs and outputs by the names that the signature gives them."""
    for signature in flat.signatures:
        if signature.subgraph == 0:
            return dict(signature.inputs), dict(signature.outputs)
    return {t.name: t.index for t in flat.inputs}, {t.name: t.index for t in flat.outputs}


def _matched(inputs: Mapping[str, Path], names: Mapping[str, int]) -> dict[str, Path]:
    """Return the files in the model's order; a single one needs no name."""
    if len(inputs) == len(names) == 1:
        return dict(zip(names, inputs.values(), strict=True))
    for name in inputs:
        if name not in names:
            raise DataError(f"the model has no input {name!r}", hint=near(name, names))
    missing = [name for name in names if name not in inputs]
    if missing:
        raise DataError(f"the model also takes {', '.join(map(repr, missing))}")
    return {name: inputs[name] for name in names}


def _check_shapes(flat: FlatModel, chosen: Mapping[str, Path], names: Mapping[str, int]) -> int:
    """Return the number of samples.

    Raises:
        DataError: a file is no array of numbers, or its samples do not fit the input.
    """
    import numpy as np

    counts = {}
    for name, path in chosen.items():
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path} is not a .npy file: {error}") from error
        tensor = flat.tensor(0, names[name])
        wanted = tensor.shape_signature[1:]
        if array.dtype.kind not in "fiub":
            raise DataError(f"{path} holds {array.dtype}, not numbers")
        given = array.shape[1:]
        fits = len(given) == len(wanted) and all(
            w in (-1, g) for w, g in zip(wanted, given, strict=True)
        )
        if not array.ndim or not fits:
            raise DataError(
                f"the input {name!r} takes samples of shape {_shape(wanted)}; "
                f"received {_shape(given)} in {path.name}",
                hint="the first dimension of a .npy file counts the samples",
            )
        counts[name] = len(array)
    if len(set(counts.values())) != 1 or 0 in counts.values():
        told = ", ".join(f"{name!r} {count}" for name, count in counts.items())
        raise DataError(f"all inputs need the same number of samples, at least one; got {told}")
    return next(iter(counts.values()))


def _shape(shape: Sequence[int]) -> str:
    return f"({', '.join('any' if n < 0 else str(n) for n in shape)})"
