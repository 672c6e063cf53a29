"""The model that a request compresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeshrink.engine.planning.request import Request
from edgeshrink.plugins import Plugins

if TYPE_CHECKING:
    import keras


def load_base(request: Request, plugins: Plugins) -> keras.Model:
    """Return a new copy of the model that a request compresses."""
    from edgeshrink.nn.loading import load_model

    answer = plugins.hook.edgeshrink_load_model(path=request.model)
    if answer is not None:
        return answer
    return load_model(
        request.model,
        custom=request.custom,
        unsafe=request.unsafe,
        input_shapes=request.input_shapes,
    )
