"""Make Keras models small, and prove it on the device.

Example:
    >>> import edgeshrink                                                   # doctest: +SKIP
    >>> report = edgeshrink.compress(model, prune=0.8, int8=True, preprocess="scale=1/255",
    ...                              data=keras.datasets.mnist.load_data())
    >>> report.ledger.final.score.value

Plugins import `edgeshrink.api`, `edgeshrink.nn` and `edgeshrink.tflite`, and nothing else of it;
their tests `edgeshrink.testing`.
"""

from lazy_loader import attach_stub

__version__ = "0.1.0"
# The names are in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
