"""Tiny .tflite files for tests: converted once for each run, or written by hand."""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

CONVERT = """
import pathlib, sys, tempfile
import keras, numpy as np, tensorflow as tf

folder = pathlib.Path(sys.argv[1])
weights = np.random.default_rng(0)
layers = keras.layers


def convert(model, name, kind="float", io="float32"):
    archive = keras.export.ExportArchive()
    archive.track(model)
    specs = [tf.TensorSpec((1, *i.shape[1:]), tf.float32, name=i.name) for i in model.inputs]
    archive.add_endpoint("serve", lambda *x: model(list(x), training=False), specs)
    with tempfile.TemporaryDirectory() as saved:
        archive.write_out(saved, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(saved)
        if kind != "float":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if kind == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if kind == "int8":
            random = np.random.default_rng(0)
            converter.representative_dataset = lambda: (
                [random.random(s.shape, dtype=np.float32) for s in specs] for _ in range(20)
            )
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = tf.dtypes.as_dtype(io)
            converter.inference_output_type = tf.dtypes.as_dtype(io)
        (folder / f"{name}.tflite").write_bytes(converter.convert())


image = keras.Sequential(
    [
        keras.Input((8, 8, 1), name="image"),
        layers.Conv2D(4, 3, activation="relu"),
        layers.DepthwiseConv2D(3, padding="same"),
        layers.Flatten(),
        layers.Dense(8, activation="softmax"),
    ]
)
for weight in image.weights:  # the converter leaves biases of zero out
    weight.assign(0.5 * weights.normal(size=weight.shape))
for name, kind, io in [
    ("float", "float", ""),
    ("float16", "float16", ""),
    ("dynamic", "dynamic", ""),
    ("int8", "int8", "int8"),
    ("int8_float_io", "int8", "float32"),
]:
    convert(image, name, kind, io)
left, right = keras.Input((4,), name="left"), keras.Input((3,), name="right")
both = layers.Concatenate()([layers.Dense(2)(left), layers.Dense(2)(right)])
convert(keras.Model([left, right], layers.Dense(2)(both)), "pair")
"""


@functools.cache
def converted() -> Path:
    """Return a folder of float, float16, dynamic, int8, int8_float_io and pair .tflite files.

    TensorFlow runs in a process of its own: its warnings are not ours.
    """
    folder = Path(tempfile.mkdtemp(prefix="edgeshrink-tiny-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    done = subprocess.run(
        [sys.executable, "-c", CONVERT, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def outputs_of(data: bytes) -> list[np.ndarray]:
    """Return what a file answers to five random inputs, the same for every file."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    random = np.random.default_rng(0)
    outputs = []
    for _ in range(5):
        for detail in interpreter.get_input_details():
            values = random.random(detail["shape"], dtype=np.float32)
            if detail["dtype"] == np.int8:
                values = values * 255 - 128
            interpreter.set_tensor(detail["index"], values.astype(detail["dtype"]))
        interpreter.invoke()
        outputs += [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]
    return outputs


def written(build) -> bytes:
    """Return the file of one subgraph that `build(schema, tensor, operator, model)` makes up."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.SubGraphT(tensors=[], inputs=[], outputs=[], operators=[], name="main")
    model = schema.ModelT(version=3, operatorCodes=[], subgraphs=[graph])
    model.buffers = [schema.BufferT()]

    def tensor(shape, values=None, *, variable=False):
        buffer = 0
        if values is not None:
            stored = np.frombuffer(np.asarray(values).tobytes(), np.uint8)
            buffer = len(model.buffers)
            model.buffers.append(schema.BufferT(data=stored))
        kind = schema.TensorType.FLOAT32
        if values is not None:
            kind = getattr(schema.TensorType, np.asarray(values).dtype.name.upper())
        graph.tensors.append(
            schema.TensorT(
                shape=np.array(shape, np.int32),
                type=kind,
                buffer=buffer,
                name=f"t{len(graph.tensors)}",
                isVariable=variable,
            )
        )
        return len(graph.tensors) - 1

    def operator(code, inputs, outputs, options=None, options_type=0, custom=None):
        model.operatorCodes.append(
            schema.OperatorCodeT(
                deprecatedBuiltinCode=min(code, 127),
                builtinCode=code,
                version=1,
                customCode=custom,
            )
        )
        graph.operators.append(
            schema.OperatorT(
                opcodeIndex=len(model.operatorCodes) - 1,
                inputs=np.array(inputs, np.int32),
                outputs=np.array(outputs, np.int32),
                builtinOptions=options,
                builtinOptionsType=options_type,
            )
        )

    inputs, outputs = build(schema, tensor, operator)
    graph.inputs, graph.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def few_values(data: bytes, step: int = 32) -> bytes:
    """Return an int8 .tflite with kernels rounded to multiples of `step`: few values, as shared."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(data)
    for tensor in model.subgraphs[0].tensors:
        stored = model.buffers[tensor.buffer].data
        if tensor.type == schema.TensorType.INT8 and stored is not None and len(stored):
            values = np.asarray(stored, np.uint8).view(np.int8).astype(int)
            rounded = np.clip(np.rint(values / step) * step, -127, 127).astype(np.int8)
            model.buffers[tensor.buffer].data = rounded.view(np.uint8)
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def recurrent(schema, tensor, operator):
    """Make a fused recurrent layer, whose state is left from one run to the next."""
    sequence, state = tensor((1, 3, 2)), tensor((1, 2), variable=True)
    weights = tensor((2, 2), np.array([[0.5, -0.25], [0.75, 1.0]], np.float32))
    again = tensor((2, 2), np.array([[1.0, 0.5], [-0.5, 1.0]], np.float32))
    bias, output = tensor((2,), np.array([0.1, -0.1], np.float32)), tensor((1, 3, 2))
    options = schema.SequenceRNNOptionsT(timeMajor=False, fusedActivationFunction=4)
    operator(
        schema.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_RNN,
        (sequence, weights, again, bias, state),
        (output,),
        options,
        schema.BuiltinOptions.SequenceRNNOptions,
    )
    return [sequence], [output]


def flex(schema, tensor, operator):
    """Make a model that needs an operator of TensorFlow itself."""
    value, result = tensor((1, 2)), tensor((1, 2))
    operator(schema.BuiltinOperator.CUSTOM, (value,), (result,), custom="FlexErf")
    return [value], [result]


def batch_mean(schema, tensor, operator):
    """Make a model whose output mixes the samples of a batch: batches must not be believed."""
    value, axis = tensor((1, 2)), tensor((1,), np.array([0], np.int32))
    mean, result = tensor((1, 2)), tensor((1, 2))
    operator(
        schema.BuiltinOperator.MEAN,
        (value, axis),
        (mean,),
        schema.ReducerOptionsT(keepDims=True),
        schema.BuiltinOptions.ReducerOptions,
    )
    operator(
        schema.BuiltinOperator.SUB,
        (value, mean),
        (result,),
        schema.SubOptionsT(),
        schema.BuiltinOptions.SubOptions,
    )
    return [value], [result]
