"""Add small .keras archives of the TensorFlow that runs this, with what their models answered.

Made with TensorFlow 2.12.1 and 2.13.1 on Python 3.11, the first two that wrote such archives, which
the tests do not need (`pip install tensorflow-cpu==2.13.1 'numpy<2'`, and the other likewise):

    rm tests/data/first_archives.zip
    python tests/data/make_first_archives.py        (once with each)

All goes into `first_archives.zip`; each `<name>-<version>.npz` in it holds the input `x` and the
output `y` of the model before it was saved.
"""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

import numpy as np
import tensorflow as tf

keras, layers = tf.keras, tf.keras.layers
HERE = Path(__file__).parent


def plain() -> keras.Model:
    """Layers with weights between others without, and a trained optimizer."""
    x = keras.Input((8, 8, 1))
    y = layers.ReLU()(layers.Conv2D(2, 3, name="a")(x))
    y = layers.BatchNormalization()(y)
    y = layers.Conv2D(3, 3, name="b")(y)
    y = layers.Dropout(0.2)(layers.BatchNormalization()(y))
    y = layers.Conv2D(2, 1, name="c")(layers.ReLU()(y))
    model = keras.Model(x, layers.Dense(2)(layers.GlobalAveragePooling2D()(y)))
    model.compile("adam", "mse")
    model.fit(np.zeros((4, 8, 8, 1)), np.zeros((4, 2)), verbose=0)
    return model


def nested() -> keras.Model:
    """Functional and Sequential models within one, the first of them called twice."""
    x = keras.Input((4,))
    block = keras.Model(x, layers.Dense(4)(layers.Dense(5)(x)))
    row = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(4)])
    y = keras.Input((4,))
    z = block(layers.Dense(4)(row(block(y))))
    return keras.Model(y, layers.Dense(2)(z))


def sequential() -> keras.Model:
    """A Sequential model in a Sequential model."""
    row = keras.Sequential([layers.Dense(3, input_shape=(5,)), layers.BatchNormalization()])
    return keras.Sequential(
        [keras.Input((4,)), layers.Dense(5), row, layers.Dropout(0.1), layers.Dense(2)]
    )


def recurrent() -> keras.Model:
    """Cells, a list of cells, and wrappers."""
    x = keras.Input((5, 3))
    y = layers.LSTM(4, return_sequences=True)(x)
    y = layers.Bidirectional(layers.GRU(3, return_sequences=True))(y)
    y = layers.RNN([layers.LSTMCell(3), layers.LSTMCell(2)], return_sequences=True)(y)
    y = layers.LSTM(3)(layers.TimeDistributed(layers.Dense(4))(y))
    return keras.Model(x, layers.Dense(2)(y))


def main() -> None:
    rng = np.random.default_rng(0)
    # 2.12 wrote HDF5 unless it was told so
    told = {"save_format": "keras_v3"} if tf.__version__.startswith("2.12.") else {}
    with tempfile.TemporaryDirectory() as folder:
        for make in (plain, nested, sequential, recurrent):
            model = make()
            values = [rng.uniform(0.1, 0.6, w.shape).astype(w.dtype) for w in model.get_weights()]
            model.set_weights(values)
            x = rng.normal(size=(2, *model.input_shape[1:])).astype("float32")
            path = Path(folder) / f"{make.__name__}-{tf.__version__}"
            np.savez(path, x=x, y=model(x, training=False).numpy())
            model.save(f"{path}.keras", **told)
        with zipfile.ZipFile(HERE / "first_archives.zip", "a", zipfile.ZIP_LZMA) as archive:
            for made in sorted(Path(folder).iterdir()):
                archive.write(made, made.name)


if __name__ == "__main__":
    main()
