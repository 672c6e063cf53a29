"""A folder of images by class, decoded a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.errors import DataError

if TYPE_CHECKING:
    import numpy as np

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif"})
_CHANNELS = {1: "L", 3: "RGB", 4: "RGBA"}


class Images:
    """Image files as rows of uint8 values, resized to one size when they are read.

    Args:
        paths: the files, one a row.
        size: height, width and channels (1, 3 or 4); None takes those of the first image.
    """

    def __init__(self, paths: Sequence[Path], size: tuple[int, int, int] | None = None) -> None:
        self.paths = tuple(paths)
        self._size = size

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The shape of all images, their number first."""
        return (len(self.paths), *(self._size or _decode(self.paths[0], None).shape))

    @property
    def dtype(self) -> Any:
        """The type of the values, uint8."""
        import numpy as np

        return np.dtype("uint8")

    def __getitem__(self, rows: Any) -> np.ndarray[Any, Any]:
        import numpy as np

        if isinstance(rows, slice):
            rows = range(len(self.paths))[rows]
        out = np.empty((len(rows), *self.shape[1:]), np.uint8)
        for position, row in enumerate(rows):
            out[position] = _decode(self.paths[int(row)], self.shape[1:])
        return out

    def resized(self, shape: Sequence[int | None]) -> Images:
        """Return the same images at a model's input shape, batch dimension left out.

        Raises:
            DataError: no image can have that shape.
        """
        own = self.shape[1:]
        sizes = [o if s is None else s for o, s in zip(own, shape, strict=False)]
        if len(shape) != 3 or sizes[2] not in _CHANNELS:
            raise DataError(
                f"images have height, width and 1, 3 or 4 channels; the model wants {tuple(shape)}"
            )
        return Images(self.paths, (sizes[0], sizes[1], sizes[2]))


def image_folder(path: Path) -> tuple[dict[str, tuple[Images, list[int]]], tuple[str, ...]]:
    """Return images and labels by part, and the class names.

    The parts are `train`, `val` and `test` if there are folders of these names, otherwise all
    images are in the part `""`.

    Raises:
        DataError: there are no images, or a part has a class that training lacks.
    """
    names = {"train": "train", "val": "val", "validation": "val", "test": "test"}
    found = {names[p.name]: p for p in path.iterdir() if p.is_dir() and p.name in names}
    parts = found or {"": path}
    reference = parts.get("train") or next(iter(parts.values()))
    classes = tuple(sorted(p.name for p in reference.iterdir() if p.is_dir() and _files(p)))
    if not classes:
        raise DataError(
            f"a folder of data must hold one folder of images for each class; {path.name} has none",
            hint="folder/train/cat/1.png, or folder/cat/1.png; png, jpg, bmp or gif",
        )
    result = {}
    for part, folder in parts.items():
        extra = sorted(
            p.name for p in folder.iterdir() if p.is_dir() and p.name not in classes and _files(p)
        )
        if extra:
            raise DataError(f"{folder.name} has classes that training lacks: {', '.join(extra)}")
        pairs = [(f, i) for i, name in enumerate(classes) for f in _files(folder / name)]
        result[part] = (Images([f for f, _ in pairs]), [i for _, i in pairs])
    return result, classes


def decoder() -> str:
    """Return the name of the library that decodes; sizes of the same image may differ slightly."""
    try:
        import PIL
    except ImportError:
        return "tensorflow"
    return f"pillow {PIL.__version__}"


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)


def _decode(path: Path, shape: Sequence[int] | None) -> np.ndarray[Any, Any]:
    import numpy as np

    try:
        import PIL.Image
    except ImportError:
        return _decode_tensorflow(path, shape)
    try:
        with PIL.Image.open(path) as opened:
            grey = opened.mode in ("1", "L", "I", "I;16")
            image = opened.convert(_CHANNELS[shape[2]] if shape else ("L" if grey else "RGB"))
            if shape and image.size != (shape[1], shape[0]):
                image = image.resize((shape[1], shape[0]), PIL.Image.Resampling.BILINEAR)
            values = np.asarray(image, np.uint8)
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        raise DataError(f"image {path.name} cannot be decoded: {error}") from error
    return values[..., None] if values.ndim == 2 else values


def _decode_tensorflow(path: Path, shape: Sequence[int] | None) -> np.ndarray[Any, Any]:
    import numpy as np
    import tensorflow as tf

    try:
        image = tf.io.decode_image(
            path.read_bytes(), channels=shape[2] if shape else 0, expand_animations=False
        )
    except (tf.errors.InvalidArgumentError, OSError) as error:
        raise DataError(f"image {path.name} cannot be decoded") from error
    if shape and tuple(image.shape[:2]) != tuple(shape[:2]):
        image = tf.image.resize(image, shape[:2], antialias=True)
        image = tf.cast(tf.clip_by_value(tf.round(image), 0, 255), tf.uint8)
    return np.asarray(image)
