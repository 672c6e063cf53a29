"""Readers: from what the user names to stored arrays by part, before any split."""

from __future__ import annotations

import csv
import hashlib
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.errors import DataError, UsageError, near
from edgeshrink.models import import_object, require_path
from edgeshrink.samples.images import Reading, decoder, image_folder
from edgeshrink.samples.npz import open_npz
from edgeshrink.samples.subset import Source, chunks
from edgeshrink.texts import shortly

if TYPE_CHECKING:
    import numpy as np

KEYS = ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test", "x", "y")
KERAS_SETS = (
    "mnist",
    "fashion_mnist",
    "cifar10",
    "cifar100",
    "boston_housing",
    "california_housing",
)
LONGEST_NAME = 1000  # characters of a class name in a table
KEY = re.compile(r"(x|y)(?:_(train|val|test|calibration))?(?:/(.+))?")
_OBJECT = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_KEYS_HINT = "x_train, y_train, x_test, y_test; or x and y"


@dataclass(frozen=True)
class Stored:
    """Arrays as they are stored.

    Attributes:
        inputs: arrays by part ("train", "val", "test", or "" for not yet split) and input name.
        labels: the same for labels; the name is "" where a model has one output.
        fingerprint: returns the SHA-256 of the content, in hex.
        notes: what was found, in sentences.
        read: how, where that decides the values: for images `resize` and `decoder`.
        truth: by part what judges samples and is no label of an output.
        unlabelled: what is wrong where a part has no labels and another has; None where all have.
    """

    inputs: Mapping[str, Mapping[str, Source]]
    labels: Mapping[str, Mapping[str, np.ndarray[Any, Any]]]
    fingerprint: Callable[[], str]
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    read: Mapping[str, str] = field(default_factory=dict)
    truth: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    unlabelled: DataError | None = None


def read(spec: str, reading: Reading) -> Stored:
    """Return the arrays that `spec` names.

    Args:
        spec: an .npz or .csv file, a folder of images, keras:NAME or module:function.
        reading: how images are read.

    Raises:
        UsageError: there is no such thing.
        DataError: what it holds cannot be used.
    """
    path = Path(spec)
    if spec.startswith("keras:"):
        return _from_value(_keras_set(spec.removeprefix("keras:")), spec)
    if _OBJECT.fullmatch(spec) and not path.exists():
        function = import_object(spec, what="data")
        return _from_value(function() if callable(function) else function, spec)
    require_path(path, what="data file")
    if path.is_dir():
        return _from_folder(path, reading)
    try:
        with path.open("rb") as stream:
            head = stream.read(64)
    except OSError as error:
        raise UsageError(f"{path.name} cannot be read: {error.strerror}") from error
    if not head:
        raise DataError(f"{path.name} is empty (0 bytes)", hint="copy or download it again")
    if head.startswith(b"version https://git-lfs"):
        raise DataError(f"{path.name} is a Git LFS pointer, not the data", hint="git lfs pull")
    if zipfile.is_zipfile(path) or head.startswith(b"PK"):
        arrays = open_npz(path)
        return _from_arrays(arrays, path.name, lambda: array_digest(arrays))
    if path.suffix.lower() == ".csv":
        return _from_csv(path)
    raise DataError(
        f"data must be an .npz file, a .csv file or a folder of images; {path.name} is none",
        hint="numpy.savez('data.npz', x_train=..., y_train=..., x_test=..., y_test=...)",
    )


def from_value(value: Any, name: str) -> Stored:
    """Return what a plugin or a user's function answered, as stored arrays."""
    return _from_value(value, name)


def file_digest(paths: Iterable[Path], root: Path | None = None) -> str:
    """Return the SHA-256 of files, with their names below `root` where it is given."""
    whole = hashlib.sha256()
    for path in paths:
        if root is not None:
            whole.update(path.relative_to(root).as_posix().encode() + b"\0")
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                whole.update(block)
    return whole.hexdigest()


def _from_arrays(arrays: Mapping[str, Source], name: str, fingerprint: Callable[[], str]) -> Stored:
    import numpy as np

    inputs: dict[str, dict[str, Source]] = {}
    labels: dict[str, dict[str, np.ndarray[Any, Any]]] = {}
    ignored = []
    for key, array in arrays.items():
        match = KEY.fullmatch(key)
        if match is None:
            ignored.append(key)
            continue
        side, part, column = match[1], match[2] or "", match[3]
        if not array.shape:
            raise DataError(f"{key} in {name} must have one row a sample; it is a single number")
        if side == "x":
            inputs.setdefault(part, {})[column or "x"] = array
        else:
            labels.setdefault(part, {})[column or ""] = np.asarray(array[:])
    if not inputs:
        typo = [k for k in ignored if near(k, KEYS, otherwise=" ").strip()]
        raise DataError(
            f"data must have x_train, x_test or x; {name} has {', '.join(arrays) or 'nothing'}",
            hint=near(typo[0], KEYS) if typo else f"name the arrays {_KEYS_HINT}",
        )
    unlabelled = None  # told only where the task is not to judge what gives its input back
    for part in inputs:
        wanted = f"y_{part}" if part else "y"
        close = [k for k in ignored if wanted in near(k, KEYS, otherwise=" ")]
        if part not in labels and part != "calibration" and (labels or close):
            fault = DataError(
                f"{name} has inputs for {part or 'all samples'} but no labels {wanted!r}",
                hint=f"is {close[0]!r} a misspelling of it?" if close else f"add {wanted}",
            )
            if close:
                raise fault
            unlabelled = unlabelled or fault
    class_names: tuple[str, ...] = ()
    if "class_names" in arrays:
        class_names = tuple(str(v) for v in arrays["class_names"][:])
    return Stored(inputs, labels, fingerprint, class_names, unlabelled=unlabelled)


def _from_value(value: Any, name: str) -> Stored:
    import numpy as np

    if isinstance(value, Stored):
        return value
    if isinstance(value, tuple | list):
        try:
            (x_train, y_train), (x_test, y_test) = value
        except (TypeError, ValueError) as error:
            raise DataError(
                f"data must be a dict like an .npz file, or (x_train, y_train), (x_test, y_test); "
                f"{name} gave a {type(value).__name__} of {len(value)}"
            ) from error
        value = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
    if not isinstance(value, Mapping):
        raise DataError(f"data must be a dict of arrays; {name} gave {type(value).__name__}")
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, Mapping):  # {"x_train": {"left": ..., "right": ...}}
            flat |= {f"{key}/{inner}": array for inner, array in item.items()}
        elif item is not None:
            flat[str(key)] = item
    arrays: dict[str, Source] = {}
    for key, item in flat.items():
        try:
            array = np.asarray(item)
        except ValueError as error:
            raise DataError(f"{key} from {name} has rows of different lengths") from error
        if array.dtype.hasobject:
            raise DataError(f"arrays must hold numbers; {key} from {name} holds Python objects")
        arrays[key] = array
    return _from_arrays(arrays, name, lambda: array_digest(arrays))


def array_digest(arrays: Mapping[str, Source]) -> str:
    """Return the SHA-256 of arrays by name: in a file or in memory, the same ones have the same.

    Args:
        arrays: by name; read a piece at a time.
    """
    whole = hashlib.sha256()
    for key in sorted(arrays):
        array = arrays[key]
        whole.update(f"{key} {array.dtype} {array.shape}\0".encode())
        if array.shape:
            for rows in chunks(array):
                whole.update(array[rows].tobytes())
    return whole.hexdigest()


def _keras_set(name: str) -> Any:
    if name not in KERAS_SETS:
        raise UsageError(f"no keras data set {name!r}", hint=near(name, KERAS_SETS))
    import keras

    try:
        return getattr(keras.datasets, name).load_data()
    except Exception as error:  # keras.utils.get_file raises a bare Exception when offline
        raise DataError(
            f"could not download keras:{name}: {error}",
            hint="connect to the network, or give the data as an .npz file",
        ) from error


def _from_folder(path: Path, reading: Reading) -> Stored:
    import numpy as np

    parts, classes, notes = image_folder(path, reading)
    files = [file for images, _ in parts.values() for file in images.paths]
    how = {"resize": reading.resize, "decoder": decoder()}

    def fingerprint() -> str:
        decides = "\0".join((file_digest(files, path), *classes, *how.values()))
        return hashlib.sha256(decides.encode()).hexdigest()

    return Stored(
        {part: {"x": images} for part, (images, _) in parts.items()},
        {part: {"": np.asarray(labels, np.int64)} for part, (_, labels) in parts.items()},
        fingerprint,
        classes,
        tuple(notes),
        how,
    )


def _from_csv(path: Path) -> Stored:
    import numpy as np

    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            table = [row for row in csv.reader(stream) if row]
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path.name} is not a table of text: {error}") from error
    header = _header(table)
    label = next((i for i, h in enumerate(header) if h.lower() in ("label", "y")), -1)
    rows = table[1:] if header else table
    width = len(table[0])
    label %= width
    if width < 2 or not rows:
        apart = next((mark for mark in ";\t|" if any(mark in cell for cell in table[0])), "")
        raise DataError(
            f"a .csv file must have rows of features and a label; received {path.name}",
            hint=f"cells are separated by commas, here it looks like {apart!r}" if apart else "",
        )
    features = np.empty((len(rows), width - 1), np.float32)
    for number, row in enumerate(rows, start=2 if header else 1):
        if len(row) != width:
            raise DataError(f"{path.name}: row {number} has {len(row)} cells, the first {width}")
        try:
            features[number - (2 if header else 1)] = [
                float(v) for i, v in enumerate(row) if i != label
            ]
        except ValueError as error:
            wrong = next(i for i, v in enumerate(row) if i != label and not _is_number(v))
            raise DataError(
                f"{path.name}: row {number} must hold numbers; column "
                f"{header[wrong] if header else wrong + 1} holds {shortly(row[wrong])}",
                hint="fill in what is missing, and make numbers of words",
            ) from error
    column = [row[label].strip() for row in rows]
    longest = max(range(len(column)), key=lambda place: len(column[place]))
    if len(column[longest]) > LONGEST_NAME:  # an array of text takes the longest for every row
        raise DataError(
            f"{path.name}: row {longest + (2 if header else 1)} has a label of "
            f"{len(column[longest]):,} characters; the name of a class has {LONGEST_NAME:,} at most"
        )
    labels = np.asarray([float(v) for v in column] if all(map(_is_number, column)) else column)
    if labels.dtype.kind == "f" and (labels == np.round(labels)).all() and len(set(column)) <= 100:
        labels = labels.astype(np.int64)  # few whole numbers are classes
    return Stored({"": {"x": features}}, {"": {"": labels}}, lambda: file_digest([path]))


def _header(table: list[list[str]]) -> list[str]:
    """Return the first row if it names columns: text where the second row has a number."""
    if len(table) < 2:
        return []
    pairs = zip(table[0], table[1], strict=False)
    named = any(not _is_number(a) and _is_number(b) for a, b in pairs)
    return [cell.strip() for cell in table[0]] if named else []


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
