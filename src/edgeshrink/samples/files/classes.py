"""Files of a folder by part and by class, as Keras counts classes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from edgeshrink.errors import DataError
from edgeshrink.samples.files.tree import File, Tree

PARTS = {"train": "train", "val": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class Listed:
    """The files of a folder.

    Attributes:
        parts: by part, "" where there are none: files, and the class of each, or None where files
            lie side by side without a folder for each class.
        classes: names by number.
        notes: what was found, in sentences.
    """

    parts: dict[str, tuple[list[File], list[int] | None]]
    classes: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)

    @property
    def files(self) -> list[File]:
        """All files."""
        return [file for files, _ in self.parts.values() for file in files]


def parts_of(tree: Tree) -> dict[str, str]:
    """Return the folder of each part; one alone, "", where none is called train, val or test.

    Raises:
        DataError: there are both val and validation.
    """
    named = [name for name in tree.folders() if name in PARTS]
    if {"val", "validation"} <= set(named):
        raise DataError(
            f"val and validation are the same part; {tree.path.name} has both",
            hint="leave one of them",
        )
    return {PARTS[name]: name for name in named} or {"": ""}


def by_class(tree: Tree, suffixes: Collection[str]) -> Listed:
    """Return the files of a folder, by part and class.

    The parts are `train`, `val` and `test` if there are folders of these names, otherwise all
    files are in the part `""`. Classes are counted as by Keras: each folder is one, empty or not,
    but for hidden ones.

    Args:
        tree: the folder.
        suffixes: how names end, in small letters.

    Raises:
        DataError: there are no such files, or a part has a class that training lacks,
            which has several.
    """
    parts = parts_of(tree)
    reference = parts.get("train") or next(iter(parts.values()))
    classes = tree.folders(reference)
    have = {name: tree.files(_in(reference, name), suffixes) for name in classes}
    if not any(have.values()):
        flat = {part: tree.files(at, suffixes, below=False) for part, at in parts.items()}
        if any(flat.values()):
            return _flat(tree, {part: files for part, files in flat.items() if files})
        raise DataError(
            f"a folder of data must hold one folder of images or .wav files for each class; "
            f"{tree.path.name} has none",
            hint="folder/train/cat/1.png, or folder/cat/1.png; png, jpg, bmp, gif, tif, webp, wav",
        )
    notes = [
        f"class folder {name!r} is empty; it keeps its number, as for Keras"
        for name, files in have.items()
        if not files
    ]
    if len(classes) == 1:  # of normal samples alone, which others are told from
        others = {name for at in parts.values() for name in tree.folders(at)} - {*classes}
        classes += tuple(sorted(others))
    found: dict[str, tuple[list[File], list[int] | None]] = {}
    for part, at in parts.items():
        extra = [
            n for n in tree.folders(at) if n not in classes and tree.files(_in(at, n), suffixes)
        ]
        if extra:
            where = at or tree.path.name
            raise DataError(f"{where} has classes that training lacks: {', '.join(extra)}")
        pairs = [
            (file, number)
            for number, name in enumerate(classes)
            for file in tree.files(_in(at, name), suffixes)
        ]
        if not pairs:
            raise DataError(
                f"a part of the data must have files; {at!r} of {tree.path.name} has none",
                hint="add some, or remove the folder",
            )
        found[part] = [file for file, _ in pairs], [number for _, number in pairs]
    return Listed(found, classes, notes)


def _flat(tree: Tree, parts: dict[str, list[File]]) -> Listed:
    count = sum(map(len, parts.values()))
    notes = [
        f"{tree.path.name} has no folder for each class: its {count:,} files have no labels, so "
        "that models are calibrated and timed on them and compared with the original's answers, "
        "but nothing is scored"
    ]
    return Listed({part: (files, None) for part, files in parts.items()}, (), notes)


def _in(at: str, name: str) -> str:
    return f"{at}/{name}" if at else name
