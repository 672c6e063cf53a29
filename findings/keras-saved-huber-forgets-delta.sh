#!/usr/bin/env bash
# A model that was compiled with Huber(delta=0.1) is loaded with delta 1, and a CosineSimilarity along
# another axis with the last one: training goes on towards something else, without a word.
#
# Seen with keras 3.15.1 and tensorflow 2.21.0, Python 3.11: get_config of these two losses returns
# name and reduction alone, so a .keras file does not hold the rest. Others, such as the focal losses,
# keep their arguments. Who reads a model's loss from its file cannot know better.
# What it printed:
#
#   Huber has: name, reduction
#   CosineSimilarity has: name, reduction
#   BinaryFocalCrossentropy keeps gamma: True
#   Loss before saving: 0.4950
#   Loss after loading: 4.5000
#
# usage: keras-saved-huber-forgets-delta.sh    (exits with 1 if that is no longer so)
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

for loss in (keras.losses.Huber(delta=0.1), keras.losses.CosineSimilarity(axis=1)):
    print(f"{type(loss).__name__} has: {', '.join(sorted(loss.get_config()))}")
focal = keras.losses.BinaryFocalCrossentropy(gamma=3.0)
print("BinaryFocalCrossentropy keeps gamma:", focal.get_config().get("gamma") == 3.0)

given = keras.Input((2,))
model = keras.Model(given, keras.layers.Dense(1)(given))
model.compile(optimizer="sgd", loss=keras.losses.Huber(delta=0.1))
model.save("model.keras")
loaded = keras.models.load_model("model.keras")
x, y = np.zeros((4, 2), "float32"), np.full((4, 1), 5.0, "float32")
print(f"Loss before saving: {model.evaluate(x, y, verbose=0):.4f}")
print(f"Loss after loading: {loaded.evaluate(x, y, verbose=0):.4f}")
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 "$work/venv/bin/python" seen.py 2> seen.log | tee seen.txt || (cat seen.log; exit 1)
sed -n 's/^#   \([A-Z].*\)/\1/p' "$here" | diff - seen.txt
echo "as it was seen"
