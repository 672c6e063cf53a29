"""Folders: which kind of files they hold, and these as arrays, read when they are wanted."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edgeshrink.errors import DataError
from edgeshrink.samples.files import images as pictures, sound
from edgeshrink.samples.files.classes import Listed, by_class
from edgeshrink.samples.files.images import Images, decoder, notes_on
from edgeshrink.samples.files.masks import has_masks, masks_of, pairs
from edgeshrink.samples.files.reading import IMAGES, SOUND, Reading
from edgeshrink.samples.files.stored import Stored, file_digest
from edgeshrink.samples.files.tree import File, Tree
from edgeshrink.samples.subset import Source

if TYPE_CHECKING:
    import numpy as np

SUFFIXES = pictures.SUFFIXES | sound.SUFFIXES | sound.OTHERS


def from_tree(tree: Tree, reading: Reading, size: tuple[int, int] | None) -> Stored:
    """Return what lies in a folder, or in a zip file of one.

    Args:
        tree: the folder: images or sound by class or without labels, or images beside masks.
        reading: how files are read.
        size: height and width of the masks that the model makes, where that is known.

    Raises:
        DataError: it holds no files that can be used, or several kinds.
    """
    if has_masks(tree):
        return _segmented(tree, reading, size)
    found = by_class(tree, SUFFIXES)
    other = [file for file in found.files if file.suffix.lower() in sound.OTHERS]
    if other:
        raise DataError(
            f"sound must be in .wav files; {len(other):,} of {len(found.files):,} files are not, "
            f"such as {other[0]}",
            hint=f"convert them, as in `ffmpeg -i {other[0].name} {other[0].stem}.wav`",
        )
    heard = [file for file in found.files if file.suffix.lower() in sound.SUFFIXES]
    if heard and len(heard) < len(found.files):
        raise DataError(
            f"a folder of data must hold images or sound; {tree.path.name} has {len(heard):,} .wav "
            f"files and {len(found.files) - len(heard):,} images",
            hint="give each a folder of its own",
        )
    parts: Mapping[str, Source]
    if heard:
        by_part = {part: files for part, (files, _) in found.parts.items()}
        clips, notes = sound.clips(by_part, reading.clip_seconds)
        how, parts = next(iter(clips.values())).how, clips
    else:
        parts = {part: Images(files, reading) for part, (files, _) in found.parts.items()}
        notes = notes_on(found.files, reading)
        how = _how(reading)
    return _stored(tree, found, parts, _numbers(found), [*found.notes, *notes], how)


def _segmented(tree: Tree, reading: Reading, size: tuple[int, int] | None) -> Stored:
    import numpy as np

    found = pairs(tree)
    labels = {part: masks_of(images, masks, size) for part, (images, masks) in found.items()}
    notes = notes_on([file for images, _ in found.values() for file in images], reading)
    if all(np.isin(values, (0, 255)).all() for values in labels.values()):
        if any((values == 255).any() for values in labels.values()):
            notes.append("masks hold 0 and 255, which are read as classes 0 and 1")
        labels = {part: (values != 0).astype(np.uint8) for part, values in labels.items()}
    parts = {part: Images(images, reading) for part, (images, _) in found.items()}
    listed = Listed({part: ([*images, *masks], None) for part, (images, masks) in found.items()})
    how = {**_how(reading), "masks": "nearest pixel"}
    return _stored(tree, listed, parts, {p: {"": y} for p, y in labels.items()}, notes, how)


def _numbers(found: Listed) -> dict[str, dict[str, np.ndarray[Any, Any]]]:
    import numpy as np

    return {
        part: {"": np.asarray(labels, np.int64)}
        for part, (_, labels) in found.parts.items()
        if labels is not None
    }


def _stored(
    tree: Tree,
    found: Listed,
    parts: Mapping[str, Source],
    labels: Mapping[str, Mapping[str, np.ndarray[Any, Any]]],
    notes: list[str],
    how: dict[str, str],
) -> Stored:
    def fingerprint() -> str:
        named: list[tuple[str, File]] = [(tree.called(file), file) for file in found.files]
        decides = "\0".join((file_digest(named), *found.classes, *how.values()))
        return hashlib.sha256(decides.encode()).hexdigest()

    inputs = {part: {"x": source} for part, source in parts.items()}
    kind = SOUND if "sound" in how else IMAGES
    return Stored(inputs, labels, fingerprint, found.classes, tuple(notes), how, kind=kind)


def _how(reading: Reading) -> dict[str, str]:
    return {"resize": reading.resize, "decoder": decoder()}
