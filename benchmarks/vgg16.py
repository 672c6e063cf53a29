"""VGG-16 for CIFAR-10 made compact: every convolution but the first becomes depthwise separable.

usage: python benchmarks/vgg16.py [SHARED] [--images N] [--epochs N] [--compact-epochs N]

The networks of Lagrange (survey, section IV, tables III, VII and VIII): 14,728,266 and 1,698,378
trainable parameters, 313,201,664 and 38,018,048 multiply-accumulates. SHARED holds
data/cifar10_40k.npz (default ../shared). The original is trained for N epochs (default 4; a
training that was interrupted goes on after its last whole epoch) and kept in benchmarks/.cache,
then substituted by the command of benchmarks/results/vgg16.json. The paper trained both on 50,000
images for 200 epochs: what is shown here is what few epochs give (on N images, by default all that
there are), not its accuracy.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from machine import described

RESULT = Path(__file__).parent / "results" / "vgg16.json"
CACHE = Path(__file__).parent / ".cache"
BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
BATCH, PEAK = 128, 1e-3
VALIDATION = 2000


def main() -> int:
    told = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    told.add_argument("shared", nargs="?", default="../shared")
    told.add_argument("--images", type=int, default=38_000)
    told.add_argument("--epochs", type=int, default=4)
    told.add_argument("--compact-epochs", type=int, default=2)
    asked = told.parse_args()
    CACHE.mkdir(exist_ok=True)
    data = held_out(Path(asked.shared, "data", "cifar10_40k.npz"), asked.images)
    model = trained(data, asked.epochs)
    out = CACHE / "vgg16_compact.tflite"
    flags = ["--depthwise", "all", "--epochs", str(asked.compact_epochs), "--shift", "4"]
    argv = ["edgeshrink", "compress", str(model), *flags, "--data", str(data)]
    print("$", *argv, file=sys.stderr, flush=True)
    done = subprocess.run(
        [*argv, "-o", str(out), "--force", "--json"], stdout=subprocess.PIPE, text=True, check=True
    )
    rows = json.loads(done.stdout)["ledger"]["rows"]
    document = {
        "command": f"python benchmarks/vgg16.py --images {asked.images} --epochs {asked.epochs}"
        f" --compact-epochs {asked.compact_epochs}",
        "compress": f"edgeshrink compress {model.name} {' '.join(flags)} --data {data.name}",
        "machine": described(),
        "rows": rows,
    }
    RESULT.write_text(json.dumps(document, indent=1) + "\n")
    print(RESULT.read_text())
    return 0


def vgg16() -> keras.Model:
    """Return Lagrange's VGG-16: a batch norm and a ReLU follow each convolution, one dense layer.

    It is given images of 0..255.
    """
    given = keras.Input((32, 32, 3), name="image")
    x = layers.Rescaling(1 / 127.5, -1.0)(given)
    for block, widths in enumerate(BLOCKS, 1):
        for place, width in enumerate(widths, 1):
            name = f"block{block}_conv{place}"
            x = layers.Conv2D(width, 3, padding="same", name=name)(x)
            x = layers.BatchNormalization(name=f"{name}_bn")(x)
            x = layers.ReLU(name=f"{name}_relu")(x)
        x = layers.MaxPooling2D(name=f"block{block}_pool")(x)
    x = layers.Flatten(name="flatten")(x)
    answer = layers.Dense(10, activation="softmax", dtype="float32", name="predictions")(x)
    return keras.Model(given, answer, name="vgg16")


def held_out(source: Path, images: int) -> Path:
    """Return so many training images, with a validation part that neither training sees."""
    kept = CACHE / f"cifar10_{images}.npz"
    if not kept.is_file():
        with np.load(source) as data:
            parts = {
                f"{axis}_{part}": data[f"{axis}_train"][places]
                for axis in "xy"
                for part, places in (
                    ("train", slice(None, images)),
                    ("val", slice(-VALIDATION, None)),
                )
            }
            np.savez(kept, **parts, x_test=data["x_test"], y_test=data["y_test"])
    return kept


def trained(data: Path, epochs: int) -> Path:
    """Train the original for so many epochs, from the last one that was finished before.

    Adam with a warm, then cosine learning rate; images are flipped and moved at random.
    """
    name = f"vgg16_{data.stem}_{epochs}"
    progress, final = CACHE / f"{name}.training.keras", CACHE / f"{name}.keras"
    with np.load(data) as arrays:
        images, labels = arrays["x_train"], arrays["y_train"]
        validation = arrays["x_val"].astype("float32"), arrays["y_val"]
    steps = len(images) // BATCH
    keras.utils.set_random_seed(0)
    if progress.is_file():
        model = keras.models.load_model(progress)
    else:
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
        model = vgg16()
        rate = keras.optimizers.schedules.CosineDecay(
            PEAK / 10, steps * epochs, warmup_target=PEAK, warmup_steps=steps // 2
        )
        model.compile(
            keras.optimizers.Adam(rate),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
    keras.mixed_precision.set_global_policy("float32")
    done = int(model.optimizer.iterations) // steps
    if done < epochs:
        model.fit(
            Varied(images, labels, steps, done),
            validation_data=validation,
            initial_epoch=done,
            epochs=epochs,
            verbose=2,
            callbacks=[Kept(progress, final)],
        )
    return final


class Varied(keras.utils.PyDataset):
    """Batches of training images, flipped and moved by up to four pixels at random."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, steps: int, epoch: int) -> None:
        super().__init__()
        self.images, self.labels, self.steps, self.epoch = images, labels, steps, epoch
        self.on_epoch_begin()

    def __len__(self) -> int:
        return self.steps

    def on_epoch_begin(self) -> None:
        self.order = np.random.default_rng(self.epoch).permutation(len(self.images))

    def on_epoch_end(self) -> None:
        self.epoch += 1

    def __getitem__(self, step: int) -> tuple[Any, Any]:
        from edgeshrink.nn.augment import shifted

        rng = np.random.default_rng([self.epoch, step])
        places = self.order[step * BATCH : (step + 1) * BATCH]
        images = shifted(self.images[places], 4, rng)
        turned = rng.random(len(images)) < 0.5
        images[turned] = images[turned, :, ::-1]
        return images.astype("float32"), self.labels[places]


class Kept(keras.callbacks.Callback):
    """Keeps, after each epoch, what training goes on from, and the model alone in float32."""

    def __init__(self, progress: Path, final: Path) -> None:
        super().__init__()
        self.progress, self.final = progress, final

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        plain = vgg16()
        plain.set_weights(self.model.get_weights())
        plain.save(self.final)
        self.model.save(self.progress)


if __name__ == "__main__":
    sys.exit(main())
