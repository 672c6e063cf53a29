"""Samples that come one after another, from objects of Python: batches, told apart from samples."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgeshrink.errors import DataError, UsageError

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray[Any, Any]]

Shapes = Mapping[str, Sequence[int | None]]
BATCH = 256  # rows of a Hugging Face data set that are fetched in one go
LABELS = ("label", "labels", "y")  # columns of one, in the order in which they are looked for
TAKES = (
    "arrays, (x, y), ((x, y), (x_test, y_test)), a dict of parts, a tf.data.Dataset, a "
    "keras.utils.PyDataset, a torch DataLoader, a Hugging Face dataset, or a function that "
    "returns an iterator"
)


def is_stream(value: Any) -> bool:
    """Return whether an object yields samples or batches, and is no array or list of numbers."""
    if hasattr(value, "with_format"):  # of Hugging Face, which has a shape too
        return True
    if hasattr(value, "shape") or isinstance(value, str | bytes | Mapping | list | tuple):
        return False
    return callable(value) or hasattr(value, "__iter__") or hasattr(value, "__getitem__")


def batches(value: Any, inputs: Shapes, outputs: Sequence[str] = ()) -> Iterator[Arrays]:
    """Yield the rows of a stream batch by batch: arrays by column.

    Args:
        value: what `is_stream` knows.
        inputs: of the model, each with its shape, the batch first; empty where they are not known.
        outputs: of the model, by name.

    Yields:
        `(rows, ...)` of each input and of each output's labels: by `x` and `y`, or by `x/NAME` and
        `y/NAME` where there are several.

    Raises:
        UsageError: it is nothing that yields samples, or it would never end.
        DataError: what it yields is no sample, and no batch of them.
    """
    whole: bool | None = None
    for number, item in enumerate(_items(value)):
        rows = columns(*_pair(item), inputs, outputs)
        if whole is None:
            whole = _is_batch(rows, inputs)
        if not whole:
            rows = {name: array[None] for name, array in rows.items()}
        counts = {name: array.shape[:1] for name, array in rows.items()}
        if len(set(counts.values())) > 1 or not all(counts.values()):
            told = ", ".join(f"{name} {array.shape}" for name, array in rows.items())
            raise DataError(f"batch {number} of the data has not one label a sample: {told}")
        yield rows


def columns(x: Any, y: Any, inputs: Shapes, outputs: Sequence[str] = ()) -> Arrays:
    """Return arrays by column, as `batches` names them; `y` may be None.

    Args:
        x: an array; by name or in the model's order where there are several inputs.
        y: labels likewise, by output.
        inputs: as for `batches`.
        outputs: likewise.
    """
    return {**_named("x", x, list(inputs)), **_named("y", y, list(outputs))}


def array_of(value: Any, what: str) -> np.ndarray[Any, Any]:
    """Return an array, or what another library holds in one.

    Args:
        value: an array, a tensor of TensorFlow or torch, a number, or a list of such.
        what: it is, for errors.

    Raises:
        DataError: it holds no numbers or words, or its rows have different lengths.
    """
    import numpy as np

    if hasattr(value, "detach"):  # a torch tensor, which may lie on a GPU
        value = value.detach().cpu()
    try:
        found = np.asarray(value.numpy() if hasattr(value, "numpy") else value)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} has rows of different lengths, or no numbers: {error}") from error
    if found.dtype.hasobject:
        plain = _plain(found)
        if plain is not None:
            return plain
        raise DataError(
            f"{what} must hold numbers; it holds Python objects, or rows of different lengths"
        )
    return found


def _plain(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """Return words or numbers that are kept as Python objects, as pandas and tf.data keep them.

    None where they are anything else, or of several kinds.
    """
    import numpy as np

    items = values.ravel().tolist()
    if items and all(isinstance(item, str | bytes) for item in items):
        with contextlib.suppress(UnicodeDecodeError):
            words = [item.decode() if isinstance(item, bytes) else item for item in items]
            return np.array(words).reshape(values.shape)
    if items and all(isinstance(item, bool | int | float | np.number) for item in items):
        return values.astype(np.float64)
    return None


def _items(value: Any) -> Iterator[Any]:
    """Yield what a stream yields; one that tells that it never ends is refused."""
    if hasattr(value, "element_spec") and hasattr(value, "as_numpy_iterator"):
        if int(value.cardinality()) == -1:  # tf.data.INFINITE_CARDINALITY
            raise _endless("the tf.data.Dataset repeats", "dataset.take(n)")
        return iter(value.as_numpy_iterator())
    if hasattr(value, "num_batches") and hasattr(value, "__getitem__"):
        if value.num_batches is None:
            raise _endless("the PyDataset has num_batches=None", "give it a number of batches")
        return (value[place] for place in range(value.num_batches))
    if hasattr(value, "column_names") and hasattr(value, "with_format"):
        return iter(value.with_format("numpy").iter(batch_size=BATCH))
    if callable(value):
        made = value()
        if not hasattr(made, "__iter__") or isinstance(made, str | bytes | Mapping | tuple):
            raise UsageError(
                f"a function given as data must return an iterator; it returned a "
                f"{type(made).__name__}",
                hint="yield (x, y) in it",
            )
        return iter(made)
    try:
        return iter(value)
    except TypeError as error:
        raise UsageError(f"data must be {TAKES}; received a {type(value).__name__}") from error


def _endless(why: str, instead: str) -> UsageError:
    return UsageError(f"data must come to an end; {why}", hint=instead)


def _pair(item: Any) -> tuple[Any, Any]:
    """Return inputs and labels of what was yielded; labels may be None."""
    if isinstance(item, tuple | list):
        if len(item) == 1:
            return item[0], None
        if len(item) == 2:
            return item[0], item[1]
        raise DataError(
            f"data must yield x, or x and y; it yields {len(item)} things",
            hint="weights of samples are not used: leave them out",
        )
    if isinstance(item, Mapping):
        rest = dict(item)
        label = next((name for name in LABELS if name in rest and len(rest) > 1), None)
        y = None if label is None else rest.pop(label)
        return (next(iter(rest.values())) if len(rest) == 1 else rest), y
    return item, None


def _named(side: str, value: Any, names: list[str]) -> Arrays:
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return {f"{side}/{name}": array_of(v, f"{side}/{name}") for name, v in value.items()}
    if isinstance(value, tuple | list) and len(names) > 1:
        if len(value) != len(names):
            raise DataError(
                f"{side} must have an array for each of {', '.join(names)}; it has {len(value)}"
            )
        pairs = zip(names, value, strict=True)
        return {f"{side}/{name}": array_of(v, f"{side}/{name}") for name, v in pairs}
    return {side: array_of(value, side)}


def _is_batch(rows: Arrays, inputs: Shapes) -> bool:
    """Return whether the first thing that was yielded holds many samples, or one."""
    shapes = list(inputs.values())
    for name, array in rows.items():
        if not name.startswith("x"):
            continue
        shape = inputs.get(name.removeprefix("x/"), shapes[0] if shapes else None)
        if shape is None:
            break
        sample, many = tuple(shape[1:]), array.shape[1:]
        if _fits(array.shape, sample):
            return False
        if array.ndim and (_fits(many, sample) or _fits((*many, 1), sample)):
            return True
    return all(array.ndim > 0 for array in rows.values())


def _fits(shape: Iterable[int], wanted: Sequence[int | None]) -> bool:
    shape = tuple(shape)
    return len(shape) == len(wanted) and all(
        size in (None, had) for size, had in zip(wanted, shape, strict=True)
    )
