"""The runner as a process of this machine: a crash of the interpreter ends it, and not us."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.api import CommandFailed, EdgeshrinkError, UsageError, from_json
from edgeshrink_tflm.failures import ended, explain
from edgeshrink_tflm.package import MICRO

if TYPE_CHECKING:
    import numpy as np

    from edgeshrink.tflite import FlatModel

RUNNER = Path(__file__).with_name("runner.py")
LONGEST_SECONDS = 600.0
LONGEST_TEXT = 1000


class Micro:
    """TensorFlow Lite Micro's package at work on files of one model.

    Args:
        flat: what the model holds.
        folder: for files that may be removed afterwards.
    """

    def __init__(self, flat: FlatModel, folder: Path) -> None:
        self._flat, self._folder = flat, folder
        self._written = 0

    def encoded(
        self, model: bytes, choices: Sequence[Sequence[dict[str, Any]]]
    ) -> list[bytes | None]:
        """Return a model with each choice of tensors looked up; None where that is refused.

        Args:
            model: the bytes of the .tflite.
            choices: for each the tensors, as the compressor's specification has them.
        """
        outputs = [self._folder / f"encoded-{number}.tflite" for number in range(len(choices))]
        job = {
            "model": str(self.file(model)),
            "choices": choices,
            "outputs": list(map(str, outputs)),
        }
        refused = self.run("encode", job)["refused"]
        return [
            None if why else path.read_bytes() for path, why in zip(outputs, refused, strict=True)
        ]

    def arenas(self, models: Sequence[bytes]) -> list[int]:
        """Return the bytes of arena that each model takes, 0 for one that does not run."""
        found = self.run("arenas", {"models": [str(self.file(one)) for one in models]})
        return [int(arena) for arena in found["arenas"]]

    def same(self, models: Sequence[bytes], count: int, seed: int) -> bool:
        """Return whether models answer random inputs alike, to the last bit of each output."""
        job = {
            "models": [str(self.file(one)) for one in models],
            "inputs": len(self._flat.inputs),
            "outputs": len(self._flat.outputs),
            "stateful": self._flat.stateful,
            "count": count,
            "seed": seed,
        }
        return len(set(self.run("answers", job)["digests"])) == 1

    def needed(self, model: bytes) -> int:
        """Return the bytes of arena that the model takes.

        Raises:
            CommandFailed: it does not load or run; the message says why.
        """
        job = {"model": str(self.file(model)), "inputs": 0, "runs": 1, "seconds": 1.0}
        return int(self.run("measure", job)["arena_bytes"])

    def vector(self, model: bytes, seed: int) -> dict[str, list[np.ndarray]]:
        """Return random values for each input, and what the model makes of them, as stored."""
        import numpy as np

        count = {"input": len(self._flat.inputs), "output": len(self._flat.outputs)}
        paths = {
            kind: [self._folder / f"{kind}-{place}.npy" for place in range(count[kind])]
            for kind in count
        }
        told = {f"{kind}s": list(map(str, found)) for kind, found in paths.items()}
        self.run("vector", {"model": str(self.file(model)), "seed": seed, **told})
        return {
            kind: [np.load(path, allow_pickle=False) for path in found]
            for kind, found in paths.items()
        }

    def file(self, data: bytes) -> Path:
        """Return a file with these bytes, which goes with the folder."""
        self._written += 1
        path = self._folder / f"model-{self._written}.tflite"
        path.write_bytes(data)
        return path

    def run(self, kind: str, job: dict[str, Any]) -> dict[str, Any]:
        """Do a job of the runner, and return its answer.

        Raises:
            UsageError: the package is not installed.
            CommandFailed: the interpreter refused the model, crashed on it, or took too long.
        """
        told, answered = self._folder / "job.json", self._folder / "answer.json"
        answered.unlink(missing_ok=True)
        told.write_text(json.dumps({**job, "kind": kind, "answer": str(answered)}), "utf-8")
        argv = [sys.executable, "-B", str(RUNNER), str(told)]
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=LONGEST_SECONDS,
                encoding="utf-8",
                errors="replace",
            )
        except subprocess.TimeoutExpired as error:
            raise CommandFailed(
                f"TensorFlow Lite Micro took over {LONGEST_SECONDS:.0f} s"
            ) from error
        if done.returncode:
            raise CommandFailed(f"TensorFlow Lite Micro: {ended(done.returncode, done.stderr)}")
        try:
            answer = from_json(answered.read_bytes(), "the answer")
        except (OSError, EdgeshrinkError) as error:
            raise CommandFailed(f"TensorFlow Lite Micro gave no whole answer: {error}") from error
        check(answer, done.stderr, self._flat)
        return answer


def check(answer: dict[str, Any], stderr: str, flat: FlatModel | None, what: str = "") -> None:
    """Raise where the runner's answer is that something went wrong.

    Args:
        answer: of the runner.
        stderr: what the interpreter said.
        flat: what the model holds, if there is one.
        what: how the sentence begins.

    Raises:
        UsageError: the package is not installed.
        CommandFailed: the interpreter refused the model.
    """
    if "missing" in answer:
        raise UsageError(
            f"the runtime tflm needs a package that is not installed: "
            f"{str(answer.get('error'))[:LONGEST_TEXT]}",
            hint=MICRO.install,
        )
    if "error" in answer:
        why = explain(stderr.strip() or str(answer["error"])[:LONGEST_TEXT])
        custom = {o.name: None for o in flat.operators if o.custom} if flat else {}
        if why.endswith("the custom operator") and custom:
            why += f" {' or '.join(custom)}"
        raise CommandFailed(what + why)
