"""What must hold of data for any model: lengths, finite values, labels of two classes or more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from edgeshrink.errors import DataError
from edgeshrink.samples.files.stored import Stored
from edgeshrink.samples.subset import Subset, chunks
from edgeshrink.samples.task import Task


def check_stored(stored: Stored, spec: str) -> Stored:
    """Return the data with its labels in shape, after checking what holds for any model."""
    labels = _integer_classes({p: dict(named) for p, named in stored.labels.items()})
    class_names = stored.class_names or labels[1]
    for part, inputs in stored.inputs.items():
        end = f"_{part}" if part else ""
        lengths = {
            f"x{end}{f'/{n}' if len(inputs) > 1 else ''}": s.shape[0] for n, s in inputs.items()
        }
        named = labels[0].get(part, {})
        lengths |= {f"y{end}{f'/{n}' if n else ''}": len(y) for n, y in named.items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} {count:,}" for name, count in lengths.items())
            raise DataError(f"inputs and labels must be as many; {spec} has {told}")
        if 0 in lengths.values():
            raise DataError(f"a part must have samples; {next(iter(lengths))} in {spec} is empty")
        for name, source in inputs.items():
            _check_finite(source, f"x{end}{f'/{name}' if len(inputs) > 1 else ''} in {spec}")
        for name, values in named.items():
            where = f"y{end}{f'/{name}' if name else ''} in {spec}"
            _check_finite(values, where)
    return replace(stored, labels=labels[0], class_names=class_names)


def check_classes(stored: Stored, spec: str, tasks: Mapping[str, Task]) -> None:
    """Raise a DataError if a part has samples of one class alone."""
    for part, named in stored.labels.items():
        for name, values in named.items():
            task = tasks.get(name) or next(iter(tasks.values()))
            strata = task.strata(values)
            if strata is not None and len(strata) > 1 and (strata == strata[0]).all():
                where = f"y{f'_{part}' if part else ''}{f'/{name}' if name else ''} in {spec}"
                one = f"{where} is all {values[0]}"
                if values[0].size > 1:
                    one = f"{where}, of shape {values.shape}, is all of class {strata[0]}"
                raise DataError(f"labels must be of two classes or more; {one}")


def check_varied(part: Subset, spec: str) -> None:
    """Raise a DataError if two or more samples are one and the same in every input."""
    for column in part.inputs.values():
        if len(column) < 2:
            return
        first = column.take([0])
        for row in range(1, len(column)):  # ends at the first that differs: nearly always row 1
            if (column.take([row]) != first).any():
                return
    raise DataError(
        f"samples must differ; {len(part):,} training samples of {spec} are all the same",
        hint="calibration and training need samples like those that the model will meet",
    )


def _integer_classes(
    labels: dict[str, dict[str, Any]],
) -> tuple[dict[str, dict[str, Any]], tuple[str, ...]]:
    """Return labels with (n, 1) made (n,) and text made integers, and the class names."""
    import numpy as np

    for named in labels.values():
        for name, values in named.items():
            if values.ndim == 2 and values.shape[1] == 1:
                values = values[:, 0]
            named[name] = values.astype(np.uint8) if values.dtype.kind == "b" else values
    text = [v for named in labels.values() for v in named.values() if v.dtype.kind in "US"]
    if not text:
        return labels, ()
    classes = np.unique(np.concatenate([v.astype(str) for v in text]))
    for named in labels.values():
        for name, values in named.items():
            if values.dtype.kind in "US":
                named[name] = np.searchsorted(classes, values.astype(str))
    return labels, tuple(str(c) for c in classes)


def _check_finite(source: Any, where: str) -> None:
    import numpy as np

    if source.dtype.kind not in "fiub":
        raise DataError(f"arrays must hold real numbers; {where} holds {source.dtype}")
    if source.dtype.kind != "f" or getattr(source, "finite", False):
        return
    for rows in chunks(source):
        bad = ~np.isfinite(source[rows])
        if bad.any():
            row = rows.start + int(np.argwhere(bad)[0][0])
            raise DataError(
                f"data must be finite; {where} has NaN or infinity, first in sample {row}",
                hint="drop or repair those samples",
            )
