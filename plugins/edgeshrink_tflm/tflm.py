"""TensorFlow Lite Micro on this machine: which models load, in what arena, and what they say."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.api import (
    BenchPlan,
    CommandFailed,
    DeviceInfo,
    DeviceProfile,
    EdgeshrinkError,
    Measurement,
    ModelError,
    Progress,
    Runtime,
    Session,
    Target,
    from_json,
    typed,
)
from edgeshrink_tflm.arena import arena_uses, told
from edgeshrink_tflm.failures import ended
from edgeshrink_tflm.process import RUNNER, check

if TYPE_CHECKING:
    import numpy as np

    from edgeshrink.tflite import FlatModel

KERNELS = "those of TensorFlow Lite Micro"
EMULATED = "an interpreter on this machine stands for the microcontroller"
# The times say nothing of a microcontroller: a handful shows that the model runs again and again.
RUNS, SECONDS = 5, 2.0
LONGEST_SECONDS = 300.0
ANSWER_LIMIT, OUTPUT_SPARE = 1 << 20, 1 << 12
SHARE = re.compile(r"[01]\.\d{3}")
HOW = (
    "the arena is the smallest that the model loads with here, found in steps of 16 bytes: "
    "pointers take 8 bytes here and 4 on most microcontrollers, and a chip's own kernels may "
    "ask for scratch memory"
)


@dataclass(frozen=True)
class Facts:
    """What the runner tells of the package and of the machine."""

    runtime_version: str
    machine: str
    system: str
    python: str
    numpy: str


@dataclass(frozen=True)
class Needs:
    """What the runner tells of a model; times in nanoseconds."""

    sha256: str
    arena_bytes: int
    planned_bytes: int
    kept_bytes: int
    load_ns: int
    first_ns: int
    samples_ns: tuple[int, ...]


class TFLM(Runtime):
    """TensorFlow Lite Micro's interpreter, by the Python package tflite-micro."""

    name = "tflm"

    def open(self, target: Target, workdir: str, profile: DeviceProfile) -> TFLMSession:
        """Push the runner and ask the package for its version.

        Raises:
            UsageError: the package is not installed.
            CommandFailed: Python cannot be started there.
        """
        return TFLMSession(target, workdir, profile)


class TFLMSession(Session):
    """TensorFlow Lite Micro at work; each model in a process of its own.

    Args:
        target: the machine that stands for the microcontroller.
        workdir: a folder there that nothing else uses.
        profile: tells the microcontroller's flash (`storage_bytes`) and RAM (`memory_bytes`).
    """

    def __init__(self, target: Target, workdir: str, profile: DeviceProfile) -> None:
        self.target, self.workdir, self.profile = target, workdir, profile
        self.launch = (profile.python,) if profile.python else target.python()
        self.runner = f"{workdir}/runner.py"
        target.push(RUNNER, self.runner)
        what = "TensorFlow Lite Micro cannot be run: "
        answer = self._run({"kind": "facts"}, what=what)
        with _whole(what):
            facts = typed(Facts, answer, "it")
        self._facts = DeviceInfo(
            profile.name,
            runtime="tflite-micro",
            emulated=EMULATED,
            **asdict(facts),
        )

    def facts(self) -> DeviceInfo:
        """Return what the package said of itself when the session was opened."""
        return self._facts

    def close(self) -> None:
        """Remove the runner."""
        self._remove(self.runner)

    def predict(
        self, model: Path, inputs: Mapping[str, Path], progress: Progress | None = None
    ) -> dict[str, np.ndarray]:
        """Run every sample through the model, one by one; see `Session.predict`.

        Raises:
            DataError: names, shapes or counts of the inputs do not fit the model.
            ModelError: the file is no .tflite model.
            CommandFailed: the interpreter refused the model or crashed on it.
            TargetError: the machine was lost.
        """
        import numpy as np

        from edgeshrink.tflite import count_samples, matched_files, tensor_names

        data, flat = _read(model)
        input_names, output_names = tensor_names(flat)
        chosen = matched_files(inputs, input_names)
        samples = count_samples(flat, chosen, input_names)
        by_tensor = {input_names[name]: path for name, path in chosen.items()}
        remote = [f"{self.workdir}/output-{uuid.uuid4().hex}.npy" for _ in flat.outputs]
        job = {
            "kind": "predict",
            "model": self.target.place(model),
            "inputs": [self.target.place(by_tensor[t.index]) for t in flat.inputs],
            "outputs": remote,
            "stateful": flat.stateful,
        }
        try:
            what = f"{model.name} cannot be run: "
            answer = self._run(job, flat, what=what, progress=progress)
            if answer.get("count") != samples or answer.get("sha256") != _sha256(data):
                raise CommandFailed(f"{what}other files were run than were sent")
            arrays = {}
            with tempfile.TemporaryDirectory() as folder:
                for tensor, path in zip(flat.outputs, remote, strict=True):
                    local = Path(folder, "output.npy")
                    limit = 4 * samples * math.prod(tensor.shape) + OUTPUT_SPARE
                    self.target.pull(path, local, limit=limit)
                    with _whole(what):
                        arrays[tensor.index] = array = np.load(local, allow_pickle=False)
                    if array.dtype != np.float32 or array.shape[:1] != (samples,):
                        raise CommandFailed(f"{what}its outputs are not one for each sample")
        finally:
            self._remove(*remote)
        return {name: arrays[tensor] for name, tensor in output_names.items()}

    def measure(self, model: Path, plan: BenchPlan) -> Measurement:
        """Load a model, find its arena and run it a few times.

        Raises:
            CommandFailed: it does not load, crashes, or does not fit the profile's flash or RAM.
            ModelError: its file cannot be read.
            TargetError: the machine was lost.
        """
        data, flat = _read(model)
        job = {
            "kind": "measure",
            "model": self.target.place(model),
            "inputs": len(flat.inputs),
            "runs": RUNS,
            "seconds": min(SECONDS, plan.max_seconds),
        }
        answer = self._run(job, flat, timeout=LONGEST_SECONDS)
        with _whole():
            needs = typed(Needs, answer, "it")
        arena, samples = needs.arena_bytes, needs.samples_ns
        if needs.sha256 != _sha256(data):
            raise CommandFailed("another file was measured than was sent")
        if arena < 1 or not samples or min(samples) < 1:
            raise CommandFailed(f"the answer cannot be: {arena} bytes of arena, {samples} ns")
        ram, flash = self.profile.memory_bytes, self.profile.storage_bytes
        excess = []
        if flash is not None and len(data) > flash:
            excess.append(f"the file takes {len(data):,} bytes, and there are {flash:,} of flash")
        if ram is not None and arena > ram:
            excess.append(f"it needs {arena:,} bytes of arena, and there are {ram:,} of RAM")
        if excess:
            raise CommandFailed(f"it does not fit {self.profile.name}: {'; '.join(excess)}")
        uses = arena_uses(flat)
        said = (
            f"needs {_of(arena, ram, 'RAM')} for its arena and {_of(len(data), flash, 'flash')} "
            "for its file; the program and TensorFlow Lite Micro itself come on top"
        )
        return Measurement(
            model=str(model),
            digest=needs.sha256,
            device=self._facts,
            plan=plan,
            samples_ns=samples,
            load_ms=needs.load_ns / 1e6,
            first_ms=needs.first_ns / 1e6,
            threads=1,
            kernels=KERNELS,
            arena_bytes=arena,
            arena=uses,
            notes=(said, told(uses, needs.planned_bytes, needs.kept_bytes), HOW),
        )

    def _run(
        self,
        job: dict[str, Any],
        flat: FlatModel | None = None,
        *,
        what: str = "",
        timeout: float | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Run a job in a process of its own and return its answer."""
        stem = f"{self.workdir}/{uuid.uuid4().hex}"
        remote, answered = f"{stem}.job.json", f"{stem}.answer.json"

        def watch(line: str) -> None:
            word, _, rest = line.partition(" ")
            share, _, note = rest.partition(" ")
            if word == "progress" and progress is not None and SHARE.fullmatch(share):
                progress(float(share), note)

        try:
            with tempfile.TemporaryDirectory() as folder:
                local = Path(folder, "job.json")
                local.write_text(json.dumps({**job, "answer": answered}), encoding="utf-8")
                self.target.push(local, remote)
                done = self.target.run(
                    *self.launch, "-B", self.runner, remote, timeout=timeout, watch=watch
                )
                if done.returncode:
                    raise CommandFailed(what + ended(done.returncode, done.stderr))
                local = Path(folder, "answer.json")
                self.target.pull(answered, local, limit=ANSWER_LIMIT)
                with _whole(what):
                    answer = from_json(local.read_bytes(), "it")
        finally:
            self._remove(remote, answered)
        check(answer, done.stderr, flat, what)
        return answer

    def _remove(self, *paths: str) -> None:
        with contextlib.suppress(EdgeshrinkError):
            self.target.run("rm", "-f", "--", *paths, timeout=30)


@contextlib.contextmanager
def _whole(what: str = "") -> Iterator[None]:
    """Raise `CommandFailed` where an answer is not what the runner writes."""
    try:
        yield
    except EdgeshrinkError as error:
        raise CommandFailed(f"{what}the answer is damaged: {error}") from error
    except (ValueError, EOFError) as error:  # of NumPy, whose own words say little
        raise CommandFailed(f"{what}the answer is damaged ({type(error).__name__})") from error


def _read(path: Path) -> tuple[bytes, FlatModel]:
    from edgeshrink.tflite import read_model

    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    return data, read_model(data)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _of(used: int, limit: int | None, what: str) -> str:
    return (
        f"{used:,} bytes of {what}" if limit is None else f"{used:,} of {limit:,} bytes of {what}"
    )
