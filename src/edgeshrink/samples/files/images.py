"""Images: files of a folder by class, decoded a batch at a time."""

from __future__ import annotations

import inspect
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from edgeshrink.errors import DataError
from edgeshrink.samples.files.picture import bilinear, picture, smoothed
from edgeshrink.samples.files.reading import Reading
from edgeshrink.samples.files.tree import File, opened

if TYPE_CHECKING:
    import numpy as np

# What Keras lists, and what Pillow reads besides.
KERAS_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png"})
SUFFIXES = KERAS_SUFFIXES | {".tif", ".tiff", ".webp"}
ORIENTATION = 0x0112  # the EXIF tag; 1 is upright, 2 to 8 are turned or mirrored
CHANNELS = (1, 3, 4)


class Images:
    """Image files as rows of 8-bit values, resized to one size when they are read.

    Args:
        paths: the files, one a row.
        reading: how they are resized; `keras` gives real numbers between the 8-bit values.
        size: height, width and channels (1, 3 or 4); None takes those of the first image.
    """

    def __init__(
        self, paths: Sequence[File], reading: Reading, size: tuple[int, int, int] | None = None
    ) -> None:
        self.paths, self.reading = tuple(paths), reading
        self._size = size

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The shape of all images, their number first."""
        return (len(self.paths), *(self._size or self._decoded(self.paths[0], None).shape))

    @property
    def dtype(self) -> Any:
        """The type of the stored values, uint8."""
        import numpy as np

        return np.dtype("uint8")

    def __getitem__(self, rows: Any) -> np.ndarray[Any, Any]:
        import numpy as np

        if isinstance(rows, slice):
            rows = range(len(self.paths))[rows]
        _, height, width, channels = self.shape
        keras = self.reading.resize == "keras"
        out = np.empty((len(rows), height, width, channels), "float32" if keras else "uint8")
        for position, row in enumerate(rows):
            values = self._decoded(self.paths[int(row)], channels)
            out[position] = (bilinear if keras else smoothed)(values, height, width)
        return out

    def resized(self, shape: Sequence[int | None]) -> Images:
        """Return the same images at a model's input shape, batch dimension left out.

        Raises:
            DataError: no image can have that shape.
        """
        own = self.shape[1:]
        sizes = [o if s is None else s for o, s in zip(own, shape, strict=False)]
        if len(shape) != 3 or sizes[2] not in CHANNELS:
            raise DataError(
                f"images have height, width and 1, 3 or 4 channels; the model wants {tuple(shape)}"
            )
        return Images(self.paths, self.reading, (sizes[0], sizes[1], sizes[2]))

    def python_snippet(self) -> tuple[str, tuple[str, ...], str]:
        """Return Python that reads the file `file`, batch first, what it calls, and such files."""
        _, height, width, channels = self.shape
        keras = self.reading.resize == "keras"
        resize = bilinear if keras else smoothed
        read = f"picture(file, {channels}{'' if keras else ', upright=True'})"
        functions = (inspect.getsource(picture), inspect.getsource(resize))
        return f"{resize.__name__}({read}, {height}, {width})[None]", functions, "a picture"

    def _decoded(self, path: File, channels: int | None) -> np.ndarray[Any, Any]:
        with refusing(path):
            return picture(opened(path), channels, upright=self.reading.resize == "antialias")


def decoder() -> str:
    """Return what decodes, with versions: the values of one file may differ between them."""
    import PIL
    from PIL import features

    jpeg = features.version("libjpeg_turbo") or features.version("jpg")
    return f"Pillow {PIL.__version__} with libjpeg {jpeg}"


def notes_on(files: Sequence[File], reading: Reading) -> list[str]:
    """Return what is to be known of files; one that is no image is refused before any work."""
    turned = sum(_turned(file) for file in files)
    notes = []
    if turned and reading.resize == "keras":
        notes.append(
            f"{turned:,} of {len(files):,} images are stored turned or mirrored (EXIF orientation) "
            "and are read so, as Keras reads them; --resize antialias turns them upright"
        )
    elif turned:
        notes.append(f"{turned:,} of {len(files):,} images were turned as their EXIF says")
    others = sum(file.suffix.lower() not in KERAS_SUFFIXES for file in files)
    if others and reading.resize == "keras":
        notes.append(
            f"{others:,} of {len(files):,} images are .tif or .webp, which Keras' own reader "
            "leaves out"
        )
    return notes


def _turned(path: File) -> bool:
    """Return whether a file's EXIF says that it is not stored upright."""
    import PIL.Image

    with refusing(path), PIL.Image.open(opened(path)) as image:
        if image.format == "TIFF":  # Pillow turns these itself
            return False
        if image.format == "PNG" and "exif" not in image.info:  # it would be decoded to look on
            return False
        try:
            return image.getexif().get(ORIENTATION, 1) in range(2, 9)
        except (ValueError, TypeError, SyntaxError, struct.error):  # damaged: it says nothing
            return False


@contextmanager
def refusing(path: File) -> Iterator[None]:
    """Turn what Pillow raises into a DataError that names the file."""
    import PIL.Image

    try:
        yield
    except PIL.Image.DecompressionBombError as error:
        raise DataError(
            f"an image must have at most {2 * (PIL.Image.MAX_IMAGE_PIXELS or 0):,} pixels, since a "
            f"small file may claim any number; {path} has more",
            hint="make it smaller, or leave it out",
        ) from error
    except (OSError, ValueError, SyntaxError, struct.error) as error:
        raise DataError(
            f"image {path} cannot be decoded: {error}", hint="repair it, or leave it out"
        ) from error
