"""Keras models: open, analyse, rewrite, train, run and convert them.

The only part of the core that imports Keras. One of the three faces that plugins may import: what
is named here stays. graph is what a model is, learning how it trains, conversion how it becomes a
.tflite, inputs what it is run on, loading how it is opened.
"""

from lazy_loader import attach_stub

# The names are in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
