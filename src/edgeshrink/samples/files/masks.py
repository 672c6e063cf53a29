"""Masks: images whose values are the class numbers of the pixels of other images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from edgeshrink.errors import DataError
from edgeshrink.samples.files.classes import parts_of
from edgeshrink.samples.files.images import SUFFIXES, refusing
from edgeshrink.samples.files.tree import File, Tree, opened

if TYPE_CHECKING:
    import numpy as np

IMAGES, MASKS = "images", "masks"
SHOWN = 3
Pairs = dict[str, tuple[list[File], list[File]]]


def has_masks(tree: Tree) -> bool:
    """Return whether there are folders of images and of masks side by side."""
    return any({IMAGES, MASKS} <= set(tree.folders(at)) for at in parts_of(tree).values())


def pairs(tree: Tree) -> Pairs:
    """Return images and masks by part, in the order of their names.

    An image and its mask have the same name below `images` and `masks`, but for its end.

    Raises:
        DataError: a part has no such folders, or an image or a mask is alone.
    """
    found: Pairs = {}
    for part, at in parts_of(tree).items():
        missing = [name for name in (IMAGES, MASKS) if name not in tree.folders(at)]
        if missing:
            raise DataError(
                f"{at or tree.path.name} must have the folders images and masks; it lacks "
                f"{missing[0]}",
                hint="folder/train/images/1.jpg and folder/train/masks/1.png",
            )
        images, masks = (_by_stem(tree, f"{at}/{name}" if at else name) for name in (IMAGES, MASKS))
        for own, others, what in ((images, masks, "mask"), (masks, images, "image")):
            alone = [file for stem, file in own.items() if stem not in others]
            if alone:
                more = f" and {len(alone) - SHOWN:,} more" if len(alone) > SHOWN else ""
                raise DataError(
                    f"each image must have a mask of its name, and each mask an image; there is no "
                    f"{what} for {', '.join(str(file) for file in alone[:SHOWN])}{more}",
                    hint=f"add the {what}, or leave the file out",
                )
        if not images:
            raise DataError(f"there are no images in {at or tree.path.name}/{IMAGES}")
        found[part] = [*images.values()], [masks[stem] for stem in images]
    return found


def masks_of(
    images: Sequence[File], masks: Sequence[File], size: tuple[int, int] | None
) -> np.ndarray[Any, Any]:
    """Return masks as class numbers, each of the nearest pixel where they are resized.

    Args:
        images: whose masks these are.
        masks: grey or palette images; of a palette, the number of each colour counts.
        size: height and width of the result; None for that of the first mask.

    Returns:
        `(masks, height, width)`, uint8; uint16 where a mask has 16 bits.

    Raises:
        DataError: a mask is no such image, or not as large as its image.
    """
    import numpy as np

    first = mask(masks[0])
    height, width = size or first.shape
    out = np.empty((len(masks), height, width), first.dtype)
    for number, (image, file) in enumerate(zip(images, masks, strict=True)):
        values, shape = mask(file), _size(image)
        if values.shape != shape:
            raise DataError(
                f"a mask must be as large as its image; {file} has {values.shape[0]} x "
                f"{values.shape[1]} pixels, {image} {shape[0]} x {shape[1]}",
                hint="save masks in the size of their images",
            )
        if size is None and values.shape != (height, width):
            raise DataError(
                f"masks must be of one size, since the model does not tell its own; {masks[0]} has "
                f"{height} x {width} pixels, {file} {values.shape[0]} x {values.shape[1]}",
                hint="save images and masks in one size",
            )
        if values.dtype.itemsize > out.dtype.itemsize:
            out = out.astype(values.dtype)
        out[number] = nearest(values, height, width)
    return out


def mask(file: File) -> np.ndarray[Any, Any]:
    """Return a mask file as class numbers, `(height, width)`.

    Raises:
        DataError: it cannot be decoded, or holds colours.
    """
    import numpy as np
    import PIL.Image

    with refusing(file), PIL.Image.open(opened(file)) as image:
        if image.mode not in ("1", "L", "P", "I;16"):
            raise DataError(
                f"a mask must hold class numbers, as grey or palette images do; {file} is "
                f"{image.mode}",
                hint="save it as a grey PNG whose values are the numbers of classes",
            )
        if image.format == "JPEG":
            raise DataError(
                f"a mask must hold class numbers, which JPEG does not keep as they are; {file} is "
                "one",
                hint="save it as PNG",
            )
        return np.asarray(image).astype("uint16" if image.mode == "I;16" else "uint8")


def nearest(values: np.ndarray[Any, Any], height: int, width: int) -> np.ndarray[Any, Any]:
    """Return a mask in another size: each pixel is the one that its middle falls on.

    As `tf.image.resize` with `method="nearest"` takes them.

    Args:
        values: `(height, width)`.
        height: rows of the result.
        width: columns of the result.
    """
    import numpy as np

    def places(length: int, size: int) -> Any:
        middles = (np.arange(size) + 0.5) * (length / size)
        return np.minimum(middles.astype(int), length - 1)

    found: np.ndarray[Any, Any] = values[places(values.shape[0], height)][
        :, places(values.shape[1], width)
    ]
    return found


def _by_stem(tree: Tree, at: str) -> dict[str, File]:
    """Return images by their name below a folder, without its end."""
    found: dict[str, File] = {}
    for file in tree.files(at, SUFFIXES):
        name = PurePosixPath(tree.called(file)).relative_to(at)
        stem = str(name.with_suffix(""))
        if stem in found:
            raise DataError(
                f"names must differ without their ends; {found[stem]} and {file} do not",
                hint="rename one of them, and its mask",
            )
        found[stem] = file
    return found


def _size(file: File) -> tuple[int, int]:
    import PIL.Image

    with refusing(file), PIL.Image.open(opened(file)) as image:
        return image.height, image.width
