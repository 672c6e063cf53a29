"""What Python gives as objects, as files that every run reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeshrink.errors import EdgeshrinkError
from edgeshrink.models import cache_folder, facts, make_ours, reference

FOLDER = "objects"


def given_model(model: Any, custom: Any) -> tuple[str, tuple[str, ...]]:
    """Return the path or name of a model, and the classes that its file needs.

    Args:
        model: a path, `module:object`, or a `keras.Model`.
        custom: classes and functions, or `module:object` of them.

    Raises:
        UsageError: a model is an object of another kind, or has no shapes yet.
        ModelError: Keras cannot save it.
    """
    alone = isinstance(custom, str) or callable(custom)
    own = [
        one if isinstance(one, str) else reference(one) for one in ((custom,) if alone else custom)
    ]
    if isinstance(model, str | Path):
        return str(model), tuple(own)
    from edgeshrink.nn.loading import model_file, own_code

    path = model_file(model, _folder())
    return str(path), tuple(dict.fromkeys((*own, *own_code(model))))


def given_data(
    data: Any, model: str, input_shapes: Mapping[str, tuple[int, ...]] | None = None
) -> str:
    """Return the path or name of a data set, as `--data` takes it; objects are kept in a file.

    Args:
        data: what `edgeshrink.samples.data_file` takes; None for none.
        model: path or name of the model that it is for.
        input_shapes: of inputs whose size the model leaves open.

    Raises:
        UsageError, DataError: as `data_file` does.
    """
    if data is None or isinstance(data, str | Path):
        return str(data or "")
    from edgeshrink.samples import data_file

    try:
        found = facts(Path(model))
    except EdgeshrinkError:  # not Keras's own, or told with the plan
        return data_file(data, _folder())
    shapes = {i.name: tuple(i.shape) for i in found.inputs if i.shape is not None}
    return data_file(
        data, _folder(), shapes | dict(input_shapes or {}), [o.name for o in found.outputs]
    )


def _folder() -> Path:
    folder = cache_folder(FOLDER)
    make_ours(folder)
    return folder
