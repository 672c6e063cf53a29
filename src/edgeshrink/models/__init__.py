"""Model files: what kind a file is, what its configuration says, and where it came from.

The models themselves, as Keras has them, are in nn. Uses only `edgeshrink.errors`: no TensorFlow,
and nothing inside a file is run.
"""

from lazy_loader import attach_stub

# The names are in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
