"""Data: read from what the user names, split, checked, preprocessed by the batch.

Uses models, for objects of the user's own code.
"""

from lazy_loader import attach_stub

# The names are in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
