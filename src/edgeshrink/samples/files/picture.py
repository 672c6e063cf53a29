"""A picture: one image file as an array of one size.

Each function stands alone, on numpy and Pillow: those that read a result's data are written into
its `.infer.py`, so that a device reads as this program did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    import numpy as np


def picture(
    file: str | Path | BinaryIO, channels: int | None, *, upright: bool = False
) -> np.ndarray[Any, Any]:
    """Return an image file, the first frame if it has several, as 8-bit values.

    Transparency is dropped, and of 16 bits the upper 8 are kept, as Keras does.

    Args:
        file: anything that Pillow reads.
        channels: 1, 3 or 4; None gives 1 for grey files and 3 for others.
        upright: turn it as its EXIF orientation says.

    Returns:
        `(height, width, channels)` of 0 to 255.

    Raises:
        ValueError: its values are 32-bit numbers, whose range is not known.
        OSError: it cannot be decoded; Pillow raises others too.
    """
    import numpy as np
    import PIL.Image
    import PIL.ImageOps

    with PIL.Image.open(file) as image:
        kind, mode = image.format, image.mode
        if channels == 1:
            image.draft("L", None)  # the brightness that a JPEG stores
        if upright:
            image = PIL.ImageOps.exif_transpose(image)
        if mode == "F" or (mode == "I" and kind != "PNG"):
            raise ValueError("its values are 32-bit numbers; save it in 8 or 16 bits")
        if mode[0] == "I":
            image = PIL.Image.fromarray((np.asarray(image) >> 8).astype("uint8"))
        grey = image.mode in ("1", "L", "LA")
        if "transparency" in image.info:
            image = image.convert("RGBA")
            if kind == "GIF":  # what is see-through is black to Keras
                image = PIL.Image.alpha_composite(PIL.Image.new("RGBA", image.size, "black"), image)
        channels = channels or (1 if grey else 3)
        if channels == 1 and not grey:  # as libpng weighs colours, which Keras reads with
            red, green, blue = np.moveaxis(np.asarray(image.convert("RGB"), "int32"), -1, 0)
            values = (9797 * red + 19234 * green + 3737 * blue) >> 15
        else:
            values = np.asarray(image.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels]))
        pixels: np.ndarray[Any, Any] = values.astype("uint8")
        return pixels.reshape(image.height, image.width, channels)


def bilinear(values: np.ndarray[Any, Any], height: int, width: int) -> np.ndarray[Any, Any]:
    """Return a picture in another size, between its nearest four pixels, without smoothing.

    The same to the last bit as `tf.image.resize`, hence as Keras'
    `image_dataset_from_directory`.

    Args:
        values: `(height, width, channels)`.
        height: rows of the result.
        width: columns of the result.

    Returns:
        `(height, width, channels)`, float32; real numbers, not rounded.
    """
    import numpy as np

    def nearest(length: int, size: int) -> tuple[Any, Any, Any]:
        half, scale = np.float32(0.5), np.float32(length) / np.float32(size)
        place = (np.arange(size, dtype="float32") + half) * scale - half
        first = np.floor(place)
        last = np.minimum(np.ceil(place), length - 1)
        return np.maximum(first, 0).astype(int), last.astype(int), place - first

    top, bottom, down = nearest(values.shape[0], height)
    left, right, along = nearest(values.shape[1], width)
    top, bottom, down, along = top[:, None], bottom[:, None], down[:, None, None], along[:, None]

    def at(rows: Any, columns: Any) -> Any:
        return values[rows, columns].astype("float32")

    upper = at(top, left) + (at(top, right) - at(top, left)) * along
    lower = at(bottom, left) + (at(bottom, right) - at(bottom, left)) * along
    resized: np.ndarray[Any, Any] = upper + (lower - upper) * down
    return resized


def smoothed(values: np.ndarray[Any, Any], height: int, width: int) -> np.ndarray[Any, Any]:
    """Return a picture in another size, each pixel from all those that it covers.

    Args:
        values: `(height, width, channels)`, 8 bits.
        height: rows of the result.
        width: columns of the result.

    Returns:
        `(height, width, channels)`, rounded to 8 bits.
    """
    import numpy as np
    import PIL.Image

    image = PIL.Image.fromarray(values[..., 0] if values.shape[2] == 1 else values)
    image = image.resize((width, height), PIL.Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(height, width, values.shape[2])
