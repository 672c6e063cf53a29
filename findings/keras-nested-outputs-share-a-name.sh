#!/usr/bin/env bash
# The outputs of a model inside another all bear the inner model's name: of their losses one is told.
#
# Seen with keras 3.15.1 and tensorflow 2.21.0, Python 3.11: output_names of the outer model is the
# name of the layer that makes each output, which is the inner model for all of them. evaluate with a
# loss for each returns their sum and a single loss under the shared name; whose it is cannot be seen.
# Whoever keeps outputs by name loses one.
# What it printed:
#
#   Inner: box, kind
#   Outer: heads, heads
#   Told: heads_loss 4.0, loss 5.0
#
# usage: keras-nested-outputs-share-a-name.sh    (exits with 1 if that is no longer so)
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)/$(basename "$0")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 tensorflow==2.21.0
cd "$work"
cat > seen.py <<'PYTHON'
import keras
import numpy as np

given = keras.Input((3,))
zeros = {"kernel_initializer": "zeros"}
box = keras.layers.Dense(1, name="box", **zeros)(given)
kind = keras.layers.Dense(2, name="kind", **zeros)(given)
inner = keras.Model(given, [box, kind], name="heads")
taken = keras.Input((3,))
outer = keras.Model(taken, inner(taken))
print("Inner:", ", ".join(inner.output_names))
print("Outer:", ", ".join(outer.output_names))
outer.compile(loss=["mse", "mse"])
wanted = [np.full((4, 1), 1.0), np.full((4, 2), 2.0)]
found = outer.evaluate(np.zeros((4, 3)), wanted, verbose=0, return_dict=True)
print("Told:", ", ".join(f"{name} {value:.1f}" for name, value in sorted(found.items())))
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 "$work/venv/bin/python" seen.py 2> seen.log | tee seen.txt || (cat seen.log; exit 1)
sed -n 's/^#   \([A-Z].*\)/\1/p' "$here" | diff - seen.txt
echo "as it was seen"
