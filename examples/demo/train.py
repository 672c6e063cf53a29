"""Train a small network on scikit-learn's handwritten digits, and save both for the demo.

usage: python examples/demo/train.py FOLDER    (writes digits.npz and digits.keras there)
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np
from sklearn.datasets import load_digits


def main(folder: Path) -> None:
    """Write the data set, the trained network, and say how right it is on the test digits."""
    folder.mkdir(parents=True, exist_ok=True)
    digits = load_digits()  # 1,797 images of 8 x 8, pixels 0..16; ships with scikit-learn
    images = digits.images.astype("uint8")[..., None]
    order = np.random.default_rng(0).permutation(len(images))
    train, test = order[:1437], order[1437:]
    np.savez(
        folder / "digits.npz",
        x_train=images[train],
        y_train=digits.target[train].astype("uint8"),
        x_test=images[test],
        y_test=digits.target[test].astype("uint8"),
        class_names=np.array([str(d) for d in range(10)]),
    )
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x = images.astype("float32") / 16
    model.fit(x[train], digits.target[train], batch_size=32, epochs=20, verbose=0)
    _, accuracy = model.evaluate(x[test], digits.target[test], verbose=0)
    model.save(folder / "digits.keras")
    print(
        f"trained {model.count_params():,} parameters on {len(train):,} digits: "
        f"{accuracy:.1%} of {len(test)} test digits are right"
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
