#!/usr/bin/env bash
# A copy of a Keras model, given all of the model's weights, answers otherwise: its Normalization
# still has mean 0 and variance 1.
#
# Seen with keras 3.15.1 and tensorflow 2.21.0, Python 3.11: Normalization computes with constants
# that it derives from its weights when it is adapted or loaded from a file. set_weights sets the
# weights and leaves the constants, so clone_model and set_weights, the way to copy a model that the
# documentation gives, loses what was adapted. Saving and loading such a copy mends it. In the same
# versions a model with bfloat16 weights is saved as .h5 without a word, and cannot be loaded again.
# What it printed:
#
#   Weights: the same
#   Answers: other
#   Answers after finalize_state: the same
#   Answers after saving and loading: the same
#   File .keras of bfloat16: loaded
#   File .h5 of bfloat16: ValueError
#
# usage: keras-set-weights-leaves-normalization.sh    (exits with 1 if that is no longer so)
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

data = np.random.default_rng(0).normal(5, 3, size=(64, 4)).astype("float32")


def net():
    norm = keras.layers.Normalization(name="norm")
    norm.adapt(data)
    return keras.Sequential([keras.Input((4,)), norm, keras.layers.Dense(2)])


def told(one, other):
    same = np.allclose(np.asarray(one(data)), np.asarray(other(data)), atol=1e-5)
    return "the same" if same else "other"


keras.utils.set_random_seed(0)
model = net()
copy = keras.models.clone_model(model)
copy.set_weights(model.get_weights())
alike = all(map(np.array_equal, copy.get_weights(), model.get_weights()))
print("Weights:", "the same" if alike else "other")
print("Answers:", told(model, copy))
copy.save("copy.keras")
loaded = keras.models.load_model("copy.keras")
copy.get_layer("norm").finalize_state()
print("Answers after finalize_state:", told(model, copy))
print("Answers after saving and loading:", told(model, loaded))

given = keras.Input((4,), dtype="bfloat16")
half = keras.Model(given, keras.layers.Dense(2, dtype="bfloat16")(given))
for suffix in (".keras", ".h5"):
    half.save(f"half{suffix}")
    try:
        keras.models.load_model(f"half{suffix}")
    except ValueError as error:
        print(f"File {suffix} of bfloat16: {type(error).__name__}")
    else:
        print(f"File {suffix} of bfloat16: loaded")
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 "$work/venv/bin/python" seen.py 2> seen.log | tee seen.txt || (cat seen.log; exit 1)
sed -n 's/^#   \([A-Z].*\)/\1/p' "$here" | diff - seen.txt
echo "as it was seen"
