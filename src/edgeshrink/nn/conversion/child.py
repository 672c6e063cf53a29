"""The converter's own process: a crash here is an error message there.

It is run as a file, needs TensorFlow and of ours only what writes files, and stays warm: each line
on standard input is a job in JSON, each line on standard output its answer.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from edgeshrink.models import write_bytes


def work(job: dict[str, Any]) -> None:
    """Write the .tflite that the job describes; see `Conversion` in converter.py."""
    data = quantized(job) if job["do"] == "quantize" else converted(job)
    data = with_true_states(without_clip(data))
    write_bytes(Path(job["out"]), data)


def converted(job: dict[str, Any]) -> bytes:
    """Return a SavedModel converted, or only calibrated: in float, with the ranges seen."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(job["saved_model"])
    ops = tf.lite.OpsSet
    integer = job["activations"] in ("int8", "int16")
    if job["weights"] != "float32":
        converter.optimizations |= {tf.lite.Optimize.DEFAULT}
    if job["sparse"]:
        converter.optimizations |= {tf.lite.Optimize.EXPERIMENTAL_SPARSITY}
    if job["weights"] == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if integer:
        converter.representative_dataset = lambda: _samples(job["samples"])
        wide = ops.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        whole = ops.TFLITE_BUILTINS_INT8 if job["activations"] == "int8" else wide
        spare = [ops.TFLITE_BUILTINS] if job["float_operators"] else []
        converter.target_spec.supported_ops = [whole, *spare]
        converter.inference_input_type, converter.inference_output_type = _types(job)
    if not job["per_channel"]:
        converter._experimental_disable_per_channel = True
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    converter._experimental_calibrate_only = job["do"] == "calibrate"
    data: bytes = converter.convert()
    return data


def quantized(job: dict[str, Any]) -> bytes:
    """Return a calibrated file in 8-bit integers, as the converter itself does it after that."""
    from tensorflow.lite.python import convert as steps

    taken, given = _types(job)
    data: bytes = steps.mlir_quantize(
        Path(job["calibrated"]).read_bytes(),
        disable_per_channel=not job["per_channel"],
        disable_per_channel_for_dense_layers=not job["per_channel"],
        input_data_type=taken,
        output_data_type=given,
    )
    return bytes(steps.deduplicate_readonly_buffers(data))


def _types(job: dict[str, Any]) -> tuple[Any, Any]:
    """Return TensorFlow's types of a file's inputs and outputs."""
    import tensorflow as tf

    names = "uint8" if job["bytes_in"] else job["io"], job["io"]
    return tf.as_dtype(names[0]), tf.as_dtype(names[1])


def _samples(files: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    import numpy as np

    arrays = {name: np.load(file, mmap_mode="r") for name, file in files.items()}
    for place in range(len(next(iter(arrays.values())))):
        yield "serving_default", {name: a[place : place + 1] for name, a in arrays.items()}


def without_clip(data: bytes) -> bytes:
    """Return the file with fused LSTMs that do not clip their cell state.

    TensorFlow writes a clip at 10 into each, which no Keras layer has: on spoken digits it moved
    a float model's probabilities by up to 0.024, against 1e-6 without.
    """
    patched = bytearray(data)
    for _, operator in _lstms(data):
        options = operator.BuiltinOptions()
        if field := options.Offset(6):  # `cell_clip`, the second field; 0 is none
            struct.pack_into("<f", patched, options.Pos + field, 0.0)
    return bytes(patched)


def with_true_states(data: bytes) -> bytes:
    """Return the file with the hidden states of fused integer LSTMs scaled as their outputs are.

    The kernel copies the state to the output, so their scales must be the same. Where an output
    is concatenated, TensorFlow's quantizer gives it the scale of the whole and forgets the state:
    a bidirectional layer then answers wrongly.
    """
    patched = bytearray(data)
    for graph, operator in _lstms(data):
        output = graph.Tensors(operator.Outputs(0)).Quantization()
        if output is None or not output.ScaleLength() or not operator.IntermediatesLength():
            continue
        # Input 18 is the hidden state; intermediate 4 the same before it is stored.
        for place in (operator.Inputs(18), operator.Intermediates(4)):
            state = graph.Tensors(place).Quantization()
            scale, zero_point = (state._tab.Vector(state._tab.Offset(n)) for n in (8, 10))
            struct.pack_into("<f", patched, scale, output.Scale(0))
            struct.pack_into("<q", patched, zero_point, output.ZeroPoint(0))
    return bytes(patched)


def _lstms(data: bytes) -> Iterator[tuple[Any, Any]]:
    """Yield each fused LSTM with its graph, through the generated readers."""
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.Model.GetRootAs(data, 0)
    for graph in map(model.Subgraphs, range(model.SubgraphsLength())):
        for operator in map(graph.Operators, range(graph.OperatorsLength())):
            code = model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()
            if code == schema.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM:
                yield graph, operator


def calibrate_from_zero() -> None:
    """Let TensorFlow's calibrator run each sample of a recurrent model as it is run later.

    Its own carries the state over from sample to sample, and sees what is clipped later.
    """
    from tensorflow.lite.python.optimize import calibrator

    class Calibrator(calibrator.Calibrator):
        def __init__(self, model: bytes, *operators: Any) -> None:
            super().__init__(without_clip(model), *operators)
            self.stateful = any(_lstms(model))

        def _feed_tensors(
            self, dataset_gen: Callable[[], Iterator[Any]], resize_input: bool
        ) -> None:
            if not self.stateful:
                super()._feed_tensors(dataset_gen, resize_input)
                return
            for sample in dataset_gen():
                # Each call begins with zeros.
                super()._feed_tensors(lambda one=sample: iter([one]), resize_input)

    calibrator.Calibrator = Calibrator


def main() -> None:
    """Answer jobs until standard input ends, which is at once the end of a job that still runs.

    It ends when the process that asks does, killed or not.
    """
    jobs: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_take, args=[jobs], daemon=True).start()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what TensorFlow prints belongs to the log
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    calibrate_from_zero()  # imports TensorFlow before the first job comes

    while True:
        line = jobs.get()
        try:
            job = json.loads(line)
            if job["log"]:
                log_to(job["log"])
            work(job)
            answer: dict[str, Any] = {"ok": True}
        except Exception as error:
            # the process boundary: every failure of the converter travels as words
            answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
            answer["errno"] = getattr(error, "errno", None)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def log_to(file: str) -> None:
    """Let what TensorFlow prints go to a file from now on, if there can be one."""
    with contextlib.suppress(OSError):
        log = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)


def _take(jobs: SimpleQueue[str]) -> None:
    for line in sys.stdin:
        jobs.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
