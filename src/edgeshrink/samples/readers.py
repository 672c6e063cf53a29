"""Readers: from what the user names to stored arrays by part, before any split."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.errors import DataError, UsageError, near
from edgeshrink.models import import_object, require_path
from edgeshrink.samples.files.folders import from_tree
from edgeshrink.samples.files.npz import ZIP_ERRORS, open_npz
from edgeshrink.samples.files.reading import Reading
from edgeshrink.samples.files.stored import Stored, array_digest
from edgeshrink.samples.files.tables import read_csv, read_parquet
from edgeshrink.samples.files.tree import Archive, Folder
from edgeshrink.samples.files.windows import from_table
from edgeshrink.samples.subset import Source

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
KEY = re.compile(r"(x|y)(?:_(train|val|test|calibration))?(?:/(.+))?")
_OBJECT = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_KEYS_HINT = "x_train, y_train, x_test, y_test; or x and y"


def read(spec: str, reading: Reading, size: tuple[int, int] | None = None) -> Stored:
    """Return the arrays that `spec` names.

    Args:
        spec: an .npz, .csv or .parquet file, a folder of images or sound or a zip file of one,
            keras:NAME or module:function.
        reading: how files are read.
        size: height and width of the masks that the model makes, where that is known.

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
        return from_tree(Folder(path), reading, size)
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
        if path.suffix.lower() == ".zip" and not _holds_arrays(path):
            return from_tree(Archive(path), reading, size)
        arrays = open_npz(path)
        return _from_arrays(arrays, path.name, lambda: array_digest(arrays))
    if path.suffix.lower() == ".csv":
        return from_table(read_csv(path, reading), reading, path)
    if path.suffix.lower() == ".parquet" or head.startswith(b"PAR1"):
        return from_table(read_parquet(path, reading), reading, path)
    raise DataError(
        "data must be an .npz, .csv or .parquet file, a folder of images or .wav files, or a .zip "
        f"of such a folder; {path.name} is none",
        hint="numpy.savez('data.npz', x_train=..., y_train=..., x_test=..., y_test=...)",
    )


def _holds_arrays(path: Path) -> bool:
    """Return whether a zip file is an .npz by another name."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".npy") for name in archive.namelist())
    except ZIP_ERRORS:
        return False


def from_value(value: Any, name: str) -> Stored:
    """Return what a plugin or a user's function answered, as stored arrays."""
    return _from_value(value, name)


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
