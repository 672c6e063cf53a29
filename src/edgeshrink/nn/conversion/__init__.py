"""From a Keras model to a .tflite file, made in a process of its own, and checked.

Uses graph, learning and tflite.
"""

from lazy_loader import attach_stub

# The names are in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
