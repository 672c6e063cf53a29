"""Recipes: methods in their order, the studies made of them, and the folder in which one runs.

Imports models, samples and devices.
"""

from lazy_loader import attach_stub

# The names are in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
