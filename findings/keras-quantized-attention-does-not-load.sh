#!/usr/bin/env bash
# Keras saves a model whose attention it quantized, and cannot open the file again.
#
# Seen with keras 3.15.1 and tensorflow 2.21.0, Python 3.11: after model.quantize("int8"), "int4" or
# "float8", MultiHeadAttention and GroupQueryAttention are saved without a word, and load_model ends
# in a ValueError that objects could not be loaded. Dense and EinsumDense alone come back the same.
# What it printed:
#
#   Dense int8: the same after loading
#   Dense int4: the same after loading
#   Dense float8: the same after loading
#   EinsumDense int8: the same after loading
#   EinsumDense int4: the same after loading
#   EinsumDense float8: the same after loading
#   MultiHeadAttention int8: ValueError
#   MultiHeadAttention int4: ValueError
#   MultiHeadAttention float8: ValueError
#   GroupQueryAttention int8: ValueError
#   GroupQueryAttention int4: ValueError
#   GroupQueryAttention float8: ValueError
#
# usage: keras-quantized-attention-does-not-load.sh    (exits with 1 if that is no longer so)
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

layers = keras.layers


def dense():
    given = keras.Input((8,))
    return keras.Model(given, layers.Dense(4)(given))


def einsum():
    given = keras.Input((6, 8))
    made = layers.EinsumDense("abc,cde->abde", output_shape=(None, 2, 4), bias_axes="de")(given)
    return keras.Model(given, made)


def attention():
    given = keras.Input((6, 8))
    return keras.Model(given, layers.MultiHeadAttention(2, 4)(given, given))


def grouped():
    given = keras.Input((6, 8))
    return keras.Model(given, layers.GroupQueryAttention(4, 4, 2)(given, given))


nets = {
    "Dense": dense,
    "EinsumDense": einsum,
    "MultiHeadAttention": attention,
    "GroupQueryAttention": grouped,
}
for name, make in nets.items():
    for mode in ("int8", "int4", "float8"):
        keras.utils.set_random_seed(0)
        model = make()
        inputs = np.random.default_rng(0).normal(size=(4, *model.input_shape[1:])).astype("float32")
        model(inputs)
        model.quantize(mode)
        answers = np.asarray(model(inputs))
        model.save("model.keras")
        try:
            again = np.asarray(keras.models.load_model("model.keras")(inputs))
        except ValueError:
            print(f"{name} {mode}: ValueError")
        else:
            same = np.allclose(again, answers, atol=1e-5)
            print(f"{name} {mode}: {'the same' if same else 'other answers'} after loading")
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 "$work/venv/bin/python" seen.py 2> seen.log | tee seen.txt || (cat seen.log; exit 1)
sed -n 's/^#   \([A-Z].*\)/\1/p' "$here" | diff - seen.txt
echo "as it was seen"
