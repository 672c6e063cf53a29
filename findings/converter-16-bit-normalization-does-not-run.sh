#!/usr/bin/env bash
# With 16-bit activations the converter writes layer normalization and the like as operators that
# LiteRT then refuses to run, and it refuses itself to calibrate an embedding: in 8 bits both work.
#
# Seen with tensorflow 2.21.0, keras 3.15.1 and ai-edge-litert 2.3.0, Python 3.11. The conversion
# succeeds, with float operators allowed beside the 16-bit ones; SQUARED_DIFFERENCE and SQUARE are
# written with 16-bit numbers all the same. The embedding's indices are asked for a range.
# What it printed:
#
#   LayerNormalization, 8 bits: runs
#   LayerNormalization, 16 bits: SquaredDifference only supports FLOAT32 and INT32 now, got 7.
#   RMSNormalization, 8 bits: runs
#   RMSNormalization, 16 bits: input->type != output->type (INT16 != FLOAT32)
#   BatchNormalization, 16 bits: runs
#   Embedding, 8 bits: runs
#   Embedding, 16 bits: Max and min for dynamic tensors should be recorded during calibration
#
# usage: converter-16-bit-normalization-does-not-run.sh    (exits with 1 if that is no longer so)
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)/$(basename "$0")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    tensorflow==2.21.0 keras==3.15.1 ai-edge-litert==2.3.0
cd "$work"
cat > seen.py <<'PYTHON'
import re
import tempfile

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

layers, rng = keras.layers, np.random.default_rng(0)


def converted(model, samples, bits):
    archive = keras.export.ExportArchive()
    archive.track(model)
    shape = tf.TensorSpec((1, *samples.shape[1:]), samples.dtype, name="x")
    archive.add_endpoint("serve", lambda x: model(x, training=False), [shape])
    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([x[None]] for x in samples)
        sets = tf.lite.OpsSet
        wide = sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        eight = sets.TFLITE_BUILTINS_INT8
        converter.target_spec.supported_ops = [wide if bits == 16 else eight, sets.TFLITE_BUILTINS]
        return converter.convert()


def said(model, samples, bits):
    try:
        net = Interpreter(model_content=converted(model, samples, bits))
        net.allocate_tensors()
        net.get_signature_runner()(x=samples[:1])
    except (RuntimeError, ValueError) as error:
        words = r"SquaredDifference only .* got 7\.|input->type .*FLOAT32\)|Max and min .* calibration"
        return re.search(words, str(error))[0]
    return "runs"


numbers = rng.normal(size=(20, 6, 8)).astype("float32")
tokens = rng.integers(0, 10, (20, 6)).astype("int32")
for layer, samples in (
    (layers.LayerNormalization(), numbers),
    (layers.RMSNormalization(), numbers),
    (layers.BatchNormalization(), numbers),
    (layers.Embedding(10, 4), tokens),
):
    given = keras.Input(samples.shape[1:], dtype=samples.dtype.name, name="x")
    model = keras.Model(given, layers.Dense(3)(layers.Flatten()(layer(given))))
    name = type(layer).__name__
    for bits in (16,) if name == "BatchNormalization" else (8, 16):
        print(f"{name}, {bits} bits: {said(model, samples, bits)}")
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 "$work/venv/bin/python" seen.py 2> seen.log | tee seen.txt || (cat seen.log; exit 1)
sed -n 's/^#   \([A-Z].*\)/\1/p' "$here" | diff - seen.txt
echo "as it was seen"
