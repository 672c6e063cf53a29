"""Write the small Keras 2 files of this folder, with what their models answered.

Made with tf_keras 2.21.0 on TensorFlow 2.21 (`pip install tf_keras`), which the tests do not need:

    python tests/data/make_legacy.py

Each `<name>.npz` holds the inputs `x_<i>` and the outputs `y_<i>` of the model before saving.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tf_keras as keras
from tf_keras import layers

HERE = Path(__file__).parent


def randomize(model: keras.Model, seed: int) -> None:
    """Give every variable its own values, so that a swapped pair cannot go unseen."""
    rng = np.random.default_rng(seed)
    model.set_weights([rng.uniform(0.1, 0.9, w.shape).astype(w.dtype) for w in model.get_weights()])


def answers(model: keras.Model, name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs = [rng.normal(size=(2, *x.shape[1:])).astype("float32") for x in model.inputs]
    outputs = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    arrays = {f"x_{i}": x for i, x in enumerate(inputs)}
    arrays |= {f"y_{i}": y.numpy() for i, y in enumerate(outputs)}
    np.savez_compressed(HERE / f"{name}.npz", **arrays)


def depthwise() -> keras.Model:
    """A compiled and trained Sequential net with what changed its arguments in Keras 3."""
    model = keras.Sequential(
        [
            layers.Conv2D(4, 3, strides=2, use_bias=False, input_shape=(12, 12, 3)),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.LeakyReLU(alpha=0.2),
            layers.SeparableConv2D(5, 3),
            layers.Conv2DTranspose(3, 2),
            layers.Dropout(0.3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ],
        name="depthwise",
    )
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    model.fit(np.zeros((4, 12, 12, 3)), np.array([0, 1, 2, 0]), verbose=0)
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


def unusual() -> keras.Model:
    """A layer that Keras 3 no longer has."""
    x = keras.Input((8, 2), name="x")
    y = layers.LocallyConnected1D(3, 3, name="local")(x)
    return keras.Model(x, layers.Flatten()(y), name="unusual")


def main() -> None:
    for seed, make in enumerate((depthwise, branched, operators, unusual)):
        model = make()
        randomize(model, seed)
        name = f"keras2_{make.__name__}"
        answers(model, name, seed)
        model.save(HERE / f"{name}.h5", save_format="h5")
        if make in (depthwise, branched, operators):
            model.save(HERE / f"{name}.keras", save_format="keras")
        if make is depthwise:
            model.save(HERE / f"{name}_savedmodel", save_format="tf")


if __name__ == "__main__":
    main()
