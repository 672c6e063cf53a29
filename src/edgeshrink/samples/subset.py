"""Subset: a set of samples that stay as they are stored until a batch of them is taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np

Labels = Any  # an array, a dict of arrays by output name, or None

# Rows looked at in one go when a whole array is checked or hashed: keeps memory flat.
CHUNK_BYTES = 8 << 20


class Source(Protocol):
    """Stored samples that can be indexed by an array of row numbers."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all samples, their number first."""

    @property
    def dtype(self) -> Any:
        """The type of the stored values; those of resized images are real numbers between."""

    def __getitem__(self, rows: Any) -> Any:
        """Return the samples of these rows as one array."""


@dataclass(frozen=True, eq=False)
class Bytes:
    """A source of bytes, whose values between two bytes (of resized images) are rounded."""

    source: Source

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all samples."""
        return self.source.shape

    @property
    def dtype(self) -> Any:
        """Bytes."""
        return self.source.dtype

    def __getitem__(self, rows: Any) -> Any:
        """Return the samples of these rows."""
        import numpy as np

        return np.rint(np.asarray(self.source[rows], np.float32)).astype(np.uint8)


@dataclass(frozen=True, eq=False)  # arrays do not compare to one truth
class Column:
    """One input of a set of samples: rows of a source, with the model's sample shape.

    Attributes:
        channel: whether a last dimension of 1 is added.
        wanted: the type that the model's input has.
    """

    source: Source
    rows: np.ndarray[Any, Any]
    channel: bool = False
    wanted: str = "float32"

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all samples of this column."""
        return (len(self.rows), *self.source.shape[1:], *((1,) if self.channel else ()))

    @property
    def dtype(self) -> Any:
        """The type of the stored values."""
        return self.source.dtype

    def take(self, indices: Any) -> np.ndarray[Any, Any]:
        """Return samples by their position in this column, in the stored type."""
        import numpy as np

        values = np.asarray(self.source[self.rows[indices]])
        return values[..., None] if self.channel else values


@dataclass(frozen=True, eq=False)  # arrays do not compare to one truth
class Subset:
    """A set of samples, such as those for training.

    Attributes:
        sources: the stored samples by input name; they may belong to other parts too.
        rows: which of the stored samples are in this part.
        all_labels: labels of the stored samples: an array, a dict by output name, or None.
        all_truth: what judges the stored samples and is no label of an output: 1 where a sample is
            anomalous and 0 where it is normal, or its boxes `(most, 5)`; None where there is none.
    """

    sources: Mapping[str, Source]
    rows: np.ndarray[Any, Any]
    all_labels: Labels = None
    channel: frozenset[str] = frozenset()
    wanted: Mapping[str, str] = field(default_factory=dict)
    all_truth: np.ndarray[Any, Any] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def inputs(self) -> dict[str, Column]:
        """The columns of this part by input name."""
        return {
            name: Column(source, self.rows, name in self.channel, self.wanted.get(name, "float32"))
            for name, source in self.sources.items()
        }

    @cached_property
    def labels(self) -> Labels:
        """Labels of this part's samples: an array, a dict by output name, or None."""
        if isinstance(self.all_labels, Mapping):
            return {name: labels[self.rows] for name, labels in self.all_labels.items()}
        return None if self.all_labels is None else self.all_labels[self.rows]

    @cached_property
    def truth(self) -> np.ndarray[Any, Any] | None:
        """What judges this part's samples and is no label of an output, `(samples, ...)`."""
        return None if self.all_truth is None else self.all_truth[self.rows]

    def take(self, indices: Any) -> dict[str, np.ndarray[Any, Any]]:
        """Return samples by their position in this part, in the stored type, by input name."""
        return {name: column.take(indices) for name, column in self.inputs.items()}

    def as_stored(self) -> Subset:
        """Return this part for a model whose inputs are bytes where bytes are stored."""
        names = [
            name
            for name, column in self.inputs.items()
            if column.dtype == "uint8" and column.wanted.startswith("float")
        ]
        return replace(
            self,
            sources={**self.sources, **{name: Bytes(self.sources[name]) for name in names}},
            wanted={**self.wanted, **dict.fromkeys(names, "uint8")},
        )

    def subset(self, rows: np.ndarray[Any, Any]) -> Subset:
        """Return the part that holds other rows of the same stored samples."""
        return replace(self, rows=rows)


def chunks(source: Source) -> Iterator[slice]:
    """Yield the slices that cover a source in pieces of about 8 MB."""
    import numpy as np

    samples, *rest = source.shape
    row_bytes = max(1, int(np.prod(rest, dtype=np.int64)) * np.dtype(source.dtype).itemsize)
    step = max(1, CHUNK_BYTES // row_bytes)
    for start in range(0, samples, step):
        yield slice(start, min(start + step, samples))


def labels_by_output(part: Subset, outputs: Sequence[str]) -> dict[str, np.ndarray[Any, Any]]:
    """Return a part's labels by the names of a model's outputs; an output without is absent."""
    if part.labels is None:
        return {}
    if isinstance(part.labels, Mapping):
        return {name: part.labels[name] for name in outputs if name in part.labels}
    return {outputs[0]: part.labels}
