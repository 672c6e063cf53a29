"""A Keras model that is given as an object, kept in a file by its content."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from types import FunctionType
from typing import Any

import keras

from edgeshrink.errors import ModelError, UsageError
from edgeshrink.models import content_digest, reference

LIBRARIES = {"keras", "tensorflow"}


def model_file(model: Any, folder: Path) -> Path:
    """Return the .keras archive of a model; compiled or not, it is kept as it is.

    Args:
        model: a built `keras.Model`.
        folder: for the file, which is named by the model and its content; made if need be.

    Raises:
        UsageError: it is no Keras model, has no weights yet, or Keras runs on another backend.
        ModelError: Keras cannot save it.
    """
    if not isinstance(model, keras.Model):
        raise UsageError(
            "a model must be a path, a keras.Model, or a fitted model of scikit-learn; received a "
            f"{type(model).__module__}.{type(model).__name__}",
            hint="a PyTorch or tf_keras model must be made one of Keras 3 first",
        )
    if keras.backend.backend() != "tensorflow":
        raise UsageError(
            f"a model is compressed on the backend tensorflow; Keras runs on "
            f"{keras.backend.backend()} here",
            hint="save it, and compress the file where KERAS_BACKEND=tensorflow",
        )
    if not model.built or not model.inputs:
        raise UsageError(
            f"the model {model.name!r} has no shapes yet, or tells none of its inputs",
            hint="build it of layers that are called on keras.Input(shape)",
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".model-") as scratch:
        path = Path(scratch, "model.keras")
        try:
            model.save(path)
        except (NotImplementedError, TypeError, ValueError) as error:
            raise ModelError(
                f"Keras cannot save the model {model.name!r}: {error}",
                hint="give its own classes a get_config(), and name them by custom=[…]",
            ) from error
        kept = folder / f"{model.name}-{content_digest(path)[:16]}.keras"
        path.replace(kept)
    return kept


def own_code(model: keras.Model) -> tuple[str, ...]:
    """Return the layers' classes and functions that are not Keras's, as `module:object`.

    Args:
        model: with layers of any depth.

    Raises:
        UsageError: one was made inside a function, where a file cannot name it.
    """
    found: dict[str, None] = {}
    for layer in (model, *model._flatten_layers(include_self=False)):
        held = [one for one in vars(layer).values() if isinstance(one, FunctionType)]
        for one in (type(layer), *(() if isinstance(layer, keras.layers.Lambda) else held)):
            home = one.__module__ or ""
            if home.partition(".")[0] in LIBRARIES or home not in sys.modules:
                continue
            if isinstance(one, type) or layer.__module__.partition(".")[0] == "keras":
                found[reference(one)] = None
    return tuple(found)
