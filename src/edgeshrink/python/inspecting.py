"""`inspect` as a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgeshrink.python.asked import many
from edgeshrink.python.given import given_model
from edgeshrink.python.speaking import speaks_python

if TYPE_CHECKING:
    import keras

    from edgeshrink.python.results import Inspection


@speaks_python
def inspect(
    model: str | Path | keras.Model,
    *,
    run: bool = False,
    toolchain: str | Sequence[str] = (),
    custom: str | Callable[..., object] | Sequence[str | Callable[..., object]] = (),
    unsafe: bool = False,
) -> Inspection:
    """Return what is in a model, layer by layer; the same as `edgeshrink inspect`.

    ```python
    found = edgeshrink.inspect("small.tflite")
    for operator in found.table():
        print(operator["operator"], operator["macs"])
    programs = [reader["name"] for reader in found.found["readers"] if reader["reads"]]
    ```

    Args:
        model: a .keras, .h5, SavedModel, .tflite or .esz, or a `keras.Model`.
        run: run the programs that read a .tflite and are installed here, as `--try` does.
        toolchain: with `run`: where a converter is installed, as `"NAME=PYTHON"`.
        custom: classes and functions that are not Keras's, or `module:object` of them.
        unsafe: code inside the model file may run.

    Raises:
        edgeshrink.errors.EdgeshrinkError: something is wrong; the message says what.
    """
    from edgeshrink.engine import inspected
    from edgeshrink.plugins import installed
    from edgeshrink.python.results import Inspection

    name, classes = given_model(model, custom)
    found = inspected(
        name, installed(), custom=classes, unsafe=unsafe, run=run, toolchains=many(toolchain)
    )
    told = {} if isinstance(model, str | Path) else {"model": model.name}
    return Inspection(found | told)
