"""The model that a request compresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeshrink.engine.planning.request import Request
from edgeshrink.hookspecs import OpenedModel
from edgeshrink.models import ModelFacts, facts
from edgeshrink.plugins import Plugins

if TYPE_CHECKING:
    import keras


def opened(request: Request, plugins: Plugins) -> OpenedModel | None:
    """Return the model of a request where a plugin opens it; None for Keras's own files.

    Raises:
        EdgeshrinkError: it is a plugin's to open, and cannot be.
    """
    found: OpenedModel | None = plugins.hook.edgeshrink_open_model(
        spec=str(request.model), custom=request.custom, unsafe=request.unsafe
    )
    return found


def facts_of(request: Request, plugins: Plugins) -> ModelFacts:
    """Return what is known of the model of a request before TensorFlow is loaded.

    Raises:
        UsageError: there is no such model.
        ModelError: it cannot be worked with.
    """
    model = opened(request, plugins)
    return facts(request.model) if model is None else model.facts


def load_base(request: Request, model: OpenedModel | None) -> keras.Model:
    """Return a new copy of the model that a request compresses.

    Args:
        request: names it.
        model: it, where a plugin opened it.
    """
    if model is not None:
        return model.load()
    from edgeshrink.nn.loading import load_model

    return load_model(
        request.model,
        custom=request.custom,
        unsafe=request.unsafe,
        input_shapes=request.input_shapes,
    )
