"""Write the small Keras 2 files of this folder, with what their models answered.

Made with tf_keras 2.21.0 on TensorFlow 2.21 (`pip install tf_keras`), which the tests do not need:

    python tests/data/make_legacy.py

All goes into `legacy.zip`; each `<name>.npz` in it holds the inputs `x_<i>` and the outputs `y_<i>`
of the model before it was saved.
"""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

import numpy as np
import tf_keras as keras
from tf_keras import layers

HERE = Path(__file__).parent


def randomize(model: keras.Model, seed: int) -> None:
    """Give every variable its own values, so that a swapped pair cannot go unseen."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        values = rng.uniform(-0.6, 0.6, weight.shape)
        values = abs(values) + 0.1 if "variance" in weight.name else values
        weight.assign(values.astype(weight.dtype.as_numpy_dtype))
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


def answers(model: keras.Model, path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs = [rng.normal(size=(2, *x.shape[1:])).astype("float32") for x in model.inputs]
    outputs = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    arrays = {f"x_{i}": x for i, x in enumerate(inputs)}
    arrays |= {f"y_{i}": y.numpy() for i, y in enumerate(outputs)}
    np.savez_compressed(path, **arrays)


def depthwise() -> keras.Model:
    """A compiled and trained Sequential net with what changed its arguments in Keras 3."""
    model = keras.Sequential(
        [
            layers.Conv2D(4, 3, strides=2, use_bias=False, input_shape=(8, 8, 3)),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.LeakyReLU(alpha=0.2),
            layers.SeparableConv2D(5, 2),
            layers.Conv2DTranspose(3, 2),
            layers.Dropout(0.3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
        ],
        name="depthwise",
    )
    model.compile(keras.optimizers.Adam(1e-3), "mse")
    model.fit(np.zeros((4, 8, 8, 3)), np.zeros((4, 3)), verbose=0)
    return model


def branched() -> keras.Model:
    """Two inputs, two outputs, a shared layer, a nested model used twice, wrapped layers."""
    block_in = keras.Input((6, 4), name="block_input")
    block = keras.Model(
        block_in, layers.Dense(4, name="inner")(layers.LayerNormalization()(block_in)), name="block"
    )
    shared = layers.Dense(4, activation="tanh", name="shared")
    left, right = keras.Input((6, 3), name="left"), keras.Input((6, 3), name="right")
    a, b = block(shared(left)), block(shared(right))
    joined = layers.Concatenate()([a, b])
    joined = layers.TimeDistributed(layers.Dense(5, name="each"), name="timed")(joined)
    sequence = layers.Bidirectional(layers.LSTM(3), name="both_ways")(joined)
    recurrent = layers.GRU(3, name="gru")(layers.Add()([a, b]))
    return keras.Model(
        [left, right],
        [layers.Dense(2, name="first")(sequence), layers.Dense(1, name="second")(recurrent)],
        name="branched",
    )


def operators() -> keras.Model:
    """Plain TensorFlow functions called on symbolic tensors (TFOpLambda)."""
    import tensorflow as tf

    x = keras.Input((6,), name="x")
    y = layers.Dense(6, name="a")(x)
    y = tf.nn.relu(y + 0.25) * 0.5
    y = tf.concat([y, tf.math.sigmoid(x)], axis=-1)
    return keras.Model(x, layers.Dense(2, name="b")(y), name="operators")


def assorted() -> keras.Model:
    """Attention, stacked cells, normalization, and a name with a slash."""
    x = keras.Input((5, 4), name="x")
    y = layers.Normalization()(x)
    y = layers.Dense(4, name="block/dense")(y)
    y = layers.MultiHeadAttention(2, 3, name="attention")(y, y)
    cells = [layers.LSTMCell(3), layers.GRUCell(4)]
    y = layers.RNN(cells, return_sequences=True, name="stacked")(y)
    return keras.Model(x, layers.SimpleRNN(2, name="last")(y), name="assorted")


def unusual() -> keras.Model:
    """A layer that Keras 3 no longer has."""
    x = keras.Input((8, 2), name="x")
    y = layers.LocallyConnected1D(3, 3, name="local")(x)
    return keras.Model(x, layers.Flatten()(y), name="unusual")


def hard() -> keras.Model:
    """An activation that means something else in Keras 3."""
    x = keras.Input((4, 2), name="x")
    return keras.Model(
        x, layers.LSTM(2, recurrent_activation="hard_sigmoid", name="hard")(x), name="hard"
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        for seed, make in enumerate((depthwise, branched, operators, assorted, unusual, hard)):
            model = make()
            randomize(model, seed)
            answers(model, here / f"{make.__name__}.npz", seed)
            if make is not operators:
                model.save(here / f"{make.__name__}.h5", save_format="h5")
            if make in (depthwise, branched, operators, assorted):
                model.save(here / f"{make.__name__}.keras", save_format="keras")
            if make is depthwise:
                model.save(here / make.__name__, save_format="tf")
        with zipfile.ZipFile(HERE / "legacy.zip", "w", zipfile.ZIP_LZMA) as archive:
            for path in sorted(here.rglob("*")):
                archive.write(path, path.relative_to(here))


if __name__ == "__main__":
    main()
