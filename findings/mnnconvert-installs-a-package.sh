#!/usr/bin/env bash
# MNN's `mnnconvert` installs a package that it was not asked for, with whichever pip comes first on
# PATH, before it looks at its arguments: aliyun-log-python-sdk. By it every conversion is reported
# to the maker, with the machine's id and the arguments (MNN/tools/utils/log.py); nothing asks. The
# module `_tools`, which does the work, does neither.
#
# Seen with MNN 3.6.1, Python 3.11, Linux on x86-64. A pip that only notes how it was called stands
# first on PATH here, so that nothing is installed and, without the package, nothing is reported.
# What it printed:
#
#   mnnconvert without arguments called pip: install -U aliyun-log-python-sdk
#   mnnconvert of a file called pip: install -U aliyun-log-python-sdk
#   The converter itself called pip: not at all
#   Words of it in the help: 0
#
# usage: mnnconvert-installs-a-package.sh    (exits with 1 if that is no longer so)
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)/$(basename "$0")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    MNN==3.6.1 ai-edge-litert==2.3.0 flatbuffers
cd "$work"
mkdir first
cat > first/pip <<'SHELL'
#!/bin/sh
echo "$*" >> "$(dirname "$0")/../calls.txt"
exit 1
SHELL
chmod +x first/pip
cat > made.py <<'PYTHON'
import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as s

values = [None, None, np.ones((4, 8), np.float32), np.ones(4, np.float32), None]
buffers = [
    s.BufferT() if v is None else s.BufferT(data=np.frombuffer(v.tobytes(), np.uint8))
    for v in values
]
shapes = {1: [1, 8], 2: [4, 8], 3: [4], 4: [1, 4]}
tensors = [
    s.TensorT(np.int32(of), s.TensorType.FLOAT32, buffer, f"t{buffer}")
    for buffer, of in shapes.items()
]
operator = s.OperatorT(
    inputs=[0, 1, 2],
    outputs=[3],
    builtinOptionsType=s.BuiltinOptions.FullyConnectedOptions,
    builtinOptions=s.FullyConnectedOptionsT(),
)
code = s.OperatorCodeT()
code.deprecatedBuiltinCode = code.builtinCode = s.BuiltinOperator.FULLY_CONNECTED
code.version = 1
graph = s.SubGraphT(tensors, [0], [3], [operator], "main")
model = s.ModelT(version=3, operatorCodes=[code], subgraphs=[graph], buffers=buffers)
builder = flatbuffers.Builder(4096)
builder.Finish(model.Pack(builder), b"TFL3")
with open("model.tflite", "wb") as stream:
    stream.write(bytes(builder.Output()))
PYTHON
venv/bin/python made.py
called() {
    if [ "$1" != "mnnconvert without arguments" ]; then
        test -s model.mnn # it did its work
        rm model.mnn
    fi
    echo "$1 called pip: $( (sort -u calls.txt || echo not at all) 2> /dev/null)"
    rm -f calls.txt
}
asked=(-f TFLITE --modelFile model.tflite --MNNModel model.mnn --bizCode none)
export PATH="$work/first:$PATH"
{
    venv/bin/mnnconvert > help.txt 2>&1 || true
    called "mnnconvert without arguments"
    venv/bin/mnnconvert "${asked[@]}" > /dev/null 2>&1 || true
    called "mnnconvert of a file"
    venv/bin/python - "${asked[@]}" > /dev/null 2>&1 <<'PYTHON' || true
import sys

import _tools

_tools.mnnconvert(["mnnconvert", *sys.argv[1:]])
PYTHON
    called "The converter itself"
    venv/bin/mnnconvert --help > more.txt 2>&1 || true
    rm -f calls.txt
    words="report|telemetry|aliyun|statistic|privacy"
    echo "Words of it in the help: $(cat help.txt more.txt | grep -v "^try 'pip" | grep -ciE "$words")"
} | tee seen.txt
sed -n 's/^#   \([a-zA-Z].*\)/\1/p' "$here" | diff - seen.txt
echo "as it was seen"
