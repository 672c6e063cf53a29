"""Training samples varied at random, so that a network learns what does not matter."""

from __future__ import annotations

import numpy as np


def shifted(images: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Return images each moved by up to `most` pixels up or down, and left or right.

    The same as random crops of padded images (He et al., CVPR 2016, "Deep residual learning",
    section 4.2), padded with copies of the border.

    Args:
        images: `(samples, height, width, channels)`.
        most: pixels.
        rng: gives the moves.
    """
    count, height, width = images.shape[:3]
    down, right = rng.integers(-most, most + 1, (2, count, 1))
    rows = np.clip(np.arange(height) + down, 0, height - 1)
    columns = np.clip(np.arange(width) + right, 0, width - 1)
    moved: np.ndarray = images[
        np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]
    ]
    return moved


def mirrored(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return images of which every other one, at random, is turned left to right.

    Args:
        images: `(samples, height, width, channels)`.
        rng: chooses.
    """
    chosen = rng.random(len(images)) < 0.5
    return np.where(chosen[:, None, None, None], images[:, :, ::-1], images)
