"""How pixels of 0 to 255 become what a model takes: `(pixel - mean) / std`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeshrink.api import DataError, UsageError

if TYPE_CHECKING:
    from edgeshrink.api import Dataset
    from edgeshrink_metadata.options import Options

LOOKED_AT = 16  # samples, to see whether they are pixels
BRIGHT, MOST = 127, 255  # some pixel of a few images is brighter than half
HINT = (
    "say what is done to pixels of 0 to 255, as in --metadata-mean 127.5 --metadata-std 127.5 for "
    "(pixel - 127.5) / 127.5"
)


@dataclass(frozen=True)
class Normalization:
    """What is done to pixels of 0 to 255: `(pixel - mean) / std`.

    Attributes:
        mean: one number, or one a channel.
        std: likewise, as many.
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __str__(self) -> str:
        """Return the formula."""
        if (self.mean, self.std) == ((0.0,), (1.0,)):
            return "pixels as they are"
        mean, std = (", ".join(f"{v:g}" for v in values) for values in (self.mean, self.std))
        return f"(pixel - {mean}) / {std}" if len(self.mean) == 1 else f"mean {mean}, std {std}"

    def of(self, pixel: float) -> list[float]:
        """Return what a pixel becomes, by channel."""
        return [(pixel - mean) / std for mean, std in zip(self.mean, self.std, strict=True)]


def normalization(
    options: Options, data: Dataset | None, channels: int | None, *, inside: bool
) -> Normalization:
    """Return what is done to pixels: what is given, else what was done to the data.

    Args:
        options: have numbers, if they are given.
        data: the data set, or None.
        channels: of the image; None where that is not known yet.
        inside: the model does it itself, so that without data pixels are taken as they are.

    Raises:
        UsageError: numbers do not fit the channels, or it is not known what is done to pixels.
        DataError: the data's samples are no pixels of 0 to 255.
    """
    if options.mean:
        if channels is not None and len(options.mean) not in (1, channels):
            raise UsageError(
                f"mean and std must be one number, or one for each of the {channels} channels; "
                f"received {len(options.mean)}"
            )
        return Normalization(options.mean, options.std)
    stored = data is not None and data.test is not None  # not made up
    if data is None or not (stored or data.preprocess.scales):
        if not inside:
            raise UsageError(
                "metadata says how pixels become what the model takes, and neither data nor a "
                "layer of the model (Rescaling, Normalization) tells",
                hint=HINT,
            )
        return Normalization()
    if data.preprocess.affine is None:
        raise UsageError(
            f"metadata can hold a mean and a std; --preprocess is {data.preprocess.describe()!r}",
            hint="write the function's formula, as in --preprocess scale=1/127.5,offset=-1",
        )
    if stored:
        _check_pixels(data)
    pairs = list(zip(*data.preprocess.affine, strict=True))
    pairs = pairs[:1] if len(set(pairs)) == 1 else pairs
    if any(s < 0 for s, _ in pairs):
        raise UsageError(
            f"metadata needs a std above 0; --preprocess {data.preprocess.describe()!r} turns dark "
            "into bright",
            hint="--bake-preprocess does it inside the model",
        )
    return Normalization(tuple(-o / s + 0.0 for s, o in pairs), tuple(1 / s for s, _ in pairs))


def _check_pixels(data: Dataset) -> None:
    """Refuse samples that are not what a camera gives, scaled by whoever stored them.

    Raises:
        DataError: no values from 0 to 255 with bright ones among them.
    """
    part = next(iter(data.subsets().values()))
    for values in part.take(range(min(LOOKED_AT, len(part)))).values():
        low, high = float(values.min()), float(values.max())
        if low < 0 or not BRIGHT < high <= MOST:
            raise DataError(
                "metadata says what is done to pixels of 0 to 255, and the samples of "
                f"{data.name} are stored as numbers from {low:g} to {high:g}",
                hint=HINT,
            )
