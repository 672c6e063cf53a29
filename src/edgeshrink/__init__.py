"""Make Keras models small, and prove it on the device.

Example:
    >>> import edgeshrink                                                   # doctest: +SKIP
    >>> report = edgeshrink.compress(model, prune=0.8, int8=True, preprocess="scale=1/255",
    ...                              data=keras.datasets.mnist.load_data())
    >>> report.ledger.final.score.value

Plugins import `edgeshrink.api`, `edgeshrink.nn` and `edgeshrink.tflite`, and nothing else of it;
their tests `edgeshrink.testing`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeshrink.python import bench, compress, inspect, search, sensitivity, study

__version__ = "0.1.0"
__all__ = ["__version__", "bench", "compress", "inspect", "search", "sensitivity", "study"]


def __getattr__(name: str) -> Any:  # imported when one is first asked for
    if name in __all__:
        return getattr(importlib.import_module("edgeshrink.python"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
