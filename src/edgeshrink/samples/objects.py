"""Data that is given as objects of Python, kept in a file by its content.

What runs, resumes and helps from other processes reads files; so a run that was given arrays is the
same run as one that was given a file of these arrays.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from edgeshrink.errors import DataError, UsageError, near
from edgeshrink.models import write_stream
from edgeshrink.samples.files.stored import array_digest
from edgeshrink.samples.readers import KEY
from edgeshrink.samples.streams import TAKES, Shapes, batches, columns, is_stream
from edgeshrink.samples.subset import Source, chunks

if TYPE_CHECKING:
    import numpy as np

PARTS = {
    "train": "train",
    "val": "val",
    "validation": "val",
    "test": "test",
    "calibration": "calibration",
}
MOST_OF_FREE = 0.5  # of the disk, for what tells no length
NAMES = ("x", "y", *(f"{side}_{part}" for side in "xy" for part in set(PARTS.values())))
DATE = (1980, 1, 1, 0, 0, 0)  # of members: the same content makes the same file


def data_file(
    value: Any, folder: Path, inputs: Shapes | None = None, outputs: Sequence[str] = ()
) -> str:
    """Return how a data set is named on the command line, kept in a file where it is an object.

    Args:
        value: a path or name, as `load_dataset` takes it; or arrays, (x, y), ((x, y), (x_test,
            y_test)), a dict of arrays by the names of an .npz, a dict of parts (train, validation,
            test, calibration), or what yields samples or batches. What yields is read once, to its
            end, and streamed: no more than a batch of it is in memory.
        folder: for the file, which is named by its content; made if need be.
        inputs: of the model, each with its shape, the batch first; tells a batch from a sample, and
            names several inputs.
        outputs: of the model, by name, where there are several.

    Raises:
        UsageError: it is nothing of that, or tells that it never ends.
        DataError: its rows do not fit each other, or do not end before half of the disk is full.
    """
    if isinstance(value, str | Path):
        return str(value)
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        arrays: dict[str, Source] = {}
        for part, some in _parts(value, inputs or {}).items():
            found = _arrays(some, folder, inputs or {}, outputs, stack)
            if not found:
                said = f"the {part} samples" if part else "samples"
                raise DataError(f"{said} must be at least one; there is none")
            for column, array in found.items():
                side, _, name = column.partition("/")
                arrays["_".join(filter(None, (side, part))) + (f"/{name}" if name else "")] = array
        path = folder / f"{array_digest(arrays)[:32]}.npz"
        if not path.exists():
            write_npz(path, arrays)
    return str(path)


def write_npz(path: Path, arrays: Mapping[str, Source]) -> None:
    """Write arrays as numpy.savez does, a piece at a time.

    Args:
        path: the file; one that is there is replaced.
        arrays: by name; they may be larger than memory.

    Raises:
        OSError: it cannot be written.
    """
    import numpy as np

    with write_stream(path) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            info = zipfile.ZipInfo(f"{name}.npy", DATE)
            with archive.open(info, "w", force_zip64=True) as member:
                head = {
                    "descr": np.lib.format.dtype_to_descr(np.dtype(array.dtype)),
                    "fortran_order": False,
                    "shape": tuple(array.shape),
                }
                np.lib.format.write_array_header_1_0(member, head)
                for rows in chunks(array):
                    member.write(np.ascontiguousarray(array[rows]).tobytes())


def _parts(value: Any, inputs: Shapes) -> dict[str, Any]:
    """Return what is given for each part; the name is empty for what is not split yet."""
    if isinstance(value, Mapping):
        value = {name: part for name, part in value.items() if part is not None}
        if not value:
            raise UsageError(f"data must be {TAKES}; received a dict without anything in it")
        if set(value) <= set(PARTS):
            if {"val", "validation"} <= set(value):
                raise UsageError("val and validation are the same part; received both")
            return {PARTS[name]: part for name, part in value.items()}
        if set(value) == set(inputs):
            return {"": (value, None)}
        return _keyed(value)
    pairs = isinstance(value, tuple) and all(isinstance(v, tuple) and len(v) == 2 for v in value)
    if pairs and len(value) == 2:  # as keras.datasets.mnist.load_data() gives it
        return {"train": value[0], "test": value[1]}
    if value is None or isinstance(value, bool | int | float | complex | bytes):
        raise UsageError(f"data must be {TAKES}; received {value!r}"[:300])
    return {"": value}


def _keyed(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a dict of arrays by the names of an .npz."""
    found: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    parts = set(PARTS) & set(value)
    for key, item in value.items():
        match = KEY.fullmatch(str(key))
        if match is None:
            wrong = next(name for name in value if name not in parts) if parts else key
            raise DataError(
                f"a dict of data has parts (train, validation, test, calibration) or arrays "
                f"(x_train, y_train, x_test, y_test; x and y); received the key {wrong!r}",
                hint=near(str(wrong), PARTS if parts else NAMES),
            )
        side, part, column = match[1], match[2] or "", match[3] or ""
        x, y = found.setdefault(part, ({}, {}))
        inner = item if isinstance(item, Mapping) else {column: item}
        (x if side == "x" else y).update(inner)
    return {part: (_unnamed(x), _unnamed(y) if y else None) for part, (x, y) in found.items()}


def _unnamed(arrays: dict[str, Any]) -> Any:
    return arrays[""] if set(arrays) == {""} else arrays


def _arrays(
    value: Any,
    folder: Path,
    inputs: Shapes,
    outputs: Sequence[str],
    stack: contextlib.ExitStack,
) -> dict[str, Source]:
    """Return the arrays of a part by column; those of a stream are kept until the stack ends."""
    if is_stream(value):
        return _spooled(batches(value, inputs, outputs), folder, stack)
    known = isinstance(value, Mapping | tuple | list)
    if not known and not hasattr(value, "shape") and not hasattr(value, "__array__"):
        raise UsageError(f"data must be {TAKES}; received a {type(value).__name__}")
    x, y = value, None
    if isinstance(value, Mapping) and "x" in value and set(value) <= {"x", "y"} != set(inputs):
        x, y = value["x"], value.get("y")
    elif isinstance(value, list) and len(value) == len(inputs) > 1:
        pass  # an array for each input, as Keras takes them
    elif isinstance(value, tuple | list) and len(value) == 2:
        x, y = value
    elif isinstance(value, tuple):
        raise DataError(
            f"data must be x, or x and y; received {len(value)} things",
            hint="{'train': (x, y), 'validation': …, 'test': …} names several parts",
        )
    found: dict[str, Source] = dict(columns(x, y, inputs, outputs))
    counts = {array.shape[:1] for array in found.values()}
    if len(counts) > 1 or () in counts:
        told = ", ".join(f"{name} {array.shape}" for name, array in found.items())
        raise DataError(f"data must have as many labels as samples: {told}")
    return found


def _spooled(
    rows: Iterator[dict[str, np.ndarray[Any, Any]]], folder: Path, stack: contextlib.ExitStack
) -> dict[str, Source]:
    """Write columns to files while they come, and return them as arrays in these files."""
    import numpy as np

    place = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder, prefix=".stream-")))
    most = MOST_OF_FREE * shutil.disk_usage(folder).free
    spools: dict[str, _Spool] = {}
    written = 0
    for number, batch in enumerate(rows):
        if spools and batch.keys() != spools.keys():
            raise DataError(
                f"batch {number} of the data has {', '.join(batch)}; those before it had "
                f"{', '.join(spools)}"
            )
        for name, array in batch.items():
            if name not in spools:
                stream = stack.enter_context((place / str(len(spools))).open("w+b"))
                spools[name] = _Spool(name, stream, array.dtype, array.shape[1:])
            spools[name].append(array, number)
        written += sum(array.nbytes for array in batch.values())
        if written > most:
            raise DataError(
                f"the data did not end after {next(iter(spools.values())).count:,} samples, "
                f"{written:,} bytes: half of what is free at {folder}",
                hint="give data that ends, such as dataset.take(n)",
            )
    found: dict[str, Source] = {}
    for name, spool in spools.items():
        spool.stream.flush()
        shape = (spool.count, *spool.sample)
        empty = 0 in shape
        found[name] = (
            np.empty(shape, spool.dtype)
            if empty
            else np.memmap(spool.stream, spool.dtype, "r", shape=shape)
        )
    return found


class _Spool:
    """One column on its way into a file."""

    def __init__(
        self, name: str, stream: BinaryIO, dtype: np.dtype[Any], sample: tuple[int, ...]
    ) -> None:
        self.name, self.stream, self.dtype, self.sample = name, stream, dtype, sample
        self.count = 0

    def append(self, values: np.ndarray[Any, Any], number: int) -> None:
        """Add rows.

        Raises:
            DataError: they are of another type or shape than those before.
        """
        import numpy as np

        wide = values.dtype.kind in "US" and self.dtype.kind == values.dtype.kind
        if (values.dtype != self.dtype and not wide) or values.shape[1:] != self.sample:
            raise DataError(
                f"all samples must have one shape and type; {self.name} of batch {number} is "
                f"{values.dtype} {values.shape[1:]}, those before it were {self.dtype} "
                f"{self.sample}"
            )
        if wide and values.dtype.itemsize > self.dtype.itemsize:
            raise DataError(
                f"labels that are words must come as numbers from a stream; batch {number} has a "
                "longer one than those before it"
            )
        self.stream.write(np.ascontiguousarray(values, self.dtype).tobytes())
        self.count += len(values)
