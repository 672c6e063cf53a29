"""Outputs on this machine, by LiteRT's reference kernels in processes of their own."""

from __future__ import annotations

import hashlib
import json
import math
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.api import (
    CommandFailed,
    EdgeshrinkError,
    ModelError,
    Progress,
    Target,
    from_json,
    typed,
)
from edgeshrink.tflite import count_samples, matched_files, read_model, tensor_names
from edgeshrink_ethosu.failures import one_line

if TYPE_CHECKING:
    import numpy as np

RUNNER = Path(__file__).with_name("runner.py")
# The times say nothing of an NPU: a handful shows that the model runs again and again.
RUNS, SECONDS, LONGEST_SECONDS = 5, 2.0, 300.0
ANSWER_LIMIT = 1 << 20
SHARE = re.compile(r"[01]\.\d{3}")


@dataclass(frozen=True)
class Times:
    """What the runner tells of a model's runs on this machine, in nanoseconds."""

    sha256: str
    load_ns: int
    first_ns: int
    samples_ns: tuple[int, ...]


@dataclass(frozen=True)
class Ran:
    """What the runner tells of a set of samples."""

    sha256: str
    count: int


class Reference:
    """LiteRT's reference kernels.

    Args:
        target: this machine.
        folder: of its own, where jobs and answers go.
    """

    def __init__(self, target: Target, folder: Path) -> None:
        self._target, self._folder = target, folder

    def times(self, model: Path) -> Times:
        """Run a model a few times on made-up inputs.

        Raises:
            CommandFailed: it does not run, or its process crashed.
        """
        job = {"kind": "measure", "model": str(model.resolve()), "runs": RUNS, "seconds": SECONDS}
        found = self._ask(Times, job, timeout=LONGEST_SECONDS)
        _check_same(found.sha256, model.read_bytes())
        if not found.samples_ns or min(found.samples_ns) < 1:
            raise CommandFailed("the reference kernels' times cannot be")
        return found

    def outputs(
        self, model: Path, inputs: Mapping[str, Path], progress: Progress | None
    ) -> dict[str, np.ndarray]:
        """Run every sample through the model, one by one; see `Session.predict`.

        Raises:
            DataError: names, shapes or counts of the inputs do not fit the model.
            ModelError: the file is no .tflite model.
            CommandFailed: the kernels refused the model or crashed on it.
        """
        import numpy as np

        try:
            data = model.read_bytes()
        except OSError as error:
            raise ModelError(f"{model} cannot be read: {error.strerror}") from error
        flat = read_model(data)
        input_names, output_names = tensor_names(flat)
        chosen = matched_files(inputs, input_names)
        samples = count_samples(flat, chosen, input_names)
        files = {t.index: self._folder / f"{uuid.uuid4().hex}.npy" for t in flat.outputs}
        job = {
            "kind": "predict",
            "model": str(model.resolve()),
            "inputs": {input_names[name]: str(path.resolve()) for name, path in chosen.items()},
            "outputs": {index: str(path) for index, path in files.items()},
            "stateful": flat.stateful,
        }
        try:
            ran = self._ask(Ran, job, progress=progress)
            _check_same(ran.sha256, data)
            arrays = {}
            for tensor in flat.outputs:
                found = np.load(files[tensor.index], allow_pickle=False)
                whole = found.dtype == np.float32 and found.shape[:1] == (samples,)
                if not whole or found.size != samples * math.prod(tensor.shape):
                    raise CommandFailed(f"{model.name}: its outputs are not one for each sample")
                arrays[tensor.index] = found
        finally:
            for path in files.values():
                path.unlink(missing_ok=True)
        return {name: arrays[index] for name, index in output_names.items()}

    def _ask(
        self,
        kind: type[Any],
        job: Mapping[str, Any],
        *,
        timeout: float | None = None,
        progress: Progress | None = None,
    ) -> Any:
        """Run a job in a process of its own and return its answer, checked."""
        stem = self._folder / uuid.uuid4().hex
        asked, answered = stem.with_suffix(".job.json"), stem.with_suffix(".answer.json")

        def watch(line: str) -> None:
            word, _, rest = line.partition(" ")
            share, _, note = rest.partition(" ")
            if word == "progress" and progress is not None and SHARE.fullmatch(share):
                progress(float(share), note)

        try:
            asked.write_text(json.dumps({**job, "answer": str(answered)}), encoding="utf-8")
            done = self._target.run(
                *self._target.python(),
                "-B",
                "-P",
                str(RUNNER),
                str(asked),
                timeout=timeout,
                watch=watch,
            )
            if done.returncode:
                how = f"signal {-done.returncode}" if done.returncode < 0 else done.returncode
                raise CommandFailed(f"the reference kernels crashed on the model ({how})")
            answer = _answer(answered)
        finally:
            asked.unlink(missing_ok=True)
            answered.unlink(missing_ok=True)
        if "error" in answer:
            why = one_line(str(answer["error"]))
            raise CommandFailed(f"the reference kernels do not run the model: {why}")
        try:
            return typed(kind, answer, "it")
        except EdgeshrinkError as error:
            raise CommandFailed(f"the reference kernels' answer is damaged: {error}") from error


def _answer(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            return from_json(stream.read(ANSWER_LIMIT), "it")
    except (OSError, EdgeshrinkError) as error:
        raise CommandFailed(f"the reference kernels' answer is damaged: {error}") from error


def _check_same(digest: str, data: bytes) -> None:
    if digest != hashlib.sha256(data).hexdigest():
        raise CommandFailed("another file was run than was given")
