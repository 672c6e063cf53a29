"""The converter's own process: a crash here is an error message there.

It is run as a file, needs TensorFlow and nothing of ours, and stays warm: each line on standard
input is a job in JSON, each line on standard output its answer.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def convert(job: dict[str, Any]) -> None:
    """Write the .tflite that the job describes; see `edgeshrink.nn.convert.Conversion`."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(job["saved_model"])
    ops = tf.lite.OpsSet
    integer = job["activations"] in ("int8", "int16")
    if job["weights"] != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if job["weights"] == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if integer:
        converter.representative_dataset = lambda: _samples(job["samples"])
        wide = ops.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        whole = ops.TFLITE_BUILTINS_INT8 if job["activations"] == "int8" else wide
        spare = [ops.TFLITE_BUILTINS] if job["float_operators"] else []
        converter.target_spec.supported_ops = [whole, *spare]
        if job["io"] != "float32":
            kind = {"int8": tf.int8, "uint8": tf.uint8, "int16": tf.int16}[job["io"]]
            converter.inference_input_type = converter.inference_output_type = kind
    if not job["per_channel"]:
        converter._experimental_disable_per_channel = True
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    data = converter.convert()
    part = Path(job["out"] + ".part")
    part.write_bytes(data)
    part.replace(job["out"])


def _samples(files: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    import numpy as np

    arrays = {name: np.load(file, mmap_mode="r") for name, file in files.items()}
    for place in range(len(next(iter(arrays.values())))):
        yield "serving_default", {name: a[place : place + 1] for name, a in arrays.items()}


def main() -> None:
    """Answer jobs until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what TensorFlow prints belongs to the log
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    import tensorflow  # noqa: F401 (before the first job comes)

    for line in sys.stdin:
        try:
            convert(json.loads(line))
            answer: dict[str, Any] = {"ok": True}
        except Exception as error:
            # the process boundary: every failure of the converter travels as words
            answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
            answer["errno"] = getattr(error, "errno", None)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
