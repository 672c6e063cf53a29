"""The bytes of .tflite files: read, stripped, packed, and how runtimes see them.

Files are made from Keras models in nn/conversion. Needs numpy, never TensorFlow, and uses only
`edgeshrink.errors`. Plugins may import what is named here, beside `edgeshrink.api` and
`edgeshrink.nn`.
"""

from lazy_loader import attach_stub

# The names are in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
