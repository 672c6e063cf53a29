#!/usr/bin/env bash
# tf2onnx leaves out the bias of a FULLY_CONNECTED of a .tflite whose input has more than two
# dimensions, as it has after a global average pooling that keeps them. There is no error and no
# warning: the ONNX model answers as if the bias were zero. Where the input has two, it is kept.
#
# Seen with tf2onnx 1.17.0, tensorflow-cpu 2.21.0 and onnxruntime 1.32.0, Python 3.11, Linux on
# x86-64. In tf2onnx/tflite_handlers/tfl_math.py the operator's inputs are replaced by two of its three
# when the input is reshaped, and whether there is a bias is asked afterwards.
# What it printed:
#
#   An input of shape [1, 8]: the bias is added
#   An input of shape [1, 1, 1, 8]: the bias is left out
#   Warnings of it: 0
#
# usage: tf2onnx-drops-a-bias.sh    (exits with 1 if that is no longer so)
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)/$(basename "$0")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    tf2onnx==1.17.0 tensorflow-cpu==2.21.0 onnxruntime==1.32.0 flatbuffers
cd "$work"
cat > seen.py <<'PYTHON'
import flatbuffers
import numpy as np
import onnxruntime
import tf2onnx
from tensorflow.lite.python import schema_py_generated as s

random = np.random.default_rng(0)
weights = random.normal(size=(4, 8)).astype(np.float32)
bias = np.float32([1, 2, 3, 4])


def dense(shape):
    """Return a .tflite of one dense layer of 4 units, whose input has 8 values in this shape."""
    held = [None, None, weights, bias, None]  # of each buffer; the first is empty
    buffers = [
        s.BufferT() if v is None else s.BufferT(data=np.frombuffer(v.tobytes(), np.uint8))
        for v in held
    ]
    shapes = {1: shape, 2: [4, 8], 3: [4], 4: [1, 4]}
    tensors = [
        s.TensorT(np.int32(of), s.TensorType.FLOAT32, buffer, f"t{buffer}")
        for buffer, of in shapes.items()
    ]
    options = s.FullyConnectedOptionsT()
    operator = s.OperatorT(
        inputs=[0, 1, 2],
        outputs=[3],
        builtinOptionsType=s.BuiltinOptions.FullyConnectedOptions,
        builtinOptions=options,
    )
    graph = s.SubGraphT(tensors, [0], [3], [operator], "main")
    code = s.OperatorCodeT()
    code.deprecatedBuiltinCode = code.builtinCode = s.BuiltinOperator.FULLY_CONNECTED
    code.version = 1
    model = s.ModelT(version=3, operatorCodes=[code], subgraphs=[graph], buffers=buffers)
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


for shape in ([1, 8], [1, 1, 1, 8]):
    with open("model.tflite", "wb") as stream:
        stream.write(dense(shape))
    made, _ = tf2onnx.convert.from_tflite("model.tflite")
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    values = random.normal(size=shape).astype(np.float32)
    (answer,) = session.run(None, {session.get_inputs()[0].name: values})
    right = weights @ values.ravel() + bias
    wrong = right - bias
    lost = bool(np.allclose(answer.ravel(), wrong, atol=1e-3))
    kept = bool(np.allclose(answer.ravel(), right, atol=1e-3))
    assert lost != kept, answer
    print(f"An input of shape {shape}: the bias is {'left out' if lost else 'added'}")
PYTHON
{
    "$work/venv/bin/python" seen.py 2> seen.log || { tail -5 seen.log >&2; exit 1; }
    echo "Warnings of it: $(grep -ciE 'bias' seen.log || true)"
} | tee seen.txt
sed -n 's/^#   \([A-Z].*\)/\1/p' "$here" | diff - seen.txt
echo "as it was seen"
