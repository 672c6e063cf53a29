"""Run a set of samples on a device and bring the outputs home."""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.api import CommandFailed, EdgeshrinkError, Progress
from edgeshrink.tflite import count_samples, matched_files, tensor_names
from edgeshrink_litert import batching, outputs, tensors
from edgeshrink_litert.answers import Answer
from edgeshrink_litert.conversation import Conversation
from edgeshrink_litert.failures import with_cause

if TYPE_CHECKING:
    import numpy as np

    from edgeshrink.tflite import FlatModel


def run(
    runner: Conversation,
    model: Path,
    inputs: Mapping[str, Path],
    progress: Progress | None,
    workers: int,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the outputs, and how the runner came to them.

    Args:
        runner: on the device.
        model: a .tflite file.
        inputs: .npy files by input name.
        progress: told the share done and a note.
        workers: how many cores to use at most; 0 for all.

    Raises:
        DataError: names, shapes or counts of the inputs do not fit the model.
        ModelError: the file is no .tflite model.
        CommandFailed: the runtime refused the model or crashed on it, or the outputs are not
            what the model gives.
        TargetError: the device was lost.
    """
    data, flat = tensors.read_model(model)
    input_names, output_names = tensor_names(flat)
    chosen = matched_files(inputs, input_names)
    count = count_samples(flat, chosen, input_names)
    patches, why = batching.patches(data, flat)
    job: dict[str, Any] = {
        "kind": "predict",
        "models": [tensors.placed(runner, model)],
        "inputs": [
            {**tensor, "path": runner.target.place(chosen[tensor["name"]])}
            for tensor in tensors.described(flat, input_names)
        ],
        "outputs": [
            {**tensor, "path": runner.remote(f"output-{uuid.uuid4().hex}.npy")}
            for tensor in tensors.described(flat, output_names)
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
            answer = _answer(runner, job, what, progress)
        except CommandFailed as error:
            if runner.always["kernels"] != "xnnpack":
                raise
            raise CommandFailed(with_cause(str(error), data), hint=error.hint) from error
        digest = hashlib.sha256(data).hexdigest()
        if answer.whole("count") != count or answer.text("model_sha256") != digest:
            raise CommandFailed(f"{what}: the device worked on other files than were sent")
        return _fetched(runner, job, flat, count, answer), _how(answer)
    finally:
        with contextlib.suppress(EdgeshrinkError):
            runner.remove(*(entry["path"] for entry in job["outputs"]))


def _answer(
    runner: Conversation, job: Mapping[str, Any], what: str, progress: Progress | None
) -> Answer:
    try:
        return runner.run(job, what, progress=progress)
    except CommandFailed:
        if job["patches"] is None or runner.profile.accelerator != "cpu":
            raise
        # A kernel may check less when its input is resized; the file as it is decides.
        plain = {**job, "patches": None, "why_single": "the runtime failed on batches"}
        return runner.run(plain, what, progress=progress)


def _fetched(
    runner: Conversation, job: Mapping[str, Any], flat: FlatModel, count: int, answer: Answer
) -> dict[str, np.ndarray]:
    entries = job["outputs"]
    arrays = {}
    for entry, digest in zip(entries, answer.texts("outputs", len(entries)), strict=True):
        shape = outputs.expected_shape(flat, entry["tensor"], count)
        try:
            arrays[entry["name"]] = outputs.fetch(
                runner.target, entry["path"], shape, count, digest
            )
        except CommandFailed as error:
            raise CommandFailed(f"{answer.what}: output {entry['name']!r}: {error}") from error
    return arrays


def _how(answer: Answer) -> dict[str, Any]:
    return {
        "seconds": answer.number("seconds"),
        "how": answer.text("how"),
        "note": answer.text("note"),
        "checked": answer.whole("checked"),
        "workers": answer.whole("workers"),
    }
