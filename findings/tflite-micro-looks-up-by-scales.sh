#!/usr/bin/env bash
# tflite-micro's compressor takes a table for the whole tensor, or one for each slice along an axis, as
# the specification says. Its interpreter goes by the scales of the tensor instead: it takes a table for
# each scale. Of any other form it makes other weights, without a warning when the file is written and
# without an error when it is run.
#
# Seen with tflite-micro 0.dev20261023182759, Python 3.11: a dense layer with 4 outputs of 8 int8 weights,
# 4 values each. The file says in its metadata which form it has (bits 7 to 4 of byte 5), and that is
# right; DecodeStateLut::Setup does not read it.
# What it printed:
#
#   one scale, one table: as without tables
#   one scale, a table for each output: other answers
#   one scale, a table for each input: other answers
#   four scales, one table: other answers
#   four scales, a table for each output: as without tables
#   four scales, a table for each input: other answers
#
# usage: tflite-micro-looks-up-by-scales.sh    (exits with 1 if that is no longer so)
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)/$(basename "$0")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check tflite-micro==0.dev20261023182759
cd "$work"
cat > seen.py <<'PYTHON'
import json
import warnings

import flatbuffers
import numpy as np
from tflite_micro import compression, runtime
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

warnings.simplefilter("ignore")  # that a small file grows
KERNEL = np.random.default_rng(0).choice(np.int8([-90, -20, 40, 110]), (4, 8))
FORMS = {
    "one table": {"per_tensor": None},
    "a table for each output": {"per_channel": {"axis": 0}},
    "a table for each input": {"per_channel": {"axis": 1}},
}


def tensor(shape, scales, values=None):
    kind = schema.TensorType.INT8 if values is None or values.dtype == np.int8 else schema.TensorType.INT32
    model.buffers.append(schema.BufferT())
    if values is not None:
        model.buffers[-1].data = np.frombuffer(values.tobytes(), np.uint8)
    quantization = schema.QuantizationParametersT(
        scale=np.float32(scales), zeroPoint=np.zeros(len(scales), np.int64), quantizedDimension=0
    )
    graph.tensors.append(
        schema.TensorT(
            shape=np.int32(shape), type=kind, buffer=len(model.buffers) - 1, quantization=quantization
        )
    )
    return len(graph.tensors) - 1


def answers(data):
    net = runtime.Interpreter.from_bytes(bytes(data), arena_size=1 << 20)
    random, found = np.random.default_rng(1), []
    for _ in range(20):
        net.set_input(random.integers(-128, 128, (1, 8), np.int8), 0)
        net.invoke()
        found.append(net.get_output(0).copy())
    return np.array(found)


for words, count in (("one scale", 1), ("four scales", 4)):
    graph = schema.SubGraphT(tensors=[], operators=[])
    model = schema.ModelT(version=3, subgraphs=[graph], buffers=[schema.BufferT()], operatorCodes=[])
    code = schema.BuiltinOperator.FULLY_CONNECTED
    model.operatorCodes.append(
        schema.OperatorCodeT(deprecatedBuiltinCode=code, builtinCode=code, version=12 if count > 1 else 4)
    )
    given, kernel = tensor((1, 8), [0.1]), tensor((4, 8), [0.01] * count, KERNEL)
    bias, result = tensor((4,), [0.001] * count, np.zeros(4, np.int32)), tensor((1, 4), [0.2])
    graph.inputs, graph.outputs = np.int32([given]), np.int32([result])
    graph.operators.append(
        schema.OperatorT(
            opcodeIndex=0,
            inputs=np.int32([given, kernel, bias]),
            outputs=np.int32([result]),
            builtinOptionsType=schema.BuiltinOptions.FullyConnectedOptions,
            builtinOptions=schema.FullyConnectedOptionsT(),
        )
    )
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    plain = bytes(builder.Output())
    for form, mode in FORMS.items():
        lut = {"subgraph": 0, "tensor": kernel, "compression": [{"lut": {"index_bitwidth": 2, **mode}}]}
        made = compression.compress(
            bytearray(plain), compression.parse_yaml(json.dumps({"tensors": [lut]}))
        )
        same = (answers(made) == answers(plain)).all()
        print(f"{words}, {form}: {'as without tables' if same else 'other answers'}")
PYTHON
"$work/venv/bin/python" seen.py 2> seen.log | tee seen.txt || (cat seen.log; exit 1)
sed -n 's/^#   \([a-z].*\)/\1/p' "$here" | diff - seen.txt
echo "as it was seen"
