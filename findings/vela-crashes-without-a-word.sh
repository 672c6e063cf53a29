#!/usr/bin/env bash
# Vela ends by a signal, without a word, on a convolution with weights of 4 bits, and on a .tflite that
# was cut off: who starts it must look at how it ended, and cannot tell the user why.
#
# Seen with ethos-u-vela 5.2.0 and ai-edge-litert 2.3.0, Python 3.11, Linux on x86-64. LiteRT runs the
# file with 4 bits. Vela says of the cut file that its contents are inconsistent, and crashes after.
# What it printed:
#
#   Weights of 8 bits: LiteRT runs it, Vela ends with 0
#   Weights of 4 bits: LiteRT runs it, Vela ends with SIGFPE and prints 0 bytes
#   Cut off after 400 bytes: Vela ends with SIGSEGV
#
# usage: vela-crashes-without-a-word.sh    (exits with 1 if that is no longer so)
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)/$(basename "$0")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    ethos-u-vela==5.2.0 ai-edge-litert==2.3.0
cd "$work"
cat > seen.py <<'PYTHON'
import pathlib
import signal
import subprocess
import sys

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as s


def convolution(width):
    """Return a .tflite with one convolution: weights of 4, 8 or 32 bits."""
    graph = s.SubGraphT(tensors=[], inputs=[0], outputs=[3], operators=[], name="main")
    model = s.ModelT(version=3, operatorCodes=[], subgraphs=[graph], buffers=[s.BufferT()])
    kernel = np.random.default_rng(0).integers(-7, 8, (8, 3, 3, 8)).astype(np.int8)
    packed = kernel.ravel().view(np.uint8) & 15
    types = s.TensorType
    kind, bias = (types.FLOAT32, types.FLOAT32) if width == 32 else (types.INT8, types.INT32)
    stored = {4: packed[::2] | packed[1::2] << 4, 8: kernel, 32: kernel.astype(np.float32)}[width]

    def tensor(shape, of, scales=(), values=None):
        buffer, grid = 0, None
        if values is not None:
            buffer = len(model.buffers)
            model.buffers.append(s.BufferT(data=np.frombuffer(values.tobytes(), np.uint8)))
        if scales and width < 32:
            zeros = np.zeros(len(scales), np.int64)
            grid = s.QuantizationParametersT(scale=np.float32(scales), zeroPoint=zeros)
        name = f"t{len(graph.tensors)}"
        graph.tensors.append(s.TensorT(np.int32(shape), of, buffer, name, grid))

    tensor((1, 8, 8, 8), kind, [0.1])
    tensor(kernel.shape, types.INT4 if width == 4 else kind, [0.01] * 8, stored)
    tensor((8,), bias, [0.001] * 8, np.zeros(8, np.int32))
    tensor((1, 8, 8, 8), kind, [0.1])
    code = s.BuiltinOperator.CONV_2D
    model.operatorCodes.append(s.OperatorCodeT(code, None, 3, code))
    options = s.Conv2DOptionsT(strideW=1, strideH=1, dilationWFactor=1, dilationHFactor=1)
    of = s.BuiltinOptions.Conv2DOptions
    graph.operators.append(s.OperatorT(0, [0, 1, 2], [3], of, options))
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def vela(data):
    """Return how Vela ended, and the bytes that it printed."""
    pathlib.Path("model.tflite").write_bytes(data)
    argv = [sys.executable, "-m", "ethosu.vela", "model.tflite", "--config=Arm/vela.ini"]
    argv += ["--system-config=Ethos_U55_High_End_Embedded", "--memory-mode=Shared_Sram"]
    done = subprocess.run(argv, capture_output=True, check=False)
    code = done.returncode
    how = signal.Signals(-code).name if code < 0 else code
    return how, len(done.stdout + done.stderr)


def runs(data):
    """Return whether LiteRT runs a file."""
    from ai_edge_litert.interpreter import Interpreter

    net = Interpreter(model_content=data)
    net.allocate_tensors()
    net.set_tensor(net.get_input_details()[0]["index"], np.ones((1, 8, 8, 8), np.int8))
    net.invoke()
    return bool(net.get_tensor(net.get_output_details()[0]["index"]).any())


for width in (8, 4):
    data = convolution(width)
    ran = "runs" if runs(data) else "does not run"
    how, printed = vela(data)
    said = f" and prints {printed} bytes" if how else ""
    print(f"Weights of {width} bits: LiteRT {ran} it, Vela ends with {how}{said}")
print(f"Cut off after 400 bytes: Vela ends with {vela(convolution(8)[:400])[0]}")
PYTHON
"$work/venv/bin/python" seen.py 2> seen.log | tee seen.txt || (cat seen.log; exit 1)
sed -n 's/^#   \([A-Z].*\)/\1/p' "$here" | diff - seen.txt
echo "as it was seen"
