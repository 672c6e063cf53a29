"""How near is our reading of photos to Keras' own? python benchmarks/images.py [SHARED]

JPEG files are read by `keras.utils.image_dataset_from_directory`, and by edgeshrink with
`--resize keras` and `--resize antialias`; told are the difference of values (0 to 255) and on how
many files a model names the same class. The files are crops of scikit-learn's two photographs, and
test images of CIFAR-10 made 30 times larger, with the grain of a camera and without. SHARED holds
models and data (default ../shared).
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from machine import described

from edgeshrink.samples.files.images import Images, Reading, decoder

RESULT = Path(__file__).parent / "results" / "images.json"
FILES, SEED, QUALITY = 400, 0, 90
ENLARGED = 960


def main(shared: str = "../shared") -> int:
    import keras

    file = Path(shared, "models", "mlperf_resnet8_cifar10.keras")
    model = keras.models.load_model(file, compile=False)
    with np.load(Path(shared, "data", "cifar10_40k.npz")) as data:
        small, labels = data["x_test"][:FILES], data["y_test"][:FILES].ravel()
    rows = [row("crops of photographs", crops(), model)]
    for grain in (0, 10, 20):
        name = f"CIFAR-10 at {ENLARGED} × {ENLARGED}, grain {grain}"
        rows.append(row(name, enlarged(small, grain), model, labels))
    document = {
        "command": "python benchmarks/images.py",
        "machine": described(),
        "decoder": decoder(),
        "model": file.name,
        "files": FILES,
        "quality": QUALITY,
        "rows": rows,
    }
    RESULT.write_text(json.dumps(document, indent=1) + "\n")
    for one in rows:
        print(json.dumps(one))
    return 0


def crops() -> Iterator[np.ndarray]:
    """Yield parts of two photographs of 427 × 640 pixels, 200 to 427 pixels high and wide."""
    from sklearn.datasets import load_sample_images

    rng, photos = np.random.default_rng(SEED), load_sample_images().images
    for number in range(FILES):
        photo, side = photos[number % len(photos)], int(rng.integers(200, 428))
        top, left = (int(rng.integers(0, have - side + 1)) for have in photo.shape[:2])
        yield photo[top : top + side, left : left + side]


def enlarged(images: np.ndarray, grain: int) -> Iterator[np.ndarray]:
    """Yield images made larger, with normal noise of a standard deviation on each pixel."""
    rng = np.random.default_rng(SEED)
    for image in images:
        large = PIL.Image.fromarray(image).resize((ENLARGED,) * 2, PIL.Image.Resampling.BICUBIC)
        noise = grain * rng.standard_normal((ENLARGED, ENLARGED, 3), np.float32)
        yield np.rint(np.asarray(large) + noise).clip(0, 255).astype(np.uint8)


def row(
    name: str, photos: Iterator[np.ndarray], model: Any, labels: np.ndarray | None = None
) -> dict[str, Any]:
    """Return how each reader's values and a model's answers differ from those by Keras."""
    side = model.input_shape[1]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "all")
        folder.mkdir()
        for number, photo in enumerate(photos):
            PIL.Image.fromarray(photo).save(folder / f"{number:05}.jpg", quality=QUALITY)
        files = sorted(folder.iterdir())
        read = {"keras": by_keras(Path(place), side)}
        for resize in ("keras", "antialias"):
            read[f"--resize {resize}"] = Images(files, Reading(resize), (side, side, 3))[:]
    answers = {k: model.predict(v, verbose=0).argmax(-1) for k, v in read.items()}
    found: dict[str, Any] = {"files": name}
    for reader, values in read.items():
        apart = np.abs(values - read["keras"])
        same = (answers[reader] == answers["keras"]).mean()
        found[reader] = {"mean": float(apart.mean()), "most": float(apart.max())}
        found[reader]["agreement"] = float(same)
        if labels is not None:
            found[reader]["top1"] = float((answers[reader] == labels).mean())
    return found


def by_keras(folder: Path, side: int) -> np.ndarray:
    """Return all images of a folder as Keras' own reader gives them."""
    import keras

    batches = keras.utils.image_dataset_from_directory(
        folder, image_size=(side, side), shuffle=False, verbose=False
    )
    return np.concatenate([images for images, _ in batches])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
