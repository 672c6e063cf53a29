#!/usr/bin/env bash
# OpenVINO computes a model of 32-bit floats in bf16 where the processor has it, unless it is told
# otherwise; and where it is told f16, which the processor lacks, it computes in bf16 too, without a
# warning. The compiled model tells what it was, to who asks it.
#
# Seen with openvino 2026.4.1, Python 3.11, Linux on x86-64, a processor with avx512_bf16 and without
# avx512_fp16. Others have nothing to choose from, or have what was asked for.
# What it printed:
#
#   Told nothing: computes in bf16, further than 0.001 from numpy, 0 words
#   Told f32: computes in f32, nearer than 0.001 to numpy, 0 words
#   Told f16: computes in bf16, further than 0.001 from numpy, 0 words
#
# usage: openvino-takes-another-precision-without-a-word.sh    (exits with 1 if that is no longer so)
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)/$(basename "$0")"
if ! grep -qw avx512_bf16 /proc/cpuinfo || grep -qw avx512_fp16 /proc/cpuinfo; then
    echo "this processor is no such one: nothing can be seen"
    exit 0
fi
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check openvino==2026.4.1
cd "$work"
cat > seen.py <<'PYTHON'
import sys

import numpy as np
import openvino as ov
from openvino import opset13 as ops

asked = sys.argv[1]
random = np.random.default_rng(0)
weights = random.normal(size=(256, 256)).astype(np.float32)
inputs = random.normal(size=(1, 256)).astype(np.float32)
given = ops.parameter([1, 256], np.float32)
model = ov.Model([ops.relu(ops.matmul(given, weights, False, False))], [given])
hint = {} if asked == "nothing" else {"INFERENCE_PRECISION_HINT": asked}
compiled = ov.Core().compile_model(model, "CPU", hint)
found = compiled(inputs)[0]
wanted = np.maximum(inputs @ weights, 0)
off = np.abs(found - wanted).max() / np.ptp(wanted)
told = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
where = "further than 0.001 from" if off > 0.001 else "nearer than 0.001 to"
print(f"Told {asked}: computes in {told}, {where} numpy,", end=" ")
PYTHON
for asked in nothing f32 f16; do
    "$work/venv/bin/python" -W always seen.py "$asked" 2> seen.log
    echo "$(wc -w < seen.log) words"
done | tee seen.txt
sed -n 's/^#   \([A-Z].*\)/\1/p' "$here" | diff - seen.txt
echo "as it was seen"
