"""Images: files of a folder by class, decoded a batch at a time."""

from __future__ import annotations

import inspect
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from edgeshrink.errors import DataError
from edgeshrink.flag import Flag
from edgeshrink.samples.picture import bilinear, picture, smoothed
from edgeshrink.texts import check_ends

if TYPE_CHECKING:
    import numpy as np

# What Keras lists, and what Pillow reads besides.
KERAS_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png"})
SUFFIXES = KERAS_SUFFIXES | {".tif", ".tiff", ".webp"}
ORIENTATION = 0x0112  # the EXIF tag; 1 is upright, 2 to 8 are turned or mirrored
CHANNELS = (1, 3, 4)

Resize = Annotated[
    Literal["keras", "antialias"],
    Flag(
        "How a folder's images are read: keras as image_dataset_from_directory does, antialias "
        "smoothed before they are made smaller, and turned upright."
    ),
]


@dataclass(frozen=True)
class Reading:
    """Folders of images."""

    resize: Resize = "keras"


class Images:
    """Image files as rows of 8-bit values, resized to one size when they are read.

    Args:
        paths: the files, one a row.
        reading: how they are resized; `keras` gives real numbers between the 8-bit values.
        size: height, width and channels (1, 3 or 4); None takes those of the first image.
    """

    def __init__(
        self, paths: Sequence[Path], reading: Reading, size: tuple[int, int, int] | None = None
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

    def python_snippet(self) -> tuple[str, tuple[str, ...]]:
        """Return Python that reads the file `sys.argv[1]`, batch first, and what it calls."""
        _, height, width, channels = self.shape
        keras = self.reading.resize == "keras"
        resize = bilinear if keras else smoothed
        read = f"picture(sys.argv[1], {channels}{'' if keras else ', upright=True'})"
        functions = (inspect.getsource(picture), inspect.getsource(resize))
        return f"{resize.__name__}({read}, {height}, {width})[None]", functions

    def _decoded(self, path: Path, channels: int | None) -> np.ndarray[Any, Any]:
        with _refusing(path):
            return picture(path, channels, upright=self.reading.resize == "antialias")


def image_folder(
    path: Path, reading: Reading
) -> tuple[dict[str, tuple[Images, list[int]]], tuple[str, ...], list[str]]:
    """Return images and labels by part, the class names, and notes on what was found.

    The parts are `train`, `val` and `test` if there are folders of these names, otherwise all
    images are in the part `""`. Classes are counted as by Keras: each folder is one, empty or
    not, but for hidden ones.

    Raises:
        DataError: there are no images, one cannot be read, or a part has a class that training
            lacks, which has several.
    """
    names = {"train": "train", "val": "val", "validation": "val", "test": "test"}
    found = {names[p.name]: p for p in path.iterdir() if p.is_dir() and p.name in names}
    parts = found or {"": path}
    reference = parts.get("train") or next(iter(parts.values()))
    classes = _folders(reference)
    if not any(_files(reference / name) for name in classes):
        raise DataError(
            f"a folder of data must hold one folder of images for each class; {path.name} has none",
            hint="folder/train/cat/1.png, or folder/cat/1.png; png, jpg, bmp, gif, tif or webp",
        )
    notes = [
        f"class folder {name!r} is empty; it keeps its number, as for Keras"
        for name in classes
        if not _files(reference / name)
    ]
    if len(classes) == 1:  # of normal samples alone, which others are told from
        classes += tuple(sorted({n for one in parts.values() for n in _folders(one)} - {*classes}))
    result = {}
    for part, folder in parts.items():
        extra = [name for name in _folders(folder) if name not in classes and _files(folder / name)]
        if extra:
            raise DataError(f"{folder.name} has classes that training lacks: {', '.join(extra)}")
        pairs = [(f, i) for i, name in enumerate(classes) for f in _files(folder / name)]
        result[part] = (Images([f for f, _ in pairs], reading), [i for _, i in pairs])
    files = [file for images, _ in result.values() for file in images.paths]
    return result, classes, notes + _notes(files, reading)


def decoder() -> str:
    """Return what decodes, with versions: the values of one file may differ between them."""
    import PIL
    from PIL import features

    jpeg = features.version("libjpeg_turbo") or features.version("jpg")
    return f"Pillow {PIL.__version__} with libjpeg {jpeg}"


def _folders(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name[0] != "."))


def _files(folder: Path) -> list[Path]:
    """Return the images in a folder and those below it, in Keras' order."""
    found = [
        Path(root, name)
        for root, _, files in sorted(os.walk(folder), key=lambda found: found[0])
        for name in sorted(files)
        if Path(name).suffix.lower() in SUFFIXES
    ]
    for path in found:
        check_ends(path, "image")
    return found


def _notes(files: Sequence[Path], reading: Reading) -> list[str]:
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


def _turned(path: Path) -> bool:
    """Return whether a file's EXIF says that it is not stored upright."""
    import PIL.Image

    with _refusing(path), PIL.Image.open(path) as image:
        if image.format == "TIFF":  # Pillow turns these itself
            return False
        if image.format == "PNG" and "exif" not in image.info:  # it would be decoded to look on
            return False
        try:
            return image.getexif().get(ORIENTATION, 1) in range(2, 9)
        except (ValueError, TypeError, SyntaxError, struct.error):  # damaged: it says nothing
            return False


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
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
