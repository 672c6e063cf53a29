"""What methods do to Keras models: the only part of the core that builds, trains and converts them.

graph says what a model is and which channels go together, learning has the training loop,
conversion makes a .tflite of a model, inputs has what it is run on, loading opens model files.
Plugins may import what is named here, beside `edgeshrink.api` and `edgeshrink.tflite`.
"""

from lazy_loader import attach_stub

# The names are in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
