"""Perturbation: what may befall an image before a model sees it, in five severities."""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeshrink.errors import DataError, UsageError
from edgeshrink.samples.subset import Column, Source, Subset

if TYPE_CHECKING:
    import numpy as np

    Images = np.ndarray[Any, Any]
    Change = Callable[[Images, float, np.random.Generator], Images]


@dataclass(frozen=True)
class Perturbation:
    """One way to perturb images.

    Attributes:
        name: in one word.
        unit: what its levels are.
        levels: one for each severity, 1 to 5, by the shorter side in pixels of the images that
            they were made for.
        change: takes float32 images `(samples, height, width, 1 or 3)` of values 0..1, a level
            and randomness; returns images of the same shape, whose values may leave 0..1.
        moves: what is in an image lies elsewhere then, and no longer where a mask says.
    """

    name: str
    unit: str
    levels: Mapping[int, tuple[float, ...]]
    change: Change
    moves: bool = False

    def at(self, side: int) -> tuple[float, ...]:
        """Return the levels that were made for images nearest in size."""
        return self.levels[min(self.levels, key=lambda made: abs(math.log(side / made)))]


@dataclass(frozen=True, eq=False)  # arrays do not compare to one truth
class Perturbed:
    """Stored images, perturbed when they are read; their type and range stay.

    Attributes:
        source: the images as they are stored.
        perturbation: what befalls them.
        level: how much of it.
        low: the value of black.
        high: the value of white.
        seed: of everything random; the same rows read in the same batch are perturbed alike,
            and at each level by the same draws.
    """

    source: Source
    perturbation: Perturbation
    level: float
    low: float
    high: float
    seed: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all images, their number first."""
        return self.source.shape

    @property
    def dtype(self) -> Any:
        """The type of the stored values."""
        return self.source.dtype

    def __getitem__(self, rows: Any) -> Images:
        import numpy as np

        stored: Images = np.asarray(self.source[rows])
        kind, span = stored.dtype, self.high - self.low
        images = (stored.astype(np.float32) - self.low) / span
        first = int(np.arange(self.shape[0])[rows][0])
        name = zlib.crc32(self.perturbation.name.encode())
        random = np.random.default_rng((self.seed, name, first))
        if grey := images.ndim == 3:
            images = images[..., None]
        changed = self.perturbation.change(images, self.level, random)
        values = np.clip(changed[..., 0] if grey else changed, 0, 1) * span + self.low
        return (np.rint(values) if kind.kind in "iu" else values).astype(kind)


def check_images(test: Subset | None) -> None:
    """Raise a UsageError or DataError if these are not test images with labels."""
    if test is None or (test.labels is None and test.truth is None):
        raise UsageError(
            "--robustness scores perturbed test images, and there are no labelled ones",
            hint="pass --data with x_test and y_test",
        )
    for name, column in test.inputs.items():
        _check_image(name, column)


def value_range(name: str, column: Column) -> tuple[float, float]:
    """Return the least and greatest value of an input's images, as they are stored.

    Raises:
        DataError: they are no images, or all values are the same.
    """
    _check_image(name, column)
    low, high = float("inf"), float("-inf")
    for start in range(0, len(column), 256):
        values = column.take(slice(start, start + 256))
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    if low == high:
        raise DataError(f"images must have more than one value; those of {name!r} are all {low:g}")
    return low, high


def _check_image(name: str, column: Column) -> None:
    """Raise a DataError if an input's samples are no images.

    Images are height × width × 1 or 3 channels, or height × width of 8-bit values: other
    matrices may be sequences of features.
    """
    shape, kind = column.source.shape[1:], column.dtype
    image = len(shape) == 3 and shape[-1] in (1, 3)
    if not image and not (len(shape) == 2 and kind == "uint8"):
        raise DataError(
            f"only images can be perturbed; samples of {name!r} are {shape} {kind}",
            hint="images are height × width × 1 or 3 channels, or height × width of 8-bit values",
        )


def gaussian_noise(images: Images, level: float, random: np.random.Generator) -> Images:
    """Add normal noise of this standard deviation to each value."""
    import numpy as np

    return images + np.float32(level) * random.standard_normal(images.shape, np.float32)


def blur(images: Images, level: float, random: np.random.Generator) -> Images:
    """Blur by a Gaussian whose standard deviation is this share of the shorter side."""
    from scipy.ndimage import gaussian_filter

    deviation = level * min(images.shape[1:3])
    blurred: Images = gaussian_filter(images, (0, deviation, deviation, 0), mode="nearest")
    return blurred


def brightness(images: Images, level: float, random: np.random.Generator) -> Images:
    """Raise the value of each pixel in hue, saturation and value by this much, 1 at most."""
    import numpy as np

    value = images.max(axis=-1, keepdims=True)
    raised = np.minimum(value + np.float32(level), 1)
    colour = np.divide(images, value, out=np.ones_like(images), where=value > 0)
    changed: Images = colour * raised
    return changed


def rotation(images: Images, level: float, random: np.random.Generator) -> Images:
    """Turn each image about its middle by this many degrees, to either side."""
    import numpy as np

    height, width = images.shape[1:3]
    rows = np.arange(height)[:, None] - (height - 1) / 2
    columns = np.arange(width) - (width - 1) / 2
    turned, side = np.empty_like(images), random.choice((-1, 1), len(images))
    for sign in (-1, 1):
        angle = sign * np.deg2rad(level % 360)
        cosine, sine = np.cos(angle), np.sin(angle)
        turned[side == sign] = _resampled(
            images[side == sign],
            cosine * rows + sine * columns + (height - 1) / 2,
            cosine * columns - sine * rows + (width - 1) / 2,
        )
    return turned


def shift(images: Images, level: float, random: np.random.Generator) -> Images:
    """Move each image up, down, left or right by this share of its side; edges are repeated."""
    import numpy as np

    height, width = images.shape[1:3]
    rows, columns = np.arange(height)[:, None], np.arange(width)
    moved, way = np.empty_like(images), random.integers(0, 4, len(images))
    for place, (down, right) in enumerate(((-1, 0), (1, 0), (0, -1), (0, 1))):
        moved[way == place] = _resampled(
            images[way == place],
            np.broadcast_to(rows - down * level * height, (height, width)),
            np.broadcast_to(columns - right * level * width, (height, width)),
        )
    return moved


def occlusion(images: Images, level: float, random: np.random.Generator) -> Images:
    """Cover this share of each image's area by a grey patch of its shape, somewhere within it."""
    import numpy as np

    covered: Any = np.True_
    for axis, side in ((1, images.shape[1]), (2, images.shape[2])):
        length = round(side * level**0.5)
        first = np.floor(random.random(len(images)) * (side - length + 1))
        place = np.arange(side) - first[:, None]
        within = (place >= 0) & (place < length)
        covered = covered & (within[:, :, None] if axis == 1 else within[:, None, :])
    return np.where(covered[..., None], np.float32(0.5), images)


def jpeg(images: Images, level: float, random: np.random.Generator) -> Images:
    """Code each image as JPEG of this quality, 1..100, in 8 bits, and decode it again."""
    import numpy as np
    import PIL.Image

    pixels = np.rint(images * 255).astype(np.uint8)
    decoded = np.empty_like(pixels)
    for place, one in enumerate(pixels):
        coded = io.BytesIO()
        grey = one.shape[-1] == 1
        PIL.Image.fromarray(one[..., 0] if grey else one).save(coded, "JPEG", quality=int(level))
        with PIL.Image.open(coded) as image:
            decoded[place] = np.asarray(image).reshape(one.shape)
    return np.asarray(decoded, np.float32) / 255


def _resampled(images: Images, rows: Images, columns: Images) -> Images:
    """Return each image's values at these places `(height, width)`, between pixels bilinear.

    Beyond an edge, its values are repeated.
    """
    import numpy as np

    height, width = images.shape[1:3]
    rows, columns = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    down = (rows - top)[..., None].astype(np.float32)
    along = (columns - left)[..., None].astype(np.float32)
    upper = images[:, top, left] * (1 - along) + images[:, top, right] * along
    lower = images[:, bottom, left] * (1 - along) + images[:, bottom, right] * along
    resampled: Images = upper * (1 - down) + lower * down
    return resampled


# By the shorter side that they were made for. Those of noise, blur, brightness and JPEG are
# ImageNet-C's (224 pixels) and CIFAR-10-C's (32 pixels) by Hendrycks and Dietterich (2019), as in
# their published code; blur is told by the side there. The others are our own.
PERTURBATIONS = (
    Perturbation(
        "noise",
        "standard deviation over the range",
        {224: (0.08, 0.12, 0.18, 0.26, 0.38), 32: (0.04, 0.06, 0.08, 0.09, 0.1)},
        gaussian_noise,
    ),
    Perturbation(
        "blur",
        "standard deviation over the shorter side",
        {
            224: (1 / 224, 2 / 224, 3 / 224, 4 / 224, 6 / 224),
            32: (0.4 / 32, 0.6 / 32, 0.7 / 32, 0.8 / 32, 1 / 32),
        },
        blur,
    ),
    Perturbation(
        "brightness",
        "added, over the range",
        {224: (0.1, 0.2, 0.3, 0.4, 0.5), 32: (0.05, 0.1, 0.15, 0.2, 0.3)},
        brightness,
    ),
    Perturbation("rotation", "degrees", {224: (6.0, 12.0, 18.0, 24.0, 30.0)}, rotation, True),
    Perturbation("shift", "share of the side", {224: (0.03, 0.06, 0.09, 0.12, 0.15)}, shift, True),
    Perturbation("occlusion", "share of the area", {224: (0.05, 0.1, 0.15, 0.2, 0.25)}, occlusion),
    Perturbation(
        "jpeg",
        "quality",
        {224: (25.0, 18.0, 15.0, 10.0, 7.0), 32: (80.0, 65.0, 58.0, 50.0, 40.0)},
        jpeg,
    ),
)
