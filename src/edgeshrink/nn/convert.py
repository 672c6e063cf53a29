"""Keras model to .tflite, in a warm child process that may crash without taking us along."""

from __future__ import annotations

import atexit
import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Literal

import keras
import numpy as np

from edgeshrink.errors import ConversionError


@dataclass(frozen=True)
class Conversion:
    """What the .tflite should hold.

    Attributes:
        weights: type of stored weights.
        activations: type between operators; integers need samples.
        io: type of the model's inputs and outputs; float32 wherever activations are float.
        per_channel: one scale for each output channel of a weight, rather than one a tensor.
        float_operators: operators without an integer kernel may stay in float.
    """

    weights: Literal["float32", "float16", "int8"] = "float32"
    activations: Literal["float32", "int8", "int16"] = "float32"
    io: Literal["float32", "int8", "uint8", "int16"] = "float32"
    per_channel: bool = True
    float_operators: bool = True


class Converter:
    """A child process that converts SavedModels; it is started at the first job and stays warm."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._log: IO[str] | None = None

    def convert(
        self,
        saved_model: Path,
        want: Conversion,
        samples: Mapping[str, Path],
        out: Path,
        log: Path | None = None,
    ) -> Path:
        """Write the converted file and return its path.

        Args:
            saved_model: a folder from `export`.
            want: what the file should hold.
            samples: for each input a .npy file of calibration samples; empty if not needed.
            out: where to write.
            log: file that gets what the converter prints.

        Raises:
            ConversionError: the converter refused the model, or its process was killed.
        """
        job = {
            "saved_model": str(saved_model),
            "out": str(out),
            "samples": {name: str(path) for name, path in samples.items()},
            **asdict(want),
        }
        answer = self._ask(job, log)
        if not answer["ok"]:
            raise ConversionError(f"the converter refused the model: {_reason(answer['error'])}")
        return out

    def _ask(self, job: dict[str, Any], log: Path | None) -> dict[str, Any]:
        process = self._running(log)
        assert process.stdin
        assert process.stdout
        line = ""
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        if not line:
            code = process.wait()
            self.close()
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise ConversionError(f"the converter's process {how} while it worked on the model")
        return json.loads(line)  # type: ignore[no-any-return]

    def _running(self, log: Path | None) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._log = log.open("a", encoding="utf-8") if log else None
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("child.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log or subprocess.DEVNULL,
                text=True,
                start_new_session=True,  # Ctrl-C is for the parent, which then closes the pipe
            )
        return self._process

    def close(self) -> None:
        """End the child process; the next job starts another."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
            self._process = None
        if self._log is not None:
            self._log.close()
            self._log = None


_converter = Converter()
atexit.register(_converter.close)


def export(model: keras.Model, folder: Path) -> Path:
    """Write a SavedModel with a static batch of one, its inputs' and outputs' names kept.

    A dynamic batch leaves shape arithmetic in the graph that splits the XNNPACK delegate, and
    recurrent layers do not convert with one.

    Raises:
        ConversionError: a dimension beside the batch is dynamic.
    """
    import tensorflow as tf

    specs = []
    for tensor in model.inputs:
        if None in tensor.shape[1:]:
            raise ConversionError(
                f"input {tensor.name!r} has dynamic dimensions {tuple(tensor.shape)}",
                hint=f"fix them: --input-shape {tensor.name}=1,224,224,3",
            )
        specs.append(tf.TensorSpec((1, *tensor.shape[1:]), tensor.dtype, name=tensor.name))
    names = output_names(model)

    def serve(*tensors: Any) -> dict[str, Any]:
        given = dict(zip((t.name for t in model.inputs), tensors, strict=True))
        outputs = keras.tree.flatten(model(packed(model, given), training=False))
        return dict(zip(names, outputs, strict=True))

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serving_default", serve, input_signature=specs)
    with contextlib.redirect_stdout(None):
        archive.write_out(str(folder), verbose=False)
    return folder


def output_names(model: keras.Model) -> list[str]:
    """Return the names of the outputs, in order: the layers that they come from."""
    functional = getattr(model, "_functional", model)  # a Sequential has no names of its own
    return list(functional.output_names)


def packed(model: keras.Model, inputs: Mapping[str, Any]) -> Any:
    """Return inputs by name in the structure that the model's `call` takes."""
    structure = getattr(model, "_inputs_struct", None)
    if isinstance(structure, dict):
        return {key: inputs[tensor.name] for key, tensor in structure.items()}
    values = [inputs[tensor.name] for tensor in model.inputs]
    return values[0] if len(values) == 1 else values


def convert(
    model: keras.Model,
    wants: Mapping[str, Conversion],
    folder: Path,
    samples: Mapping[str, np.ndarray] | None = None,
    log: Path | None = None,
) -> dict[str, bytes]:
    """Return the .tflite files that `wants` describes, by its keys.

    Args:
        model: exported once for all conversions.
        wants: by a name for each.
        folder: for files on the way.
        samples: calibration samples `(samples, ...)` for each input; needed where activations
            are integers.
        log: file that gets what the converter prints.

    Raises:
        ConversionError: with the converter's first sentence.
    """
    saved = export(model, folder / "saved_model")
    files = {}
    for place, (name, values) in enumerate((samples or {}).items()):
        files[name] = folder / f"calibration-{place}.npy"
        np.save(files[name], values, allow_pickle=False)
    made = {}
    for name, want in wants.items():
        needed = files if want.activations != "float32" else {}
        out = _converter.convert(saved, want, needed, folder / f"{name}.part.tflite", log)
        made[name] = out.read_bytes()
        out.unlink()
    return made


def _reason(error: str) -> str:
    """Return the first line of the converter's error that says something."""
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    telling = [line for line in lines if "error:" in line or "failed" in line.lower()]
    return (telling or lines or ["no message"])[0][:300]
