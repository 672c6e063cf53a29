#!/usr/bin/env bash
# Vela calls it a success when nothing of a file runs on the NPU, and when the clock and memories are
# those of another family of NPUs: exit code 0, a compiled file, and an estimate of 0 or of a machine
# that does not exist.
#
# Seen with ethos-u-vela 5.2.0 and ai-edge-litert 2.3.0, Python 3.11, Linux on x86-64. A convolution of
# floats is left to the processor. What makes an estimate 0 has to be looked for by who reads it.
# What it printed:
#
#   Floats, U55 with memories of a U55: exit code 0, a file is written, 0 cycles, 0 on the NPU
#   Integers, U55 with memories of a U55: exit code 0, a file is written, 832 cycles, 1 on the NPU
#   Integers, U55 with memories of a U85: exit code 0, a file is written, 736 cycles, 1 on the NPU
#   Warnings that name the system configuration: 0
#
# usage: vela-calls-nothing-on-the-npu-a-success.sh    (exits with 1 if that is no longer so)
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)/$(basename "$0")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    ethos-u-vela==5.2.0 ai-edge-litert==2.3.0
cd "$work"
cat > seen.py <<'PYTHON'
import csv
import glob
import pathlib
import re
import subprocess
import sys
import tempfile

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


def vela(data, system):
    """Return what Vela says of a file for a U55, and what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "model.tflite")
        path.write_bytes(data)
        argv = [sys.executable, "-m", "ethosu.vela", str(path), "--output-dir", folder]
        argv += ["--accelerator-config=ethos-u55-128", "--config=Arm/vela.ini"]
        argv += [f"--system-config={system}", "--memory-mode=Shared_Sram"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        written = "a file is written" if glob.glob(f"{folder}/*_vela.tflite") else "no file"
        with open(glob.glob(f"{folder}/*summary*.csv")[0]) as stream:
            (row,) = csv.DictReader(stream)
    on = re.search(r"NPU operators = (\d+)", done.stdout)[1]
    said = f"exit code {done.returncode}, {written}, {row['cycles_total']} cycles, {on} on the NPU"
    return said, done.stdout + done.stderr


printed = ""
for what, width, family, system in (
    ("Floats", 32, "U55", "Ethos_U55_High_End_Embedded"),
    ("Integers", 8, "U55", "Ethos_U55_High_End_Embedded"),
    ("Integers", 8, "U85", "Ethos_U85_SYS_Flash_High"),
):
    said, words = vela(convolution(width), system)
    print(f"{what}, U55 with memories of a {family}: {said}")
    printed = words
warnings = [line for line in printed.splitlines() if re.search("warning.*system", line, re.I)]
print(f"Warnings that name the system configuration: {len(warnings)}")
PYTHON
"$work/venv/bin/python" seen.py 2> seen.log | tee seen.txt || (cat seen.log; exit 1)
sed -n 's/^#   \([A-Z].*\)/\1/p' "$here" | diff - seen.txt
echo "as it was seen"
