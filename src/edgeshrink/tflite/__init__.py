"""The bytes of .tflite files: read, strip and pack them, and tell what runtimes do with them.

Needs numpy, never TensorFlow, and imports errors alone. One of the three faces that plugins may
import: what is named here stays.
"""

from lazy_loader import attach_stub

# The names are in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
