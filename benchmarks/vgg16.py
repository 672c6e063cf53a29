"""VGG-16 for CIFAR-10 made compact: every convolution but the first becomes depthwise separable.

usage: python benchmarks/vgg16.py [SHARED] [--images N] [--epochs N] [--compact-epochs N]

The networks of Lagrange (survey, section IV, tables III, VII and VIII): 14,728,266 and 1,698,378
trainable parameters, 313,201,664 and 38,018,048 multiply-accumulates. SHARED holds
data/cifar10_40k.npz (default ../shared). The paper trained both on 50,000 images for 200 epochs:
what is shown here is what few epochs give on the first N images, not its accuracy.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from machine import described

HERE = Path(__file__).parent
RESULT, CACHE = HERE / "results" / "vgg16.json", HERE / ".cache"
VARIED = ("--shift", "4", "--flip", "--preprocess", "scale=1/255")


def main() -> int:
    told = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    told.add_argument("shared", nargs="?", default="../shared")
    told.add_argument("--images", type=int, default=40_000)
    told.add_argument("--epochs", type=int, default=4)
    told.add_argument("--compact-epochs", type=int, default=4)
    asked = told.parse_args()
    CACHE.mkdir(exist_ok=True)
    data = some(Path(asked.shared, "data", "cifar10_40k.npz"), asked.images)
    untrained, base = CACHE / "vgg16_untrained.keras", CACHE / "vgg16.keras"
    sys.path.insert(0, str(HERE / "papers"))
    import models

    models.vgg16_cifar().save(untrained)
    training = ["--train", "--epochs", str(asked.epochs), "--lr", "1e-3", "--batch-size", "128"]
    trained = run(untrained, data, base, training)
    compacting = ["--depthwise", "all", "--epochs", str(asked.compact_epochs)]
    compacting += ["--temperature", "1", "--alpha", "0.5", "--int8"]
    compact = run(base, data, CACHE / "vgg16_compact.tflite", compacting)
    document = {
        "command": f"python benchmarks/vgg16.py --images {asked.images} --epochs {asked.epochs} "
        f"--compact-epochs {asked.compact_epochs}",
        "train": " ".join((*training, *VARIED)),
        "compact": " ".join((*compacting, *VARIED)),
        "machine": described(),
        "trained": trained,
        "rows": compact,
    }
    RESULT.write_text(json.dumps(document, indent=1) + "\n")
    for row in (trained[-1], *compact):
        said = f"{row['parameters']:,} parameters, {row['macs']:,} MACs"
        print(f"{row['step']}: {row['scores'][0]['value']:.2%}, {said}")
    return 0


def some(source: Path, images: int) -> Path:
    """Return a file of the first so many training images, and all test images."""
    kept = CACHE / f"cifar10_{images}.npz"
    if not kept.is_file():
        with np.load(source) as data:
            parts = {name: data[name][:images] for name in ("x_train", "y_train")}
            np.savez(kept, **parts, x_test=data["x_test"], y_test=data["y_test"])
    return kept


def run(model: Path, data: Path, out: Path, flags: list[str]) -> list[dict[str, Any]]:
    """Run one command; return the rows of its ledger."""
    argv = ["edgeshrink", "compress", str(model), *flags, *VARIED, "--data", str(data)]
    print("$", *argv, file=sys.stderr, flush=True)
    argv += ["-o", str(out), "--force", "--json"]
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True)
    rows: list[dict[str, Any]] = json.loads(done.stdout)["ledger"]["rows"]
    return [{**row, "file": Path(row["file"]).name} for row in rows]


if __name__ == "__main__":
    sys.exit(main())
